"""imgsearch import"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.cli.calls import Place, picture
from tests.exchange.libraries import without_vectors


def test_vectors_of_another_machine_are_used(indexed: Place, tmp_path: Path) -> None:
    """Four pictures there; here three of them, moved, whose vectors are not made yet."""
    search = ("search", "a red square", "--format", "json", "--all")
    expected = {Path(hit["path"]).name: hit["score"] for hit in indexed.call(*search).json}
    out = tmp_path / "out"
    assert indexed.call("export", out).status == 0
    here = Place(tmp_path / "moved", tmp_path / "here")
    shutil.copytree(indexed.photos, here.photos)
    (here.photos / "b.jpg").unlink()
    picture(here.photos / "new.jpg", 9)
    here.index()
    without_vectors(here.library)
    for index in here.library.rglob("*.faiss"):
        index.unlink()
    outcome = here.call("import", out)
    assert outcome.status == 0
    assert outcome.text == "4 rows: 3 vectors added, 3 pictures in the library, 1 not\n"
    assert f"1 picture not in the library:\n  {indexed.photos / 'b.jpg'}\n" in outcome.err
    found = {Path(hit["path"]).name: hit["score"] for hit in here.call(*search).json}
    assert found == {name: score for name, score in expected.items() if name != "b.jpg"}
    report = here.index()
    assert (report["updated"], report["added"], report["unchanged"]) == (1, 0, 3)


def test_damaged_rows_and_files(indexed: Place, tmp_path: Path) -> None:
    out = tmp_path / "out"
    indexed.call("export", out)
    file = out / "img_emb/img_emb_0.npy"
    vectors = np.load(file)
    vectors[0] = np.nan
    np.save(file, vectors)
    outcome = indexed.call("import", out)
    assert outcome.status == 1 and "1 row left out" in outcome.err
    assert "4 rows: 0 vectors added" in outcome.text
    file.write_bytes(b"")
    outcome = indexed.call("import", out)
    assert outcome.status == 1 and "no valid npy header" in outcome.err
    assert "Traceback" not in outcome.err
