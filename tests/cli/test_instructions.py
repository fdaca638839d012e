"""Instructions of models and lengths of vectors, through the commands."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.vectors import EmbeddingSpace
from tests import tiny_models
from tests.cli.calls import Outcome, Place, call
from tests.conftest import ROOT, full_only

GME = ROOT / "tests" / "golden" / "gme" / "model"
DEFAULT = "You are a helpful assistant."
OTHER = "Describe what is to be seen."


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_clip(tmp_path_factory.mktemp("model") / "clip")


@pytest.fixture
def nested(clip: Path, tmp_path: Path) -> Path:
    """A CLIP trained so that its vectors of 32 numbers can be cut to 8 and 16."""
    folder = shutil.copytree(clip, tmp_path / "nested")
    write_lengths(folder, [16, 8])
    return folder


def write_lengths(folder: Path, lengths: list[int]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"matryoshka_dims": lengths}))


def spaces(place: Place) -> list[tuple[str, int, int, bool]]:
    """Instruction, length, pictures and default flag of each space."""
    entries = place.call("status", "--json").json["spaces"]
    return [(s["instruction"], s["dimension"], s["images"], s["default"]) for s in entries]


def scores(outcome: Outcome) -> dict[str, float]:
    assert outcome.status == 0, outcome.err
    return {hit["path"]: hit["score"] for hit in outcome.json}


def stderr_line(outcome: Outcome) -> str:
    return " ".join(outcome.err.split())


@full_only
def test_a_document_instruction_makes_a_space_that_is_remembered(place, tmp_path):
    assert place.index(place.photos, "--model", GME)["added"] == 4
    outcome = place.call("index", "--document-instruction", OTHER)
    assert f"Searches now use {GME} (instruction {OTHER!r})" in outcome.err, outcome.err
    assert f"{GME} (instruction {DEFAULT!r}) stays in the library" in outcome.err
    assert spaces(place) == [(DEFAULT, 64, 4, False), (OTHER, 64, 4, True)]
    assert (
        f"vectors of 64 numbers, instruction '{OTHER}', used for searches"
        in place.call("status").text
    )
    again = place.index()
    assert (again["unchanged"], again["updated"]) == (4, 0)
    assert len(spaces(place)) == 2
    # A picture outside the library gets the instruction of the indexed ones.
    copy = shutil.copy(place.photos / "b.jpg", tmp_path / "copy.jpg")
    near = scores(place.call("similar", copy, "--format", "json"))
    assert near[str(place.photos / "b.jpg")] > 0.999
    assert (
        len(scores(place.call("search", "--all", "a dog", "--and", copy, "--format", "json"))) == 4
    )


def test_the_old_instruction_restores_its_space(place):
    place.index(place.photos, "--model", GME)
    place.index("--document-instruction", OTHER)
    back = place.index("--document-instruction", DEFAULT)
    assert back["unchanged"] == 4
    assert spaces(place) == [(DEFAULT, 64, 4, True), (OTHER, 64, 4, False)]


@full_only
def test_a_new_revision_keeps_the_instruction(place, tmp_path, monkeypatch):
    newer = shutil.copytree(GME, tmp_path / "newer")
    config = newer / "config.json"
    config.write_text(config.read_text() + "\n")
    settings = tmp_path / "config.toml"
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(settings))
    settings.write_text(f'[models]\ngme-qwen2-vl-2b = "{GME}"\n')
    place.index(place.photos, "--model", "gme-qwen2-vl-2b", "--document-instruction", OTHER)
    settings.write_text(f'[models]\ngme-qwen2-vl-2b = "{newer}"\n')
    assert "has changed since" in stderr_line(place.call("search", "--all", "a dog"))
    place.index()
    assert spaces(place) == [(OTHER, 64, 4, False), (OTHER, 64, 4, True)]
    assert place.call("search", "--all", "a dog").status == 0


@full_only
def test_an_incomplete_space_is_not_searched_yet(place):
    place.index(place.photos, "--model", GME)
    part = place.call("index", place.photos / "sub", "--document-instruction", OTHER)
    assert f"Searches go on with {GME} (instruction {DEFAULT!r}) until" in stderr_line(part)
    assert "(2 of 4 so far)" in part.err
    assert len(place.call("search", "--all", "a dog", "--format", "json").json) == 4


def test_a_setting_without_vectors_is_reported_with_a_hint(place, monkeypatch):
    place.index(place.photos, "--model", GME)
    monkeypatch.setenv("IMGSEARCH_DOCUMENT_INSTRUCTION", OTHER)
    refused = place.call("search", "--all", "a dog")
    assert refused.status == 1
    assert f"with the document instruction {OTHER!r}, only with:" in stderr_line(refused)
    assert repr(DEFAULT) in refused.err and "imgsearch index" in refused.err
    place.index()
    assert place.call("search", "--all", "a dog").status == 0
    assert spaces(place)[-1] == (OTHER, 64, 4, True)


@full_only
def test_query_instructions_by_option_or_setting(place, monkeypatch):
    place.index(place.photos, "--model", GME)
    search = ("search", "--all", "a dog", "--format", "json")
    default = place.call(*search)
    other = place.call(*search, "--instruction", OTHER)
    assert scores(other) != scores(default)
    assert other.err == default.err == ""
    same = place.call(*search, "--instruction", "Find images that visually match this description:")
    assert scores(same) == scores(default)
    alike = ("similarity", "a dog", place.photos / "a.jpg", "--model", GME)
    before = place.call(*alike).text
    monkeypatch.setenv("IMGSEARCH_INSTRUCTION", OTHER)
    assert scores(place.call(*search)) == scores(other)
    assert place.call(*alike).text != before


def test_a_useless_instruction_is_noted(indexed):
    outcome = indexed.call("search", "--all", "a dog", "--instruction", OTHER)
    assert outcome.status == 0
    assert "the model builtin was not trained with instructions" in stderr_line(outcome)
    assert "instruction" not in indexed.call("search", "--all", "a dog").err
    assert indexed.call("search", "--all", "a dog", "--instruction", OTHER, "-q").err == ""
    picture = indexed.photos / "a.jpg"
    assert "this one has none" in indexed.call("similar", picture, "--instruction", OTHER).err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--document-instruction", OTHER, "builtin takes no instruction for pictures"),
        ("--dimension", 64, "not known to be trained for vectors that are cut to 64"),
        ("--visual-tokens", 256, "builtin has no number of visual tokens"),
    ],
)
def test_unsupported_options_are_refused(indexed, option, value, words):
    refused = indexed.call("index", option, value)
    assert refused.status == 1
    assert words in stderr_line(refused)
    assert len(spaces(indexed)) == 1
    assert indexed.call("search", "--all", "a dog").status == 0


@full_only
def test_visual_tokens_make_a_space_that_is_remembered(place, tmp_path):
    assert place.index(place.photos, "--model", GME, "--visual-tokens", 64)["added"] == 4
    assert place.index()["unchanged"] == 4
    refused = place.call("index", "--visual-tokens", 10)
    assert refused.status == 1
    assert "Choose from 64 to 1600" in stderr_line(refused)
    outcome = place.call("index", "--visual-tokens", 256)
    assert f"Searches now use {GME} (256 visual tokens)" in outcome.err, outcome.err
    entries = place.call("status", "--json").json["spaces"]
    assert [(s["visual_tokens"], s["images"], s["default"]) for s in entries] == [
        (64, 4, False),
        (256, 4, True),
    ]
    assert "64 numbers, 256 visual tokens" in place.call("status").text
    copy = shutil.copy(place.photos / "b.jpg", tmp_path / "copy.jpg")
    near = scores(place.call("similar", copy, "--format", "json"))
    assert near[str(place.photos / "b.jpg")] > 0.999, "the query has as many tokens"
    assert place.index("--visual-tokens", 64)["unchanged"] == 4


@full_only
def test_a_library_from_before_pictures_were_prepared_in_the_decoder_says_so(place):
    """Their vectors are a little different, so they are not mixed."""
    place.index(place.photos, "--model", GME)
    before = "two bicubic resizes to 256-1280 visual tokens, last token, 1-d positions"
    with closing(sqlite3.connect(place.library / "catalog.sqlite")) as catalog, catalog:
        row = catalog.execute("SELECT model, revision, dimension, instruction FROM spaces")
        model, revision, dimension, instruction = row.fetchone()
        old = EmbeddingSpace(os.fsdecode(model), revision, before, dimension, instruction)
        catalog.execute("UPDATE spaces SET preprocessing = ?, key = ?", (before, old.key))
    assert "has changed since" in stderr_line(place.call("search", "--all", "a dog"))
    place.index()
    assert spaces(place) == [(DEFAULT, 64, 4, False), (DEFAULT, 64, 4, True)]
    assert place.call("search", "--all", "a dog").status == 0


@full_only
def test_shorter_vectors_are_remembered(place, nested):
    assert place.index(place.photos, "--model", nested, "--dimension", 16)["added"] == 4
    assert spaces(place) == [("", 16, 4, True)]
    assert len(scores(place.call("search", "--all", "a dog", "--format", "json"))) == 4
    assert place.index()["unchanged"] == 4
    refused = place.call("index", "--dimension", 12)
    assert refused.status == 1
    assert "Choose 8, 16, 32." in refused.err
    place.index("--dimension", 32)
    assert spaces(place) == [("", 16, 4, False), ("", 32, 4, True)]


def test_a_model_without_the_length_has_changed(place, nested):
    place.index(place.photos, "--model", nested, "--dimension", 16)
    write_lengths(nested, [8])
    refused = place.call("search", "--all", "a dog")
    assert refused.status == 1
    assert "the model has changed since pictures were indexed" in stderr_line(refused)
    assert "imgsearch index --model" in refused.err
    place.index()
    assert spaces(place)[-1] == ("", 32, 4, True)
    assert place.call("search", "--all", "a dog").status == 0


def test_the_list_of_models_shows_their_options():
    cards = {entry["name"]: entry for entry in call("models", "--json").json}
    assert cards["gme-qwen2-vl-2b"]["document_instruction"] == DEFAULT
    assert cards["gme-qwen2-vl-2b"]["dimensions"] == ""
    assert cards["siglip2-base"]["query_instruction"] == ""
    assert cards["qwen3-vl-embedding-2b"]["dimensions"] == "64 to 2048 numbers"
    listed = call("models").text
    assert "Shorter vectors: 64 to 2048 numbers" in listed
    assert f"Instruction for pictures: {DEFAULT}" in listed
