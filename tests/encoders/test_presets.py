"""Models by short name: the table, loading by name, and the model of a new library."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from imgsearch import plugins
from imgsearch.encoders import builtin, presets, published_models
from imgsearch.encoders.model_folder import find_model, locate, missing_shards
from imgsearch.encoders.registry import DefaultModel, default_model, model_cards
from imgsearch.errors import EncoderError, ImgSearchError
from imgsearch.library import Library
from imgsearch.model_card import EncoderOptions
from imgsearch.settings import Settings, load_settings
from tests.conftest import ROOT, full_only

GME = ROOT / "tests" / "golden" / "gme" / "model"
CARDS = [
    builtin.CARD,
    *presets.GME,
    *presets.SENTENCE,
    presets.EMBEDDING_GEMMA2,
    *presets.QWEN3_VL,
]
SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    """None of the models is on this machine, for any user."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))


def row(card) -> str:
    """A preset as docs/MODELS.md has it."""
    size = f"{card.parameters / 1e6:,.0f} M"
    memory = f"{card.bf16_bytes / 1e9:.2f} GB"
    cells = (f"`{card.name}`", size, card.dimension, memory, card.speed, card.languages)
    return "| " + " | ".join(map(str, (*cells, card.licence))) + " |"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_documentation_has_the_same_figures(card):
    text = (ROOT / "docs" / "MODELS.md").read_text()
    assert row(card) in text
    assert not card.hub or f"`{card.hub}`" in text


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_each_preset_is_found_by_its_name_and_is_complete(card):
    assert card in plugins.encoder_module(card.name).CARDS
    assert card.parameters and card.dimension and card.licence and card.languages and card.limits
    assert card.bf16_bytes == 2 * card.parameters
    assert card.speed in (presets.GPU, presets.SLOW, presets.FAST, presets.INSTANT)


def test_all_cards_are_listed_once_and_by_size():
    cards = model_cards()
    assert sorted(card.name for card in cards) == sorted(card.name for card in CARDS)
    assert cards[0] == builtin.CARD
    assert [card.parameters for card in cards] == sorted(card.parameters for card in cards)


def test_the_counts_of_parameters_are_those_of_the_architectures():
    base, large = {"vocab_size": 256_000}, {"vocab_size": 256_000, "projection_size": 1152}
    made = {
        "clip-vit-b-32": (CLIPModel, CLIPConfig()),
        "siglip2-base": (
            SiglipModel,
            SiglipConfig(text_config=base, vision_config={"image_size": 256, "patch_size": 16}),
        ),
        "siglip2-base-32": (
            SiglipModel,
            SiglipConfig(text_config=base, vision_config={"image_size": 256, "patch_size": 32}),
        ),
        "siglip2-so400m": (
            SiglipModel,
            SiglipConfig(
                text_config=large | SO400M,
                vision_config={"image_size": 384, "patch_size": 14} | SO400M,
            ),
        ),
    }
    for name, (kind, config) in made.items():
        with torch.device("meta"):
            model = kind(config)
        assert sum(p.numel() for p in model.parameters()) == presets.preset(name).parameters
        vision = config.vision_config.hidden_size
        assert presets.preset(name).dimension == getattr(config, "projection_dim", vision)


def test_the_builtin_model_counts_both_of_its_networks():
    encoder = builtin.load()
    encoder.encode_texts(["a"])
    encoder.encode_images([torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()])
    assert sum(p.numel() for p in encoder._towers.parameters()) == builtin.CARD.parameters


def test_two_names_of_one_model_are_one():
    assert presets.short_name("google/siglip2-base-patch16-256") == "siglip2-base"
    assert presets.short_name("Google/SigLIP2-base-patch16-256") == "siglip2-base"
    assert presets.short_name("someone/else") == "someone/else"
    assert presets.hub_id("siglip2-base") == "google/siglip2-base-patch16-256"
    for asked in ("gme-qwen2-vl-2b", "gme://Alibaba-NLP/gme-Qwen2-VL-2B-Instruct"):
        assert Library(Settings(model=asked)).model == "gme-qwen2-vl-2b"
    for asked in (str(GME), f"gme://{GME}", f"{GME}/"):
        assert Library(Settings(model=asked)).model == str(GME)


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("siglip-base", "siglip2-base"), ("bultin", "builtin"), ("gme-qwen2-2b", "gme-qwen2-vl-2b")],
)
def test_an_unknown_name_suggests_the_nearest(asked, nearest):
    with pytest.raises(EncoderError, match=f"no model called {asked}") as caught:
        plugins.encoder_module(asked)
    assert f"Did you mean {nearest}?" in caught.value.hint
    assert "imgsearch models" in caught.value.hint


