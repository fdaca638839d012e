"""The built-in model: its parts, its files, its promises."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

from imgsearch.encoders import builtin
from imgsearch.encoders.builtin import blocks, efficientnet, weights
from imgsearch.encoders.builtin.blocks import sentence
from imgsearch.encoders.builtin.blocks.halves import VisionOutput
from imgsearch.encoders.builtin.minilm import SentenceNetwork
from imgsearch.encoders.builtin.module import CrossModalConcepts
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions
from tests.conftest import full_only


@pytest.fixture(scope="module")
def encoder():
    return builtin.load("builtin", EncoderOptions(device="cpu", threads=1, precision="fp32"))


@pytest.fixture(scope="module")
def assets():
    return weights.load_assets()


def plain(rgb, shape=(200, 260)):
    return np.full((*shape, 3), rgb, np.uint8)


def gradient():
    """A picture that is the same on every machine."""
    rows, columns = np.mgrid[0:200, 0:260]
    return np.stack([rows, columns * 0.9, (rows * columns) % 256], -1).astype(np.uint8)


def test_importing_it_does_not_import_torch():
    code = "import sys, imgsearch.encoders.builtin as b; print(b.SPACE.key, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == f"{builtin.SPACE.key} False\n"


def test_texts_and_pictures_load_only_their_own_network():
    module = CrossModalConcepts()
    model = SentenceTransformer(modules=[module], device="cpu")
    model.encode(["a dog"])
    assert [name for name, _ in module.towers.named_children()] == ["texts"]
    other = CrossModalConcepts()
    model = SentenceTransformer(modules=[other], device="cpu")
    model.encode([Image.new("RGB", (4, 4))])
    assert [name for name, _ in other.towers.named_children()] == ["pictures"]


def test_it_is_a_module_of_sentence_transformers():
    model = SentenceTransformer(modules=[CrossModalConcepts()], device="cpu")
    assert model.modalities == ["text", "image"]
    assert model.get_embedding_dimension() == builtin.SPACE.dimension == blocks.DIMENSION
    with pytest.raises(ValueError, match="not both"):
        CrossModalConcepts().preprocess(["a dog", Image.new("RGB", (4, 4))])


@full_only
def test_the_module_and_the_encoder_give_the_same_vectors(encoder):
    model = SentenceTransformer(modules=[CrossModalConcepts()], device="cpu")
    texts = ["a dog", "a woman in a red sports car beside the sea at night"]
    assert np.abs(model.encode(texts) - encoder.encode_texts(texts)).max() < 1e-6
    pictures = [gradient(), plain((20, 60, 160))]
    seen = model.encode([Image.fromarray(each) for each in pictures])
    assert np.abs(seen - encoder.encode_images(pictures)).max() < 1e-6


def test_the_sentence_network_agrees_with_that_of_transformers():
    from transformers import AutoModel, AutoTokenizer

    folder = weights.package_folder(weights.TEXT_PACKAGE) / weights.TEXT_FOLDER
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bert = AutoModel.from_pretrained(folder).eval()
    texts = ["a dog", "", "Na\u00efve [SEP] caf\u00e9 \u2014 \u65e5\u672c", "word " * 400]
    fed = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    network = SentenceNetwork()
    ours = network.tokenize(texts)
    assert torch.equal(fed["input_ids"], ours["input_ids"])
    assert torch.equal(fed["attention_mask"], ours["attention_mask"])
    with torch.inference_mode():
        tokens = bert(fed["input_ids"], fed["attention_mask"]).last_hidden_state
        mask = fed["attention_mask"][..., None]
        theirs = torch.nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)
        assert torch.allclose(network(**ours), theirs, atol=1e-6)


def test_batches_have_few_lengths_and_a_text_alone_is_not_padded():
    network = SentenceNetwork()
    texts = ["a small dog", "a dog"]
    alone = [network.tokenize([text]) for text in texts]
    together = network.tokenize(texts)
    assert [each["input_ids"].shape for each in alone] == [(1, 5), (1, 4)]
    assert together["input_ids"].shape == (2, 8)
    assert together["attention_mask"].sum(1).tolist() == [5, 4]
    with torch.inference_mode():
        rows = torch.cat([network(**each) for each in alone])
        assert torch.allclose(network(**together), rows, atol=1e-6)


def test_a_saved_module_is_loaded_again_but_not_one_of_another_revision(tmp_path):
    CrossModalConcepts().save(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["imgsearch_builtin.json"]
    assert CrossModalConcepts.load(str(tmp_path)).revision == builtin.SPACE.revision
    (tmp_path / "imgsearch_builtin.json").write_text('{"revision": "0"}')
    with pytest.raises(EncoderError, match="and not 0"):
        CrossModalConcepts.load(str(tmp_path))


def test_the_space_does_not_drift_without_a_new_revision(encoder):
    """A change of these figures is another space: give SPACE another revision."""
    assert builtin.SPACE.revision == "4"
    image = encoder.encode_images([gradient()])[0]
    text = encoder.encode_texts(["a woman in a red sports car beside the sea at night"])[0]
    assert image[[0, 100, 384, 500, 640, 666, 680, 684, 700, 799]] == pytest.approx(
        GOLDEN_IMAGE, abs=1e-3
    )
    assert text[[0, 100, 384, 500, 643, 656, 661, 674, 700, 799]] == pytest.approx(
        GOLDEN_TEXT, abs=1e-3
    )


GOLDEN_IMAGE = [-0.0074, 0.0141, 0.0021, -0.0318, -0.012, 0.2335, 0.0, 0.269, -0.0039, 0.0911]
GOLDEN_TEXT = [0.0013, 0.0129, 0.0327, -0.0099, 0.3464, 0.1888, 0.2697, 0.2828, 0.0, 0.0]


def test_every_block_has_its_share_of_every_picture(encoder):
    total = sum(block.share for block in blocks.BLOCKS)
    for image in encoder.encode_images([gradient(), plain((255, 255, 255)), plain((0, 0, 0))]):
        for block in blocks.BLOCKS:
            part = image[blocks.slices()[block.name]]
            assert part @ part == pytest.approx(block.share / total, abs=1e-5), block.name


def sentence_rows(assets, logits, likely):
    half = sentence.SentencePictures(assets, torch.float32)
    nothing = torch.empty(0)
    return half(VisionOutput(nothing, nothing, logits, nothing, likely, {}))


def test_a_picture_counts_by_the_49_classes_that_it_resembles_most(assets):
    """And not by the level of the logits, or by classes further down."""
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    logits, likely = torch.empty(1, 1000), torch.zeros(1, 1000)
    logits[0, order] = torch.arange(1000, 0, -1.0)
    likely[0, order[0]] = 1
    row = sentence_rows(assets, logits, likely)
    assert torch.allclose(row.norm(dim=1), torch.ones(1))
    assert torch.allclose(sentence_rows(assets, logits + 7, likely), row, atol=1e-5)
    for rank, same in ((2, False), (48, False), (50, True), (999, True)):
        other = logits.clone()
        other[0, order[rank]] -= 0.9
        moved = sentence_rows(assets, other, likely)
        assert torch.allclose(moved, row, atol=1e-6) == same, rank


def test_blocks_lie_side_by_side_and_fill_the_vector():
    places = list(blocks.slices().values())
    assert [place.start for place in places] == [0, *(place.stop for place in places[:-1])]
    assert places[-1].stop == blocks.DIMENSION
    assert list(blocks.slices()) == [block.name for block in blocks.BLOCKS]


def test_a_colour_word_finds_its_colour(encoder):
    colours = {"red": (200, 30, 35), "green": (60, 150, 60), "blue": (45, 95, 190)}
    pictures = encoder.encode_images([plain(rgb) for rgb in colours.values()])
    texts = encoder.encode_texts([f"something {name}" for name in colours])
    colour_block = blocks.slices()["colour"]
    found = (texts[:, colour_block] @ pictures[:, colour_block].T).argmax(1)
    assert found.tolist() == [0, 1, 2]


def test_an_altered_file_is_refused_before_it_is_loaded(tmp_path):
    (tmp_path / "assets.npz").write_bytes(weights.ASSETS.read_bytes() + b" ")
    with pytest.raises(EncoderError, match="was altered") as caught:
        weights.read_verified(tmp_path, "assets.npz", "imgsearch-local")
    assert "imgsearch-local" in caught.value.hint


def test_an_absent_file_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(EncoderError, match="cannot be read") as caught:
        weights.read_verified(tmp_path, "assets.npz", "imgsearch-local")
    assert caught.value.hint


def test_an_absent_package_is_named():
    with pytest.raises(EncoderError, match="no-such-package-here"):
        weights.package_folder("no-such-package-here")


def test_the_arrays_are_what_the_script_makes(assets):
    assert {name: array.shape for name, array in assets.items()} == {
        "concept_texts": (1467, 384),
        "concept_rotation": (1467, 256),
        "concept_weights": (1467,),
        "class_texts": (1000, 384),
        "visual_basis": (1280, 112),
        "concept_members": (1467, 1000),
    }
    assert np.allclose(np.linalg.norm(assets["class_texts"], axis=1), 1, atol=1e-3)
    assert np.array_equal(assets["concept_members"][:1000], np.eye(1000))
    members = assets["concept_members"].sum(1)
    surprise = np.sqrt(np.log(1000 / members) / np.log(1000))
    assert np.allclose(assets["concept_weights"], surprise, atol=1e-3)
    for name, scale in (("visual_basis", 1), ("concept_rotation", 1467 / 256)):
        gram = assets[name].T @ assets[name]
        assert np.allclose(gram, np.eye(len(gram)) * scale, atol=5e-3)


def test_the_visual_basis_spans_what_the_classifier_looks_at(assets):
    classifier = weights.vision_state()["_fc.weight"].numpy()
    centred = classifier - classifier.mean(0)
    kept = np.linalg.norm(centred @ assets["visual_basis"]) ** 2
    most = (np.linalg.svd(centred, compute_uv=False)[:112] ** 2).sum()
    assert kept == pytest.approx(most, rel=1e-3)


@pytest.mark.parametrize("length", [1, 2, 17, 33, 65, 130, 260])
def test_strided_convolutions_pad_as_tensorflow_does(length):
    """TensorFlow's rule, written out by hand: ceil(n / 2) outputs, the odd pixel at the end."""
    convolution = efficientnet.same_conv(1, 1, 3, stride=2, act="")
    torch.nn.init.ones_(convolution.weight)
    torch.nn.init.zeros_(convolution.bias)
    line = np.arange(1, length + 1, dtype=np.float32)
    with torch.inference_mode():
        rotated = torch.from_numpy(np.tile(line, (length, 1)))[None, None].flip(2, 3)
        square = convolution(rotated).flip(2, 3)[0, 0]
    outputs = -(-length // 2)
    before = max((outputs - 1) * 2 + 3 - length, 0) // 2
    padded = np.concatenate([np.zeros(before), line, np.zeros(3)])
    sums = np.array([padded[2 * i : 2 * i + 3].sum() for i in range(outputs)])
    rows = square[outputs // 2] / square[outputs // 2, 0] * sums[0]
    assert square.shape == (outputs, outputs)
    assert np.allclose(rows, sums, rtol=1e-5)


def test_folding_the_normalisation_changes_nothing():
    """The stem with its batch normalisation, computed step by step."""
    state = weights.vision_state()
    network = efficientnet.from_checkpoint(state)
    x = torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    names = ("running_mean", "running_var", "weight", "bias")
    with torch.inference_mode():
        padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
        raw = torch.nn.functional.conv2d(padded, state["_conv_stem.weight"], stride=2)
        norm = [state[f"_bn0.{name}"] for name in names]
        expected = torch.nn.functional.batch_norm(raw, *norm, eps=1e-3).clamp(0, 6)
        assert torch.allclose(network.stem(x.flip(2, 3)).flip(2, 3), expected, atol=1e-4)


def test_limits_are_told_and_name_a_multilingual_model():
    card = builtin.CARD
    assert card.languages.startswith("English; less well Arabic")
    assert {"LATIN", "CYRILLIC", "CJK", "THAI"} <= set(card.scripts)
    assert "1000 kinds of objects" in card.limits
    assert "actions, relations" in card.limits
    assert builtin.MULTILINGUAL in card.limits
