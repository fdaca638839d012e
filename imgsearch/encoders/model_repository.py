"""A model repository for a Triton of one's own, and what its Python backend runs.

The repository has a folder for each part of a model (`model_protocol`), with a config.pbtxt and a
model.py that imports `TritonPythonModel` of this module. So Triton's Python must have imgsearch.
The settings of the model are a parameter in config.pbtxt. The parts for texts and pictures are
processes of their own, so each of them loads the weights; that for the card reads a file.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch.encoders.model_protocol import CARD, column, served_name, tensors
from imgsearch.encoders.registry import Registry
from imgsearch.encoders.triton_server import QUEUE_MICROSECONDS, ServedParts
from imgsearch.errors import ModelServerError
from imgsearch.plugins import is_url
from imgsearch.settings import Settings
from imgsearch.vectors import SpaceOptions
from imgsearch.writing import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsearch.encoders.model_protocol import Tensor
    from imgsearch.ports import Encoder

CONFIG, CODE, CARD_FILE = "config.pbtxt", "model.py", "card.json"
VERSION_FOLDER = "1"
PARAMETER = "imgsearch"
"""The parameter of config.pbtxt with part, model, key of its space, and settings, in JSON."""
_SETTINGS = ("device", "precision", "threads", "batch_size", "document_instruction", "dimension",
             "visual_tokens", "models")  # fmt: skip
_KINDS = {bytes: "TYPE_STRING", np.int32: "TYPE_INT32", np.float32: "TYPE_FP32"}
_CODE = '''"""Part of a model, written by 'imgsearch serve-model --write-repository'."""

from imgsearch.encoders.model_repository import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


def served_encoder(name: str, settings: Settings) -> Encoder:
    """The encoder of a model that is to be served, with the options of the settings.

    The settings may be those of a client on the same machine, which names a server.
    """
    weights = tuple(pair for pair in settings.models if not is_url(pair[1]))
    wanted = SpaceOptions(settings.document_instruction, settings.dimension, settings.visual_tokens)
    return Registry(replace(settings, models=weights)).encoder(name, wanted)


def write_repository(encoder: Encoder, settings: Settings, folder: str) -> list[str]:
    """Write the parts of a model into a model repository; returns their names.

    Parameters
    ----------
    encoder : Encoder
        As `served_encoder` returns it.
    folder : str
        The repository, which is made if it is not there, and may have other models.

    Raises
    ------
    ModelServerError
        A part is there already, or cannot be written.
    """
    model = ServedParts(encoder)
    names = {part: served_name(model.name, part) for part in QUEUE_MICROSECONDS}
    for name in names.values():
        if os.path.lexists(os.path.join(folder, name)):
            raise ModelServerError(
                f"{os.path.join(folder, name)} is there already",
                "Remove it, or choose another folder.",
            )
    values = {
        "model": model.name,
        "space": encoder.space.key,
        "settings": {each: getattr(settings, each) for each in _SETTINGS},
    }
    try:
        for part, name in names.items():
            version = os.path.join(folder, name, VERSION_FOLDER)
            os.makedirs(version)
            parameter = json.dumps({"part": part, **values})
            text = _config(name, part, model, parameter)
            replace_file(os.path.join(folder, name, CONFIG), text.encode())
            replace_file(os.path.join(version, CODE), _CODE.encode())
            if part == CARD:
                replace_file(os.path.join(version, CARD_FILE), model.description)
    except OSError as error:
        raise ModelServerError(
            f"the repository {folder} cannot be written: {error.strerror}",
            "Check the folder, its permissions and the free space.",
        ) from error
    return list(names.values())


def _config(name: str, part: str, model: ServedParts, parameter: str) -> str:
    """The configuration of a part, in the text form of Triton's protocol buffer."""
    inputs, outputs = tensors(part, model.dimension)
    return f"""name: "{name}"
backend: "python"
max_batch_size: {model.batch}
input [{_listed(inputs)}
]
output [{_listed(outputs)}
]
dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_MICROSECONDS[part]} }}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]  # the device of the model is a setting below
parameters {{ key: "{PARAMETER}" value {{ string_value: {json.dumps(parameter)} }} }}
"""


def _listed(found: Sequence[Tensor]) -> str:
    entries = (
        f'\n  {{ name: "{name}" data_type: {_KINDS[dtype]} dims: [ {width} ] }}'
        for name, dtype, width in found
    )
    return ",".join(entries)


class TritonPythonModel:
    """A part of a model, as Triton's Python backend calls it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model, or the file of its card.

        Raises
        ------
        EncoderError
            The model is not there, or its space is not the one that the repository was written for.
        """
        parameters = json.loads(args["model_config"])["parameters"]
        values = json.loads(parameters[PARAMETER]["string_value"])
        self._part = values["part"]
        if self._part == CARD:
            version = os.path.join(args["model_repository"], args["model_version"])
            with open(os.path.join(version, CARD_FILE), "rb") as file:
                self._card = file.read()
            return
        plain = dict(values["settings"])
        models = tuple((name, place) for name, place in plain.pop("models"))
        encoder = served_encoder(values["model"], Settings(models=models, **plain))
        if encoder.space.key != values["space"]:
            raise ModelServerError(
                f"the model is now {encoder.space}, which the repository was not written for",
                "Write it again: imgsearch serve-model --write-repository",
            )
        self._model = ServedParts(encoder)
        self._model.warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """The responses to requests, whose inputs make up one batch."""
        import triton_python_backend_utils as triton  # type: ignore[import-not-found]

        def inputs(name: str) -> list[Any]:
            return [triton.get_input_tensor_by_name(each, name).as_numpy() for each in requests]

        names = [tensor.name for tensor in tensors(self._part, 0)[0]]
        parts = {name: inputs(name) for name in names}
        sizes = [len(each) for each in parts[names[0]]]
        if self._part == CARD:
            found = {"CARD": column([self._card] * sum(sizes))}
        else:
            whole = {name: np.concatenate(each) for name, each in parts.items()}
            found = self._model.answer(self._part, whole)
        ends = np.cumsum(sizes)
        return [
            triton.InferenceResponse(
                [triton.Tensor(name, rows[end - size : end]) for name, rows in found.items()]
            )
            for size, end in zip(sizes, ends, strict=True)
        ]