def test_a_model_that_is_not_here_says_how_to_get_it():
    with pytest.raises(EncoderError, match="siglip2-base is not on this machine") as caught:
        published_models.load("siglip2-base")
    assert "imgsearch models download siglip2-base" in caught.value.hint
    assert "google/siglip2-base-patch16-256" in caught.value.hint


def test_a_source_stands_in_for_the_place_of_a_name():
    found = locate("gme-qwen2-vl-2b", str(GME))
    assert (found.name, str(found.path)) == ("gme-qwen2-vl-2b", str(GME))
    options = EncoderOptions(device="cpu", precision="fp32", source=str(GME))
    encoder = plugins.encoder_module("gme-qwen2-vl-2b").load("gme-qwen2-vl-2b", options)
    assert encoder.space.model == "gme-qwen2-vl-2b"
    assert encoder.space.revision == published_models.revision(str(GME))


def test_a_folder_that_lacks_a_shard_is_not_whole(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "model-1.safetensors").write_bytes(b"")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}')
    assert missing_shards(tmp_path) == ["model-2.safetensors"]
    with pytest.raises(EncoderError, match=r"lacks model-2\.safetensors"):
        find_model(str(tmp_path))
    index.write_text("[]")
    with pytest.raises(EncoderError, match="damaged"):
        published_models.revision(str(tmp_path))


class TestSettings:
    def test_a_table_of_models_is_read_and_can_be_hashed(self, tmp_path):
        file = tmp_path / "config.toml"
        file.write_text('workers = 2\n[models]\nsiglip2-base = "~/siglip"\n')
        settings = load_settings({}, {"IMGSEARCH_CONFIG": str(file)})
        assert settings.models == (("siglip2-base", "~/siglip"),)
        assert hash(settings) == hash(load_settings({}, {"IMGSEARCH_CONFIG": str(file)}))

    def test_an_unknown_preset_is_reported(self):
        library = Library(Settings(models=(("siglip-base", "x"),)))
        with pytest.raises(ImgSearchError, match="unknown model: siglip-base") as caught:
            library.models.listed()
        assert caught.value.hint == "Did you mean siglip2-base?"


class TestDefaultModel:
    """The model of a new library; the weights of the tests stand in for the published ones."""

    @pytest.fixture
    def gpu(self, monkeypatch):
        """Pretend that PyTorch sees a GPU with this much memory."""

        def pretend(memory: int) -> None:
            properties = SimpleNamespace(name="GPU", total_memory=memory)
            monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
            monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
            monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties)

        return pretend

    @full_only
    def test_without_weights_it_is_the_builtin_model_and_torch_is_not_asked(self, gpu):
        gpu(80 << 30)
        assert default_model("auto").name == "builtin"
        code = (
            "import sys; from imgsearch.library import Library"
            "\nfrom imgsearch.settings import Settings"
            "\nassert Library(Settings(library='nowhere')).model == 'builtin'"
            "\nsys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
    def test_a_gpu_that_holds_the_weights_gets_them(self, gpu, device):
        gpu(6 << 30)
        model = default_model(device, str(GME))
        assert model == DefaultModel("gme-qwen2-vl-2b", "its weights are here, and GPU has 6 GB")

    def test_a_smaller_gpu_gets_the_builtin_model(self, gpu):
        gpu(4 << 30)
        model = default_model("auto", str(GME))
        assert model.name == "builtin"
        assert "needs a CUDA GPU with 6 GB; GPU has 4.3 GB" in model.reason

    @pytest.mark.parametrize("device", ["cpu", "mps", "cuda:1"])
    def test_another_device_gets_the_builtin_model(self, gpu, device):
        gpu(80 << 30)
        assert default_model(device, str(GME)).name == "builtin"

    def test_a_model_that_was_named_is_taken(self, gpu):
        gpu(80 << 30)
        places = (("gme-qwen2-vl-2b", str(GME)),)
        assert Library(Settings(library="nowhere", models=places)).model == "gme-qwen2-vl-2b"
        named = Settings(library="nowhere", models=places, model="builtin")
        assert Library(named).model == "builtin"
