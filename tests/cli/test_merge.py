"""imgsearch merge"""

from __future__ import annotations

from pathlib import Path

from tests.cli.calls import Place, call, picture


def test_a_merged_library_finds_the_pictures_of_both(indexed: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "photos 2", tmp_path / "other")
    picture(other.photos / "e.jpg", 5)
    other.index()
    first = indexed.call("merge", other.library)
    assert first.text == "1 picture added, 0 here already, 1 vector added\n"
    search = ("search", "a red square", "--format", "json", "--all")
    found = {hit["path"]: hit["score"] for hit in indexed.call(*search).json}
    assert len(found) == 5
    (theirs,) = other.call(*search).json
    assert found[str(other.photos / "e.jpg")] == theirs["score"]
    again = indexed.call("merge", other.library)
    assert again.text == "0 pictures added, 1 here already, 0 vectors added\n"
    assert indexed.index(indexed.photos, other.photos)["unchanged"] == 5


def test_mistakes_are_sentences(indexed: Place, tmp_path: Path) -> None:
    for folder, reason in ((tmp_path, "no library in"), (indexed.library, "this library itself")):
        outcome = indexed.call("merge", folder)
        assert outcome.status == 1 and reason in outcome.err and "Traceback" not in outcome.err
    assert call("merge", "--library", tmp_path / "new", tmp_path).status == 1
    assert not (tmp_path / "new").exists()
