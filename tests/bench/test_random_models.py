"""No library takes in vectors of random weights, however an encoder comes to have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsearch.errors import EncoderError
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.settings import Settings
from tests.cli.calls import call, picture
from tests.plugin_encoder import installed

PLUGIN = """
from imgsearch.bench.random_models import random_encoder
from imgsearch.vectors import EmbeddingSpace

CARDS = []
revision_said = "random"


class Trained:
    '''As if the same network had been trained: only its space says so.'''

    def __init__(self, encoder):
        own = encoder.space
        self.space = EmbeddingSpace(own.model, "1", own.preprocessing, own.dimension)
        self.card, self.input_size = encoder.card, encoder.input_size
        self.encode_images, self.encode_texts = encoder.encode_images, encoder.encode_texts


def load(name, options):
    found = random_encoder("gme-tiny", options)
    found._space = EmbeddingSpace(name, *[getattr(found.space, part) for part in (
        "revision", "preprocessing", "dimension")])
    return found if trained is False else Trained(found)


def revision(name, source=""):
    return revision_said


trained = False
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A plug-in, installed, whose model `untrained` has random weights."""
    entry = {"untrained": "untrained_plugin"}
    with installed(monkeypatch, tmp_path / "site", "untrained_plugin", PLUGIN, **entry):
        import untrained_plugin

        yield untrained_plugin


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return picture(tmp_path / "photos" / "a.jpg", 1).parent


def open_library(tmp_path: Path) -> Library:
    settings = Settings(
        library=str(tmp_path / "library"), model="untrained", device="cpu", precision="fp32"
    )
    return Library(settings)


@pytest.mark.parametrize("said", ["random", "1"])
def test_a_new_library(plugin, photos, tmp_path, said):
    plugin.revision_said = said
    library = open_library(tmp_path)
    with pytest.raises(EncoderError, match="untrained has random weights") as caught:
        library.index(IndexRequest([str(photos)]))
    assert "imgsearch bench" in caught.value.hint
    assert library.catalog.known_spaces() == []
    assert library.catalog.roots() == []
    library.close()


def test_a_model_whose_weights_became_random(plugin, photos, tmp_path):
    plugin.revision_said, plugin.trained = "1", True
    library = open_library(tmp_path)
    assert library.index(IndexRequest([str(photos)])).added == 1
    library.close()
    plugin.trained = False
    picture(photos / "b.jpg", 2)
    library = open_library(tmp_path)
    with pytest.raises(EncoderError, match="untrained has random weights"):
        library.index(IndexRequest([str(photos)]))
    assert [space.revision for space in library.catalog.known_spaces()] == ["1"]
    library.close()


def test_on_the_command_line(plugin, photos, tmp_path):
    outcome = call("--library", tmp_path / "library", "index", photos, "--model", "untrained", "-q")
    assert (outcome.status, outcome.out) == (1, b"")
    assert "untrained has random weights" in outcome.err
    assert "gme-tiny" not in call("models").text, "no command offers random weights for indexing"
    refused = call("index", photos, "--model", "gme-tiny")
    assert "there is no model called gme-tiny" in refused.err
