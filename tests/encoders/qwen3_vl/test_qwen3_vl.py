"""Qwen3-VL-Embedding against golden vectors of the published computation."""

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

from imgsearch.bench.random_qwen3_vl import random_model, random_weights
from imgsearch.encoders import presets, published_models
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.encoders.model_folder import locate, only_pools
from imgsearch.encoders.qwen3_vl.encoder import Qwen3VLEncoder, Reader
from imgsearch.encoders.qwen3_vl.folder import choose_tokens, load
from imgsearch.encoders.qwen3_vl.resize import OneResize
from imgsearch.errors import EncoderError, QueryError
from imgsearch.model_card import EncoderOptions
from imgsearch.vectors import RANDOM, normalize
from tests.conftest import ROOT
from tests.encoders.golden_vectors import assert_same, cosines

GOLDEN = ROOT / "tests" / "golden" / "qwen3_vl"
sys.path += [str(GOLDEN), str(ROOT / "tests" / "golden" / "gme")]

from inputs import picture  # noqa: E402
from qwen3_vl_inputs import PAIRS, SEARCH, SIZES, TEXTS  # noqa: E402

MODEL = str(GOLDEN / "model")
CPU = EncoderOptions(device="cpu", precision="fp32", threads=1, batch_size=8)
STEPS = OneResize(choose_tokens(0))


@pytest.fixture(scope="module")
def encoder() -> Qwen3VLEncoder:
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


@pytest.fixture(params=[1, 8])
def batched(encoder, request):
    """The encoder in single inputs and in batches of up to eight."""
    encoder.batch_size = request.param
    yield encoder
    encoder.batch_size = CPU.batch_size


class TestFidelity:
    def test_queries(self, batched, golden):
        assert_same(batched.encode_texts(TEXTS), golden["queries"])

    def test_words_with_another_instruction(self, encoder, golden):
        assert_same(encoder.encode_texts(TEXTS, "Represent the user's input."), golden["documents"])

    def test_an_instruction_gets_its_full_stop(self, encoder, golden):
        assert_same(encoder.encode_texts(TEXTS, f" {SEARCH[:-1]} "), golden["queries"])

    def test_pictures_of_odd_sizes(self, encoder, golden, pictures):
        assert_same(encoder.encode_images(pictures), golden["images"])

    def test_pictures_that_a_decoder_has_prepared(self, encoder, golden, pictures):
        prepared = [np.asarray(STEPS.apply(Image.fromarray(one))) for one in pictures[1:5]]
        assert_same(encoder.encode_images(prepared), golden["images"][1:5])

    def test_words_with_a_picture(self, batched, golden, pictures):
        texts, images = zip(*((text, pictures[i]) for text, i in PAIRS), strict=True)
        found = batched.encode_fused(texts, images, "Represent the user's input.")
        assert_same(found, golden["pairs"])

    @pytest.mark.parametrize("batch", ["image_batch", "image_batch_left"])
    def test_the_reference_does_not_depend_on_its_padding(self, golden, batch):
        assert_same(golden[batch], golden["images"][[0, 2, 4]])

    def test_nothing_in_nothing_out(self, encoder):
        assert encoder.encode_images([]).shape == (0, 64)

    def test_the_pixels_are_those_of_the_stock_processor(self, encoder, pictures):
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
            Qwen2VLImageProcessorPil,
        )

        stock = Qwen2VLImageProcessorPil.from_pretrained(MODEL)
        prepared = [np.asarray(STEPS.apply(Image.fromarray(one))) for one in pictures[1:4]]
        wanted = stock(
            images=[Image.fromarray(one) for one in prepared], do_resize=False, return_tensors="pt"
        )
        features = encoder.image_features(prepared)
        found = encoder._patches(features["pixels"], features["sizes"])
        torch.testing.assert_close(found, wanted["pixel_values"], atol=1e-5, rtol=0)
        assert features["grids"].equal(wanted["image_grid_thw"])

    @pytest.mark.parametrize("dimension", [16, 48])
    def test_shorter_vectors_are_the_beginning(self, folder, golden, dimension):
        config = json.loads((folder / "config.json").read_text())
        config["matryoshka_dims"] = [16, 48]
        (folder / "config.json").write_text(json.dumps(config))
        short = load(str(folder), replace(CPU, dimension=dimension))
        assert short.space.dimension == dimension
        expected = normalize(golden["queries"][:, :dimension])
        assert_same(short.encode_texts(TEXTS), expected)
        with pytest.raises(EncoderError, match="no vectors of 32 dimensions"):
            load(str(folder), replace(CPU, dimension=32))


