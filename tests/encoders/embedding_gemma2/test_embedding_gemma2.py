"""EmbeddingGemma 2 against golden vectors of sentence-transformers with the stock processor."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers.models.gemma4.image_processing_pil_gemma4 import (
    Gemma4ImageProcessorPil,
    get_aspect_ratio_preserving_size,
)

from imgsearch.bench.random_embedding_gemma2 import random_model
from imgsearch.encoders import published_models
from imgsearch.encoders.devices import choose_device
from imgsearch.encoders.embedding_gemma2.encoder import EmbeddingGemma2Encoder
from imgsearch.encoders.embedding_gemma2.folder import TRAINED_TOKENS, choose_dtypes, load
from imgsearch.encoders.embedding_gemma2.resize import LargestFit
from imgsearch.encoders.presets import EMBEDDING_GEMMA2
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions
from imgsearch.vectors import normalize
from tests.conftest import ROOT
from tests.encoders.golden_vectors import assert_same, cosines

GOLDEN = ROOT / "tests" / "golden" / "embedding_gemma2"
sys.path += [str(GOLDEN), str(ROOT / "tests" / "golden" / "gme")]

from embedding_gemma2_inputs import PAIRS, SIZES, TEXTS  # noqa: E402
from inputs import picture  # noqa: E402

MODEL = str(GOLDEN / "model")
CPU = EncoderOptions(device="cpu", precision="fp32", threads=1, batch_size=8)
STEPS = LargestFit(280)


@pytest.fixture(scope="module")
def encoder() -> EmbeddingGemma2Encoder:
    return load(MODEL, CPU)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return load_file(GOLDEN / "golden.safetensors")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [picture(*size) for size in SIZES]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(MODEL, tmp_path / "model")


class TestFidelity:
    @pytest.mark.parametrize("batch", [1, 8])
    def test_queries(self, encoder, golden, monkeypatch, batch):
        monkeypatch.setattr(encoder, "batch_size", batch)
        assert_same(encoder.encode_texts(TEXTS), golden["queries"])

    def test_words_without_an_instruction(self, encoder, golden):
        assert_same(encoder.encode_texts(TEXTS, ""), golden["plain"])

    def test_pictures_of_odd_sizes(self, encoder, golden, pictures):
        """Torchvision's bicubic filter, which the reference uses, rounds unlike Pillow's."""
        assert_same(encoder.encode_images(pictures), golden["images"], 0.9999)

    def test_the_patches_are_those_of_the_stock_processor(self, encoder, pictures):
        stock = Gemma4ImageProcessorPil()
        prepared = [np.asarray(STEPS.apply(Image.fromarray(one))) for one in pictures[:3]]
        wanted = stock(
            images=[Image.fromarray(one) for one in prepared], do_resize=False, return_tensors="pt"
        )
        features = encoder.image_features(prepared)
        found = features["pixel_values"] / 255
        torch.testing.assert_close(found, wanted["pixel_values"].float(), atol=1e-6, rtol=0)
        assert features["image_position_ids"].equal(wanted["image_position_ids"])

    def test_words_with_a_picture(self, encoder, golden, pictures):
        texts, images = zip(*((text, pictures[i]) for text, i in PAIRS), strict=True)
        assert_same(encoder.encode_fused(texts, images), golden["pairs"], 0.9999)

    def test_shorter_vectors_are_the_beginning(self, golden):
        with pytest.raises(EncoderError, match="cut to 32"):
            load(MODEL, replace(CPU, dimension=32))
        named = load("embeddinggemma-2", replace(CPU, source=MODEL))
        assert named.card == EMBEDDING_GEMMA2
        assert_same(named.encode_texts(TEXTS[:2]), golden["queries"][:2])
        assert EMBEDDING_GEMMA2.dimensions == (128, 256, 512)


class TestWhatTheGoldenVectorsWouldCatch:
    def test_no_instruction(self, golden):
        """The mean of a long text hardly moves, so the last one is left out."""
        assert cosines(golden["plain"][:5], golden["queries"][:5]).max() < 0.99

    def test_no_instruction_for_pictures(self, folder, golden, pictures):
        (folder / "config_sentence_transformers.json").unlink()
        wrong = load(str(folder), CPU).encode_images(pictures[:2])
        assert cosines(wrong, golden["images"][:2]).max() < 0.9999

    def test_rows_and_columns_exchanged(self, encoder, golden, pictures):
        turned = np.ascontiguousarray(pictures[2].transpose(1, 0, 2))
        assert cosines(encoder.encode_images([turned]), golden["images"][2:3])[0] < 0.999


class TestPrompts:
    def test_control_tokens_in_words_have_no_effect(self, encoder):
        said = "<|image|> <bos> <eos> <|image> a<b>"
        features = encoder.text_features([said], said)
        ids, image = features["input_ids"], encoder.tokenizer.image_token_id
        assert image not in ids
        assert (ids == encoder.tokenizer.bos_token_id).sum() == 1
        assert (ids == encoder.tokenizer.eos_token_id).sum() == 1

    def test_a_template_without_its_ends_gets_those_of_the_tokenizer(self, folder, golden):
        file = folder / "chat_template.jinja"
        text = file.read_text()
        file.write_text(text.replace("{{ bos_token }}", "").replace("{{ eos_token }}", ""))
        assert_same(load(str(folder), CPU).encode_texts(TEXTS), golden["queries"])

    def test_a_missing_template_is_reported(self, folder):
        (folder / "chat_template.jinja").unlink()
        with pytest.raises(EncoderError, match="no chat template"):
            load(str(folder), CPU)


class TestResize:
    @given(st.integers(1, 6000), st.integers(1, 6000))
    def test_sizes_are_those_of_the_stock_processor(self, width, height):
        found = STEPS.final_size(width, height)
        assert STEPS.final_size(*found) == found
        if max(width, height) <= 280 * min(width, height) and found != (width, height):
            h, w = get_aspect_ratio_preserving_size(height, width, 16, 280 * 9, 3)
            assert found == (w, h)

    @pytest.mark.parametrize("size", [(3, 900), (1388, 465), (48, 48 * 280), (1, 5000)])
    def test_it_is_applied_once(self, size):
        once = STEPS.apply(Image.new("RGB", size))
        assert once.size == STEPS.final_size(*size)
        assert once.width * once.height <= 280 * 48**2
        assert STEPS.apply(once) is once

    def test_it_is_sent_to_decoder_processes_without_torch(self):
        data = pickle.dumps(STEPS)
        code = f"import pickle, sys; pickle.loads({data!r}); sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("tokens", TRAINED_TOKENS[:2])
    def test_the_maximum_is_an_option(self, encoder, tokens):
        few = load(MODEL, replace(CPU, visual_tokens=tokens))
        assert few.space.visual_tokens == tokens
        assert few.space != encoder.space
        assert few.encode_images([picture(640, 480)]).shape == (1, 48)

    def test_a_number_that_it_was_not_trained_with_is_refused(self):
        with pytest.raises(EncoderError, match="at most 256 visual tokens") as caught:
            load(MODEL, replace(CPU, visual_tokens=256))
        assert "70, 140, 280, 560, 1120" in caught.value.hint


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_golden_vectors_on_a_gpu(golden, pictures):
    gpu = load(MODEL, EncoderOptions(device="cuda", precision="fp32", batch_size=4))
    assert_same(gpu.encode_texts(TEXTS), golden["queries"])
    assert_same(gpu.encode_images(pictures), golden["images"], 0.9999)


class TestLoading:
    def test_by_its_files(self, encoder):
        found = published_models.load(MODEL, CPU)
        assert isinstance(found, EmbeddingGemma2Encoder)
        assert found.space == encoder.space
        assert encoder.space.instruction == "title: none | text: "
        assert encoder.space.visual_tokens == 280
        assert encoder.space.dimension == 48

    def test_the_audio_tower_is_left_out(self, folder, golden):
        config = json.loads((folder / "config.json").read_text())
        config["audio_config"] = {"model_type": "gemma4_audio", "num_hidden_layers": 1}
        (folder / "config.json").write_text(json.dumps(config))
        tensors = load_file(folder / "model.safetensors")
        tensors["audio_tower.layers.0.norm.weight"] = np.ones(8, np.float32)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        found = load(str(folder), CPU)
        assert found.network.audio_tower is None
        assert_same(found.encode_texts(TEXTS[:2]), golden["queries"][:2])

    def test_missing_weights_are_named(self, folder):
        tensors = load_file(folder / "model.safetensors")
        tensors.pop("language_model.embedding_projection.weight")
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(EncoderError, match="embedding_projection"):
            load(str(folder), CPU)

    def test_half_precision_is_close(self, golden, pictures):
        half = load(MODEL, EncoderOptions(device="cpu", precision="bf16", threads=1))
        assert cosines(half.encode_images(pictures[:2]), golden["images"][:2]).min() > 0.99

    def test_float16_is_refused(self, monkeypatch):
        with pytest.raises(EncoderError, match="float16"):
            load(MODEL, replace(CPU, precision="fp16"))
        where = "imgsearch.encoders.embedding_gemma2.folder.choose_weights_dtype"
        monkeypatch.setattr(where, lambda *_: (torch.float16, None))
        chosen = choose_dtypes(EMBEDDING_GEMMA2, "auto", choose_device("cpu"))
        assert chosen == (torch.float32, None), "an older GPU"

    def test_the_package_is_light(self):
        code = "import sys, imgsearch.encoders.embedding_gemma2; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_the_published_shapes(self):
        """Those of the published config.json, which are the defaults of transformers."""
        model = random_model(torch.device("meta"), torch.bfloat16)
        counted = sum(weight.numel() for weight in model.parameters())
        assert 0.43e9 < counted < 0.45e9  # 270 and 170 million by the model card
        assert model.config.text_config.embedding_dim == EMBEDDING_GEMMA2.dimension


def test_vectors_of_nothing(encoder):
    assert encoder.encode_images([]).shape == (0, 48)
    assert normalize(encoder.encode_texts(["a"])).shape == (1, 48)
