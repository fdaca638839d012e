"""imgsearch backup and restore"""

from __future__ import annotations

from pathlib import Path

from tests.cli.calls import Place, call


def test_a_restored_library_answers_alike(indexed: Place, tmp_path: Path) -> None:
    saved, new = tmp_path / "saved.imgsearch", tmp_path / "new"
    written = call("backup", "--library", indexed.library, saved)
    assert (written.status, written.text.splitlines()[0][:22]) == (0, "4 pictures, 4 vectors,")
    restored = call("restore", "--library", new, saved)
    assert restored.text == f"4 pictures, 4 vectors, in {new}\n"
    search = ("search", "a red square", "--format", "json", "--all", "--library")
    assert call(*search, new).json == call(*search, indexed.library).json


def test_mistakes_are_sentences(indexed: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.write_bytes(b"mine")
    for arguments, reason in (
        (("backup", saved), "already exists"),
        (("backup", tmp_path / "no" / "saved"), "No such file or directory"),
        (("restore", tmp_path / "none"), "there is no file"),
        (("restore", "--replace", saved), "not a database"),
    ):
        outcome = call(arguments[0], "--library", indexed.library, *arguments[1:])
        assert outcome.status == 1 and reason in outcome.err and "Traceback" not in outcome.err
    assert saved.read_bytes() == b"mine"
