"""status, skipped, roots, models and doctor; help; and common behaviour."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from PIL import Image

from imgsearch import __version__
from imgsearch.cli.group import COMMANDS
from tests.cli.calls import Place, call, picture
from tests.conftest import PHOTOS
from tests.hostile_files import saved

# Help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(command):
    outcome = call(command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    examples = re.findall(r"^  imgsearch (?:--library \S+ )?(\S+)", outcome.text, re.M)
    assert len(examples) >= 2
    assert command in examples
    assert outcome.text == call(command, "-h").text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command):
    options = re.split("^(?:Options|Terms):", call(command, "--help").text, flags=re.M)[1]
    for entry in re.split(r"^  (?=-)", options, flags=re.M)[1:]:
        assert re.search(r"\S {2,}\S|\n {4,}\S", entry), entry


def test_the_list_of_commands_is_not_cut_off():
    text = call("--help").text
    commands = text.split("Commands:")[1]
    assert re.findall(r"^  ([\w-]+)  ", commands, re.M) == list(COMMANDS)
    assert "..." not in commands


def test_version():
    outcome = call("--version")
    assert (outcome.status, outcome.text) == (0, f"imgsearch, version {__version__}\n")


def test_without_a_command_there_is_help():
    outcome = call()
    assert outcome.status == 2
    assert "Commands:" in outcome.err


@pytest.mark.parametrize("url", ["postgresql:/db/photos", "mysql://db/photos", "smb://nas/photos"])
def test_a_url_makes_no_folder(place: Place, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    place.index(place.photos)
    monkeypatch.chdir(place.photos)
    before = sorted(os.listdir())
    outcome = place.call("migrate", "--to", url)
    assert outcome.status == 1
    assert "the target is not the URL of a server that can hold a catalog" in outcome.err
    outcome = call("index", ".", "--library", url)
    assert outcome.status == 1 and "a library is a folder" in outcome.err
    assert "--catalog" in outcome.err and sorted(os.listdir()) == before


@pytest.mark.parametrize(("word", "suggestion"), [("serch", "search"), ("similiar", "similar")])
def test_an_unknown_command_gets_a_suggestion(word, suggestion):
    outcome = call(word, "x")
    assert (outcome.status, outcome.out) == (2, b"")
    assert f"Did you mean '{suggestion}'?" in outcome.err


def test_an_unknown_command_without_a_suggestion():
    outcome = call("xyzzy")
    assert outcome.status == 2
    assert "No such command 'xyzzy'. To search: imgsearch search xyzzy" in outcome.err
    assert "Did you mean" not in outcome.err


@pytest.mark.parametrize("words", [["beach"], ["red flower"], ["a beach"], ["sample photo"]])
def test_words_that_look_like_a_command_are_suggested_as_a_search(words):
    assert f"To search: imgsearch search {words[0]}" in call(*words).err
    assert " " not in words[0] or "Did you mean" not in call(*words).err


def test_common_options_before_or_after_the_command(demo: Place):
    before = call("--library", demo.library, "-q", "roots")
    behind = call("roots", "--library", demo.library, "-q")
    assert before == behind
    assert before.status == 0


def test_the_library_of_the_environment(demo: Place, monkeypatch, tmp_path):
    monkeypatch.setenv("IMGSEARCH_LIBRARY", str(demo.library))
    assert call("status", "--json").json["library"] == str(demo.library)
    assert "there is no library in" in call("--library", tmp_path / "x", "status").err


def test_the_default_library_is_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert f"there is no library in {tmp_path}/data/imgsearch" in call("status").err


@pytest.mark.parametrize(
    "command", [["status"], ["skipped"], ["roots"], ["roots", "--forget", "x"], ["search", "x"]]
)
def test_no_library(tmp_path, command):
    outcome = Place(tmp_path, tmp_path / "none").call(*command)
    assert (outcome.status, outcome.out) == (1, b"")
    assert outcome.err.endswith("none\n  Make one: imgsearch index FOLDER-OF-PICTURES\n")
    assert not (tmp_path / "none").exists()


def test_a_library_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    for command in (["status"], ["index", PHOTOS], ["search", "x"], ["doctor"]):
        outcome = Place(tmp_path, tmp_path / "file").call(*command)
        assert outcome.status in (0, 1)
        assert "Traceback" not in outcome.err


def test_a_catalog_that_is_not_a_database(indexed: Place):
    for name in ("catalog.sqlite-wal", "catalog.sqlite-shm"):
        (indexed.library / name).unlink(missing_ok=True)
    (indexed.library / "catalog.sqlite").write_bytes(b"this is not a database" * 1000)
    for command in (["status"], ["index", indexed.photos], ["search", "x"], ["skipped"]):
        outcome = indexed.call(*command)
        assert outcome.status == 1
        assert "the catalog is damaged" in outcome.err
        assert "your pictures are not touched" in outcome.err
    outcome = indexed.call("doctor")
    assert outcome.status == 1
    assert "the catalog is damaged" in outcome.text


# status


def test_status(indexed: Place):
    (indexed.photos / "new.svg").write_text("<svg/>")
    indexed.index()
    report = indexed.call("status", "--json").json
    assert report["library"] == str(indexed.library)
    assert report["bytes"] > 10_000
    assert (report["images"], report["roots"], report["skipped"]) == (4, 1, 1)
    [space] = report["spaces"]
    assert (space["model"], space["images"], space["default"]) == ("builtin", 4, True)
    assert report["last_run"]["outcome"] == "done"
    assert report["last_run"]["unchanged"] == 4
    text = indexed.call("status").text
    assert f"Library   {indexed.library} (" in text
    assert "Pictures  4 in 1 folder; 1 file skipped\n" in text
    assert "Model     builtin: 4 pictures, used for searches\n" in text
    assert "Last run  done, started " in text


# skipped


def test_skipped(indexed: Place):
    assert indexed.call("skipped").out == b""
    assert indexed.call("skipped", "--json").json == []
    (indexed.photos / "z.jpg").write_bytes(b"")
    (indexed.photos / "new.svg").write_text("<svg/>")
    indexed.index()
    assert indexed.call("skipped").text == (
        f"{indexed.photos}/new.svg: SVG pictures are not supported: there is no decoder for them\n"
        f"{indexed.photos}/z.jpg: the file is empty\n"
    )
    assert indexed.call("skipped", "--json").json[1] == {
        "path": f"{indexed.photos}/z.jpg",
        "reason": "the file is empty",
        "transient": False,
    }
    (indexed.photos / "z.jpg").unlink()
    indexed.index()
    assert len(indexed.call("skipped", "--json").json) == 1


def test_skipped_lists_what_was_indexed_in_part(indexed: Place):
    with Image.open(PHOTOS / "crab.jpg") as image:
        whole = saved(image.convert("RGB").resize((300, 200)), "JPEG", quality=95)
    (indexed.photos / "cut.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    (indexed.photos / "start.jpg").write_bytes(whole[: len(whole) // 9])
    assert indexed.index()["added"] == 1
    (entry,) = indexed.call("skipped", "--partial", "--json").json
    assert entry["path"] == f"{indexed.photos}/cut.jpg"
    assert re.fullmatch(r"the file is cut off: \d+ % of the picture is missing", entry["reason"])
    run = indexed.call("skipped")
    assert run.text == (
        f"{indexed.photos}/start.jpg: the JPEG file is cut off: its end is missing\n"
    )
    assert "Indexed in part: 1 picture, see --partial." in run.err
    assert indexed.call("skipped", "--partial", "--texts").status == 2
    (indexed.photos / "cut.jpg").write_bytes(whole)
    indexed.index()
    assert indexed.call("skipped", "--partial", "--json").json == []


# roots


def test_roots(indexed: Place, tmp_path):
    picture(tmp_path / "more" / "e.jpg", 9)
    indexed.index(tmp_path / "more", "--exclude", "drafts/")
    (tmp_path / "more").rename(tmp_path / "away")
    first, second = indexed.call("roots", "--json").json
    assert (first["path"], first["there"], first["images"]) == (f"{tmp_path}/more", False, 1)
    assert (first["exclude"], first["hidden"]) == (["drafts/"], False)
    assert (second["path"], second["there"], second["images"]) == (str(indexed.photos), True, 4)
    assert second["scanned_at"]
    lines = indexed.call("roots").text.splitlines()
    assert lines[0].split(maxsplit=1) == ["1", f"{tmp_path}/more  without drafts/  (missing)"]
    assert lines[1].split() == ["4", str(indexed.photos)]


def test_forget_a_folder(indexed: Place, tmp_path):
    picture(tmp_path / "more" / "e.jpg", 9)
    indexed.index(tmp_path / "more")
    (tmp_path / "more").rename(tmp_path / "away")
    outcome = indexed.call("roots", "--forget", tmp_path / "more")
    assert outcome.status == 0
    assert outcome.text.split() == ["4", str(indexed.photos)]
    assert "without touching its 1 picture on disk" in outcome.err
    assert indexed.listed() == ["a.jpg", "b.jpg", "sub/c.png", "sub/deep/d.jpg"]
    assert indexed.index()["unchanged"] == 4
    assert indexed.call("doctor").status == 0
    (tmp_path / "away").rename(tmp_path / "more")
    assert indexed.index(tmp_path / "more")["added"] == 1, "it can be added again"


@pytest.mark.parametrize("path", ["nowhere", "photos/sub", ""])
def test_forget_an_unknown_folder(indexed: Place, tmp_path, path):
    outcome = indexed.call("roots", "--forget", tmp_path / path if path else "")
    assert outcome.status == 1
    assert "is not a folder of this library" in outcome.err
    assert indexed.call("roots", "--json").json[0]["images"] == 4


# models


def test_models():
    text = call("models").text
    assert text.startswith("builtin\n")
    assert "English" in text
    assert "does not understand" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    [builtin, *_] = call("models", "--json").json
    assert builtin["name"] == "builtin"
    assert builtin.keys() >= {"summary", "languages", "limits", "licence"}


# doctor


def checks(place: Place, status: int) -> dict[str, dict]:
    outcome = place.call("doctor", "--json")
    assert outcome.status == status, outcome.text
    return {check["name"]: check for check in outcome.json}


def test_doctor_of_a_sound_library(indexed: Place):
    report = checks(indexed, 0)
    assert {"Python", "torch", "FAISS", "decoder", "model", "library disk", "catalog", "index"} < (
        report.keys()
    )
    assert report["index"]["finding"] == "builtin: 4 vectors, equal to the catalog, exact"
    lines = indexed.call("doctor").text.splitlines()
    assert all(re.match(r"(ok   |note |wrong) \S|  +-> ", line) for line in lines)


def test_doctor_before_there_is_a_library(tmp_path):
    report = checks(Place(tmp_path, tmp_path / "none"), 0)
    assert report["library"]["verdict"] == "note"
    assert "imgsearch index" in report["library"]["mend"]
    assert not (tmp_path / "none").exists()


def test_doctor_reports_a_missing_folder(indexed: Place, tmp_path):
    indexed.photos.rename(tmp_path / "away")
    folder = checks(indexed, 0)["folder"]
    assert folder["verdict"] == "note"
    assert "its 4 pictures stay" in folder["finding"]
    assert "--forget" in folder["mend"]


def test_doctor_reads_pictures_if_that_is_requested(indexed: Place):
    assert "contents" not in checks(indexed, 0)
    sound = indexed.call("doctor", "--deep")
    assert sound.status == 0
    assert "read 4 of 4 pictures, drawn at random: as in the library" in sound.text
    path = indexed.photos / "a.jpg"
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\xff\xd9")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    outcome = indexed.call("doctor", "--deep")
    assert outcome.status == 1
    assert f"1 changed without a new size or time: {path}" in outcome.text
    assert "imgsearch index --verify" in outcome.text
    (indexed.photos / "b.jpg").unlink()
    indexed.index("--verify")
    assert indexed.call("doctor", "--deep").status == 0


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_damaged_index_is_rebuilt(indexed: Place, damage):
    [name] = os.listdir(indexed.library / "index")
    file = indexed.library / "index" / name
    before, data = indexed.listed(), bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes({"cut": data[:-100], "flip": data, "empty": b""}[damage])
        index = checks(indexed, 0)["index"]
        assert (index["verdict"], "is damaged" in index["finding"]) == ("note", True)
        outcome = indexed.call("similar", indexed.photos / "a.jpg")
        assert outcome.status == 0
        assert "The index was rebuilt from the catalog: the index file" in outcome.err
    assert indexed.listed() == before
    indexed.index()
    assert checks(indexed, 0)["index"]["verdict"] == "ok"


def test_doctor_reports_an_index_of_another_library(indexed: Place):
    stranger = indexed.library / "index" / "0123.abc.7.faiss"
    stranger.write_bytes(b"x")
    outcome = indexed.call("doctor")
    assert outcome.status == 0
    assert "0123.abc.7.faiss belongs to another library" in outcome.text


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "command", [("status",), ("search", "x"), ("roots",), ("skipped",), ("daemon", "--status")]
)
def test_every_command_closes_the_library_of_an_earlier_version(indexed, command):
    """`index` did that alone; the note comes once."""
    library = indexed.library
    library.chmod(0o755)
    (library / "catalog.sqlite").chmod(0o644)
    note = "now only you can"
    assert note in call("--library", library, *command).err
    assert (rights(library), rights(library / "catalog.sqlite")) == (0o700, 0o600)
    assert note not in call("--library", library, *command).err


def test_a_folder_that_is_not_a_library_keeps_its_rights(tmp_path):
    tmp_path.chmod(0o755)
    assert call("--library", tmp_path, "status").status == 1
    assert rights(tmp_path) == 0o755
