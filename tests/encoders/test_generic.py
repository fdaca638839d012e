"""Models of other people: found on this machine only, loaded as data only."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"

from imgsearch.encoders import generic
from imgsearch.encoders.devices import choose_device, choose_dtype
from imgsearch.encoders.gme import load as load_gme
from imgsearch.encoders.preparation import FixedSize
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, InputSize
from imgsearch.vectors import normalize
from tests import tiny_models
from tests.conftest import ROOT, full_only

CPU = EncoderOptions(device="cpu")
GME = str(ROOT / "tests" / "golden" / "gme" / "model")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tiny_models.make_clip(tmp_path_factory.mktemp("made") / "clip")


@pytest.fixture
def clip(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / "clip")


def refusal(name) -> str:
    with pytest.raises(EncoderError) as caught:
        generic.load(str(name), CPU)
    assert caught.value.hint
    return str(caught.value)


def test_a_folder_is_named_by_its_absolute_path(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    encoder = generic.load("clip", CPU)
    assert encoder.space.model == str(clip)
    assert encoder.space.dimension == tiny_models.DIMENSION
    assert encoder.space.preprocessing == "CLIPImageProcessor 32 crop"
    assert encoder.input_size == InputSize(short=32, preparation=FixedSize(32, 32, crops=True))


def test_a_squashing_model_wants_its_larger_edge(tmp_path):
    encoder = generic.load(str(tiny_models.make_siglip(tmp_path / "siglip")), CPU)
    assert encoder.space.preprocessing == "SiglipImageProcessor 32x32"
    assert encoder.input_size == InputSize(short=32, preparation=FixedSize(32, 32, crops=False))


def test_the_revision_of_a_folder_is_that_of_its_contents(clip):
    before = generic.load(str(clip), CPU).space
    (clip / "README.md").write_text("A better description.")
    assert generic.load(str(clip), CPU).space == before
    config = clip / "processor_config.json"
    config.write_text(config.read_text() + "\n")
    assert generic.load(str(clip), CPU).space.revision != before.revision


def test_a_name_is_looked_up_in_the_cache_and_its_commit_is_the_revision(
    clip, tmp_path, monkeypatch
):
    repository = tmp_path / "cache" / "models--someone--tiny"
    shutil.copytree(clip, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    space = generic.load("someone/tiny", CPU).space
    assert (space.model, space.revision) == ("someone/tiny", COMMIT)


def test_a_name_that_is_not_in_the_cache_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    with pytest.raises(EncoderError, match="not on this machine") as caught:
        generic.load("someone/else", CPU)
    assert "imgsearch models download someone/else" in caught.value.hint


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    assert "no model folder" in refusal(tmp_path / "absent")


def test_pickled_weights_are_refused(clip):
    (clip / "model.safetensors").rename(clip / "pytorch_model.bin")
    assert "pickled" in refusal(clip)


def test_pickled_weights_of_one_part_are_refused(clip):
    part = clip / "2_Dense"
    part.mkdir()
    torch.save({}, part / "pytorch_model.bin")
    assert "pickled" in refusal(clip)


def test_a_folder_without_weights_is_refused(clip):
    (clip / "model.safetensors").unlink()
    assert "no weights" in refusal(clip)


def test_a_module_of_its_own_code_is_refused_and_not_imported(clip):
    (clip / "custom.py").write_text("open('ran', 'w').close()\n")
    modules = json.loads((clip / "modules.json").read_text())
    modules[0]["type"] = "custom.Module"
    (clip / "modules.json").write_text(json.dumps(modules))
    assert "code of its own (custom.Module)" in refusal(clip)
    assert "custom" not in sys.modules


def test_an_architecture_of_its_own_code_is_refused(clip):
    config = json.loads((clip / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "strange.Config"}}
    (clip / "config.json").write_text(json.dumps(config))
    (clip / "strange.py").write_text("raise SystemExit('ran')\n")
    assert "cannot be loaded" in refusal(clip)


def test_a_model_for_texts_only_is_refused(tmp_path):
    folder = tiny_models.make_text_only(tmp_path / "bert")
    assert "does not take image" in refusal(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "modules.json"])
def test_a_damaged_folder_is_refused(clip, file):
    (clip / file).write_bytes((clip / file).read_bytes()[:20])
    assert refusal(clip)


def test_an_instruction_goes_before_the_text(clip):
    encoder = generic.load(str(clip), CPU)
    told = encoder.encode_texts(["a dog"], instruction="a photo of ")
    assert np.allclose(told, encoder.encode_texts(["a photo of a dog"]), atol=1e-6)
    assert not np.allclose(told, encoder.encode_texts(["a dog"]), atol=1e-3)


def test_an_instruction_for_pictures_is_given_with_each(tmp_path):
    """sentence-transformers hands a prompt to the model; gme's module is one that heeds it."""
    gme = load_gme(GME, CPU)
    picture = [np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)]
    told = dataclasses.replace(gme.space, instruction="Read what is written.")
    rows = [
        generic.SentenceEncoder(gme.model, space, gme.card, gme.input_size).encode_images(picture)
        for space in (gme.space, told)
    ]
    assert np.allclose(rows[0], gme.encode_images(picture), atol=1e-5)
    other = load_gme(GME, dataclasses.replace(CPU, instruction=told.instruction))
    assert other.space == told
    assert np.allclose(rows[1], other.encode_images(picture), atol=1e-5)
    assert not np.allclose(rows[0], rows[1], atol=1e-3)


