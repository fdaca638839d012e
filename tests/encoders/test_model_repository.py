"""A model repository for a Triton of one's own gives the vectors of the local model."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc")
os.environ["HF_HUB_OFFLINE"] = "1"

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from imgsearch.encoders import builtin, published_models, triton
from imgsearch.encoders.model_protocol import read_description
from imgsearch.encoders.model_repository import TritonPythonModel
from imgsearch.errors import ModelServerError
from imgsearch.model_card import EncoderOptions
from tests.cli.calls import call
from tests.conftest import full_only, needs_server
from tests.encoders.test_triton_server import GME, LOCAL, PICTURES, TEXTS
from tests.triton_server import TritonAlone

OPTIONS = ("--device", "cpu", "--precision", "fp32", "--threads", 1)


def config(folder):
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_the_files_follow_the_format_of_triton(tmp_path):
    repository = tmp_path / 'a "folder"'
    write = ("serve-model", "builtin", *OPTIONS, "--write-repository", repository)
    outcome = call("--library", tmp_path / "none", *write)
    assert outcome.status == 0, outcome.err
    names = ["builtin-card", "builtin-text", "builtin-image"]
    assert outcome.text.splitlines() == [str(repository / name) for name in names]
    assert sorted(os.listdir(repository)) == sorted(names)
    card, text, image = (config(repository / name) for name in names)
    string, number, real = (getattr(model_config_pb2, f"TYPE_{kind}") for kind in
                            ("STRING", "INT32", "FP32"))  # fmt: skip
    for each, inputs in (
        (card, [("ASK", number, [1])]),
        (text, [("TEXT", string, [1]), ("INSTRUCTION", string, [1])]),
        (image, [("PIXELS", string, [1]), ("SHAPE", number, [2])]),
    ):
        assert (each.name, each.backend) == (names.pop(0), "python")
        assert each.HasField("dynamic_batching") and each.max_batch_size > 1
        assert [(i.name, i.data_type, list(i.dims)) for i in each.input] == inputs
    rows = [("VECTOR", real, [800]), ("SPACE", string, [1]), ("ERROR", string, [1])]
    for each in (text, image):
        assert [(o.name, o.data_type, list(o.dims)) for o in each.output] == rows
    document = (repository / card.name / "1" / "card.json").read_bytes()
    served = read_description(document)
    assert (served.space, served.batch) == (builtin.SPACE, text.max_batch_size)
    again = call("--library", tmp_path / "none", *write)
    assert again.status == 1 and "is there already" in again.err and "Traceback" not in again.err


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    write = ("serve-model", "builtin", *OPTIONS, "--write-repository", tmp_path / "file" / "below")
    outcome = call("--library", tmp_path / "none", *write)
    assert outcome.status == 1 and "cannot be written" in outcome.err


def test_another_model_than_the_repository_was_written_for_is_refused(tmp_path):
    write = ("serve-model", "builtin", *OPTIONS, "--write-repository", tmp_path)
    assert call("--library", tmp_path / "none", *write).status == 0
    value = config(tmp_path / "builtin-text").parameters["imgsearch"].string_value
    changed = value.replace(builtin.SPACE.key, "0123456789ab")
    assert changed != value
    model_config = json.dumps({"parameters": {"imgsearch": {"string_value": changed}}})
    with pytest.raises(ModelServerError, match="was not written for") as caught:
        TritonPythonModel().initialize({"model_config": model_config})
    assert "--write-repository" in caught.value.hint


@needs_server
@full_only
@pytest.mark.slow
def test_a_triton_alone_gives_the_vectors_of_the_local_model(tmp_path):
    """For texts with and without an instruction, and pictures of several sizes in one batch."""
    repository = tmp_path / "repository"
    write = ("serve-model", GME, *OPTIONS, "--write-repository", repository)
    outcome = call("--library", tmp_path / "none", *write)
    assert outcome.status == 0, outcome.err
    server = TritonAlone(tmp_path, repository)
    try:
        local = published_models.load(GME, LOCAL)
        for url in server.urls:
            far = triton.load(GME, EncoderOptions(source=url))
            assert (far.space, far.input_size) == (local.space, local.input_size)
            for instruction in (None, "Find a photo of this:"):
                expected = local.encode_texts(TEXTS, instruction)
                actual = far.encode_texts(TEXTS, instruction)
                np.testing.assert_allclose(actual, expected, atol=1e-5)
            rows = far.encode_images(PICTURES)
            np.testing.assert_allclose(rows, local.encode_images(PICTURES), atol=1e-5)
    finally:
        server.stop()