class TestWhatTheGoldenVectorsWouldCatch:
    """Each known mistake moves a vector far beyond the tolerance of the tests above."""

    def test_one_dimensional_positions(self, encoder, golden, pictures, monkeypatch):
        def in_a_row(ids, *_, **__):
            return torch.arange(ids.shape[1]).expand(3, *ids.shape), None

        monkeypatch.setattr(encoder.network, "get_rope_index", in_a_row)
        wrong = encoder.encode_images(pictures[:2])
        assert cosines(wrong, golden["images"][:2]).max() < 0.99

    def test_bilinear_resize(self, encoder, golden, pictures):
        blurred = Image.fromarray(pictures[2]).resize((320, 512), Image.Resampling.BILINEAR)
        wrong = encoder.encode_images([np.asarray(blurred)])
        assert cosines(wrong, golden["images"][2:3])[0] < 0.9999

    def test_the_range_of_the_processor_file(self, encoder, golden, pictures):
        """preprocessor_config.json has 64 visual tokens at least, and the published code 4."""
        larger = Image.fromarray(pictures[4]).resize((256, 256), Image.Resampling.BICUBIC)
        wrong = encoder.encode_images([np.asarray(larger)])
        assert cosines(wrong, golden["images"][4:5])[0] < 0.99

    def test_no_prompt_for_an_answer(self, encoder, golden, monkeypatch):
        prompt = Reader.prompt
        monkeypatch.setattr(
            Reader, "prompt", lambda self, *part: prompt(self, *part).rpartition("<|im_start|>")[0]
        )
        assert cosines(encoder.encode_texts(TEXTS[:4]), golden["queries"][:4]).max() < 0.99

    def test_the_instruction_of_documents(self, encoder, golden):
        assert cosines(golden["documents"], golden["queries"]).max() < 0.99


class TestPrompts:
    def test_the_published_form(self, encoder):
        prompt = encoder.reader.prompt("Find it", ("a cat", np.zeros((32, 32, 3), np.uint8)))
        assert prompt == (
            "<|im_start|>system\nFind it.<|im_end|>\n"
            "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>a cat<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    def test_control_tokens_in_words_have_no_effect(self, encoder):
        said = "<|im_end|> <|image_pad|>"
        prompt = encoder.reader.prompt(said, (said, None))
        assert "<|image_pad|>" not in prompt
        assert prompt.count("<|im_end|>") == 2
        assert encoder.encode_texts([said], said).shape == (1, 64)

    def test_an_instruction_without_room_for_a_picture(self, encoder, pictures):
        with pytest.raises(QueryError, match="so long"):
            encoder.encode_fused(["a"], [pictures[0]], "word " * 8300)

    def test_a_long_text_is_cut(self, encoder):
        features = encoder.text_features(["word " * 9000], None)
        assert features["input_ids"].shape == (1, 8192)
        assert features["last"].tolist() == [8191]

    def test_a_template_in_the_older_file(self, folder, golden):
        template = (folder / "chat_template.jinja").read_text()
        (folder / "chat_template.jinja").unlink()
        with pytest.raises(EncoderError, match="no chat template"):
            load(str(folder), CPU)
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
        assert_same(load(str(folder), CPU).encode_texts(TEXTS), golden["queries"])


class TestResize:
    @pytest.mark.parametrize(
        ("given_size", "final"),
        [
            ((448, 448), (448, 448)),
            ((336, 624), (320, 640)),  # 10.5 and 19.5 squares: half to even
            ((20, 20), (64, 64)),
            ((30, 6000), (32, 6016)),
            ((4000, 3000), (1536, 1152)),
            ((1, 6000), (32, 192)),  # cropped to an aspect of 200
        ],
    )
    def test_sizes(self, given_size, final):
        assert STEPS.final_size(*given_size) == final
        cropped = max(given_size) > 200 * min(given_size)
        assert STEPS.decoded_size(*given_size) == (None if cropped else final)

    @given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([64, 100, 400, 1800]))
    def test_every_size_becomes_few_enough_squares_and_stays(self, width, height, tokens):
        steps = OneResize(choose_tokens(tokens))
        w, h = steps.final_size(width, height)
        assert w % 32 == h % 32 == 0
        assert 4 <= w * h // 1024 <= tokens
        assert steps.final_size(w, h) == (w, h)

    def test_it_is_applied_once(self):
        for size in ((333, 517), (3, 900), (900, 2)):
            once = STEPS.apply(Image.new("RGB", size))
            assert once.size == STEPS.final_size(*size)
            assert STEPS.apply(once) is once

    def test_it_is_sent_to_decoder_processes_without_torch(self):
        data = pickle.dumps(STEPS)
        code = f"import pickle, sys; pickle.loads({data!r}); sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("tokens", [64, 256, 1800])
    def test_the_maximum_is_an_option(self, encoder, tokens):
        few = load(MODEL, replace(CPU, visual_tokens=tokens))
        assert f"4-{tokens} visual tokens" in few.space.preprocessing
        assert few.space.visual_tokens == tokens
        assert (few.space == encoder.space) == (tokens == 1800)
        width, height = few.input_size.preparation.final_size(4000, 3000)
        assert 0.7 * tokens <= width * height / 1024 <= tokens
        assert few.encode_images([picture(640, 480)]).shape == (1, 64)

    @pytest.mark.parametrize("tokens", [1, 63, 1801])
    def test_a_maximum_that_does_not_fit_is_refused(self, tokens):
        with pytest.raises(EncoderError, match=f"at most {tokens} visual tokens") as caught:
            load(MODEL, replace(CPU, visual_tokens=tokens))
        assert "from 64 to 1800" in caught.value.hint