def test_only_a_model_that_reads_conversations_is_told_something_about_pictures(clip):
    with pytest.raises(EncoderError, match="takes no instruction for pictures"):
        generic.load(str(clip), dataclasses.replace(CPU, instruction="Look."))
    card = generic.load(str(clip), CPU).card
    assert not card.instructions
    talks = SimpleNamespace(supports=lambda kind: True, prompts={"document": "Look."})
    assert generic._document_instruction(talks, card, "") == "Look."
    assert generic._document_instruction(talks, card, "Read.") == "Read."
    silent = SimpleNamespace(supports=lambda kind: True, prompts={})
    assert generic._document_instruction(silent, card, "") == ""


def test_the_prompts_of_a_model_are_its_defaults(clip):
    file = clip / "config_sentence_transformers.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"prompts": {"query": "a photo of ", "document": ""}}))
    encoder = generic.load(str(clip), CPU)
    assert (encoder.card.instructions, encoder.card.query_instruction) == (True, "a photo of ")
    plain = encoder.encode_texts(["a dog"], instruction=" ")
    assert not np.allclose(encoder.encode_texts(["a dog"]), plain, atol=1e-3)


def test_a_shorter_vector_is_the_beginning_at_unit_length(clip):
    config = json.loads((clip / "config.json").read_text()) | {"matryoshka_dims": [8, 16]}
    (clip / "config.json").write_text(json.dumps(config))
    full, short = (generic.load(str(clip), dataclasses.replace(CPU, dimension=n)) for n in (0, 8))
    assert (full.space.dimension, short.space.dimension) == (32, 8)
    picture = [np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)]
    for whole, part in (
        (full.encode_images(picture), short.encode_images(picture)),
        (full.encode_texts(["a dog"]), short.encode_texts(["a dog"])),
    ):
        assert part.shape == (1, 8) and part.flags.c_contiguous
        assert np.allclose(np.linalg.norm(part, axis=1), 1, atol=1e-6)
        assert np.allclose(part, normalize(whole[:, :8]), atol=1e-6)


@pytest.mark.parametrize("listed", ["16", 16, [16.0], [True]])
def test_lengths_that_are_no_list_of_numbers_are_told(clip, listed):
    config = json.loads((clip / "config.json").read_text()) | {"matryoshka_dimensions": listed}
    (clip / "config.json").write_text(json.dumps(config))
    assert "damaged" in refusal(clip)


def test_a_very_long_picture_stands_for_its_middle(clip):
    encoder = generic.load(str(clip), CPU)
    line = np.random.default_rng(0).integers(0, 256, (2, 20000, 3), dtype=np.uint8)
    middle = line[:, 10000 - 32 : 10000 + 32]
    assert np.array_equal(encoder.encode_images([line]), encoder.encode_images([middle]))


def test_numbers_that_are_none_are_an_error(clip):
    from safetensors.torch import load_file, save_file

    weights = load_file(clip / "model.safetensors")
    weights["visual_projection.weight"] *= float("nan")
    save_file(weights, clip / "model.safetensors", {"format": "pt"})
    encoder = generic.load(str(clip), CPU)
    with pytest.raises(EncoderError, match="not numbers"):
        encoder.encode_images([np.zeros((4, 4, 3), np.uint8)])


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "gpu", ""])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(EncoderError) as caught:
        choose_device(device)
    assert "auto" in caught.value.hint


def test_auto_finds_a_device_and_a_precision():
    assert choose_dtype("auto", choose_device("auto")).is_floating_point


@pytest.mark.parametrize("make", [tiny_models.make_clip, tiny_models.make_siglip])
def test_attention_is_one_kernel_in_both_towers(make, tmp_path):
    """PyTorch's scaled_dot_product_attention, which never holds a whole matrix of attention."""
    config = generic.load(str(make(tmp_path / "model")), CPU)._model[0].auto_model.config
    towers = config, config.text_config, config.vision_config
    assert {each._attn_implementation for each in towers} == {"sdpa"}


OFFLINE = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise SystemExit(f"network: {event} {arguments}")
sys.addaudithook(refuse)
import numpy as np
from imgsearch.encoders import builtin, generic
from imgsearch.errors import EncoderError
for encoder in (builtin.load(), generic.load(sys.argv[1])):
    encoder.encode_texts(["a dog"])
    encoder.encode_images([np.zeros((8, 8, 3), np.uint8)])
try:
    generic.load("someone/else")
except EncoderError:
    print("done")
"""


@full_only
def test_no_socket_is_ever_opened_and_nothing_is_printed(made, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(generic.__file__).parents[2])
    command = [sys.executable, "-c", OFFLINE, str(made)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("done\n", "")
