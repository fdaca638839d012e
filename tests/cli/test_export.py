"""imgsearch export"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cli.calls import Place, blocking, call, process


def test_a_folder_and_a_file(indexed: Place, tmp_path: Path) -> None:
    folder, file = tmp_path / "out", tmp_path / "all.parquet"
    assert (
        indexed.call("export", folder).text == f"4 pictures in {folder} (1 shard, 0 of them kept)\n"
    )
    assert indexed.call("export", folder).text.endswith("(1 shard, 1 of them kept)\n")
    assert np.load(folder / "img_emb/img_emb_0.npy").shape[0] == 4
    outcome = indexed.call("export", file, "--type", "png")
    assert outcome.text == f"1 picture in {file}\n"
    assert pq.read_table(file)["path"].to_pylist() == [str(indexed.photos / "sub/c.png")]


def test_mistakes_are_sentences(indexed: Place, tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    for arguments, reason in (
        ((tmp_path / "mine.parquet",), "already exists"),
        ((tmp_path / "no" / "all.parquet",), "No such file or directory"),
        ((indexed.photos,), "holds no export"),
        ((tmp_path / "out", "--name", "nothing"), "no picture passes the filter"),
    ):
        outcome = indexed.call("export", *arguments)
        assert outcome.status == 1 and reason in outcome.err and "Traceback" not in outcome.err
    assert call("export", "--library", tmp_path / "none", tmp_path / "out").status == 1
    assert (tmp_path / "mine.parquet").read_bytes() == b"mine"


@pytest.mark.parametrize("command", ["export", "import"])
def test_without_pyarrow_there_is_the_command_that_installs_it(
    indexed: Place, tmp_path: Path, command: str
) -> None:
    arguments = ("--library", indexed.library, command, tmp_path / "out")
    outcome = process(*arguments, prelude=blocking("pyarrow"))
    assert outcome.status == 1 and "pip install '.[export]'" in outcome.err