class TestLoading:
    def test_by_its_files(self, encoder, golden):
        found = published_models.load(MODEL, CPU)
        assert isinstance(found, Qwen3VLEncoder)
        assert found.space == encoder.space
        assert published_models.revision(MODEL) == encoder.space.revision
        assert encoder.space.instruction == "Represent the user's input."
        assert_same(found.encode_texts(TEXTS[:1]), golden["queries"][:1])

    def test_as_a_preset(self, encoder):
        named = load("qwen3-vl-embedding-2b", replace(CPU, source=MODEL))
        assert named.space.model == named.card.name == "qwen3-vl-embedding-2b"
        assert named.space.dimension == 64
        with pytest.raises(EncoderError, match="cut to 32"):  # it was trained from 64 on
            load("qwen3-vl-embedding-2b", replace(CPU, source=MODEL, dimension=32))

    def test_with_the_files_of_sentence_transformers(self, folder):
        """Its modules are what is computed here; a further layer is left to that library."""
        modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in ("Transformer",)]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        pooling = folder / "1_Pooling" / "config.json"
        for config, fits in (
            ({"pooling_mode": "lasttoken"}, True),
            ({"pooling_mode_lasttoken": True}, True),
            ({"pooling_mode": "mean"}, False),
        ):
            pooling.write_text(json.dumps(config))
            assert only_pools(locate(str(folder)).path, "lasttoken") == fits
        shutil.rmtree(folder / "1_Pooling")
        modules.append({"type": "sentence_transformers.models.Dense"})
        (folder / "modules.json").write_text(json.dumps(modules))
        assert not only_pools(locate(str(folder)).path, "lasttoken")

    def test_weights_without_a_head(self, folder, golden):
        """Keys as in a checkpoint of the embedding model alone."""
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        shard = folder / index["weight_map"].pop("lm_head.weight")
        tensors = load_file(shard)
        tensors.pop("lm_head.weight")
        save_file(tensors, shard, {"format": "pt"})
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        assert_same(load(str(folder), CPU).encode_texts(TEXTS[:2]), golden["queries"][:2])

    def test_missing_weights_are_named(self, folder):
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        shard = folder / index["weight_map"]["model.visual.pos_embed.weight"]
        tensors = load_file(shard)
        tensors.pop("model.visual.pos_embed.weight")
        save_file(tensors, shard, {"format": "pt"})
        with pytest.raises(EncoderError, match="pos_embed"):
            load(str(folder), CPU)

    @pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json"])
    def test_missing_files(self, folder, name):
        for each in (name, *(["vocab.json"] if name.startswith("tok") else [])):
            (folder / each).unlink()
        with pytest.raises(EncoderError, match="cannot be loaded") as caught:
            load(str(folder), CPU)
        assert "models download" in caught.value.hint

    @pytest.mark.parametrize("precision", ["bf16", "autocast"])
    def test_half_precision_is_close(self, precision, golden, pictures):
        half = load(MODEL, EncoderOptions(device="cpu", precision=precision, threads=1))
        assert cosines(half.encode_images(pictures[:2]), golden["images"][:2]).min() > 0.99

    def test_the_package_is_light(self):
        code = "import sys, imgsearch.encoders.qwen3_vl; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
class TestOnAGpu:
    def test_golden_vectors(self, golden, pictures):
        gpu = load(MODEL, EncoderOptions(device="cuda", precision="fp32", batch_size=4))
        assert_same(gpu.encode_texts(TEXTS), golden["queries"])
        assert_same(gpu.encode_images(pictures), golden["images"])


class TestRandomWeights:
    @pytest.mark.parametrize("card", presets.QWEN3_VL, ids=lambda card: card.name)
    def test_the_published_shapes(self, card):
        """Embedding width, number of parameters, and keys of the published index."""
        model = random_model(card.name, torch.device("meta"), torch.bfloat16)
        assert model.config.text_config.hidden_size == card.dimension == max(card.dimensions)
        assert sum(weight.numel() for weight in model.parameters()) == card.parameters
        assert card.visual_tokens == choose_tokens(0).maximum

    def test_it_says_that_it_means_nothing(self):
        encoder = random_weights("qwen3-vl-tiny", CPU)
        assert encoder.space.revision == RANDOM
        assert encoder.card.summary.startswith("random weights")
        assert encoder.encode_images([picture(448, 448)]).shape == (1, 64)
        assert encoder.encode_texts(["a cat", "山"]).shape == (2, 64)


def test_tokens_are_those_of_the_published_code():
    assert choose_tokens(0) == VisualTokens(4, 1800)
