"""Where a model lies on this machine, which revision it is, and whether it may be loaded.

Nothing here touches the network: a name is looked up in the cache of huggingface_hub and nowhere
else. A model folder is data: code inside it is never run, and weights must be safetensors, because
reading a pickle runs whatever its author put there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from imgsearch.errors import EncoderError

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_READ_BY_MODELS = (".json", ".txt", ".model", ".jinja", ".safetensors")
_BLOCK = 1 << 20
_DEFAULT_OWNER = "sentence-transformers"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine.

    Attributes
    ----------
    name : str
        Name on the hub, or absolute path of a local folder.
    path : Path
        Folder with its files.
    revision : str
        Commit on the hub, or a digest of a local folder.
    """

    name: str
    path: Path
    revision: str


def find_model(name: str) -> ModelFolder:
    """The model of that name: a path of a folder, or a name on the Hugging Face hub.

    Raises
    ------
    EncoderError
        There is none on this machine, or it may not be loaded.
    """
    folder = _local(name) if os.path.isdir(name) else _cached(name)
    require_data_only(folder.path, name)
    return folder


def require_data_only(folder: Path, name: str) -> None:
    """Raise `EncoderError` where loading would need code from the folder, or a pickle."""
    foreign = sorted({kind for kind in _module_types(folder) if not _is_ours(kind)})
    if foreign:
        raise EncoderError(
            f"the model {name} needs code of its own ({', '.join(foreign)}), which imgsearch"
            " does not run",
            "Choose a model that sentence-transformers supports by itself.",
        )
    for place in sorted({file.parent for file in _files(folder) if file.suffix in _PICKLES}):
        if not any(place.glob("*model*.safetensors")):
            raise EncoderError(
                f"the weights of the model {name} are pickled, and imgsearch loads only"
                f" safetensors: {place}",
                "Choose a revision of the model that has a .safetensors file.",
            )
    if not any(folder.rglob("*.safetensors")):
        raise EncoderError(
            f"there are no weights (*.safetensors) in the folder of the model {name}",
            "Give the folder that has model.safetensors and config.json in it.",
        )


def _local(name: str) -> ModelFolder:
    path = os.path.abspath(name)
    return ModelFolder(path, Path(path), _digest(Path(path)))


def _cached(name: str) -> ModelFolder:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if not _HUB_NAME.fullmatch(name):
        raise EncoderError(
            f"there is no model folder {name!r}", "Give the path of a folder with a model in it."
        )
    full = name if "/" in name else f"{_DEFAULT_OWNER}/{name}"
    cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    try:
        path = Path(snapshot_download(full, cache_dir=cache, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError) as error:
        raise EncoderError(
            f"the model {full} is not on this machine, and imgsearch does not download by itself",
            f"Where there is a network, run: hf download {full}. Or give the path of a folder"
            " with the model in it.",
        ) from error
    return ModelFolder(full, path, path.name)


def _digest(folder: Path) -> str:
    """xxh3-128, in hex, over names, sizes and bytes of all files that a model is loaded from."""
    digest = xxhash.xxh3_128()
    for file in _files(folder):
        if file.suffix in _READ_BY_MODELS:
            name = file.relative_to(folder).as_posix()
            digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogatepass"))
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """All files, sorted, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inside):
            yield path


def _module_types(folder: Path) -> Iterator[str]:
    """The dotted names of all classes that sentence-transformers would import for this folder."""
    for file in _files(folder):
        if file.name in ("modules.json", "router_config.json"):
            try:
                yield from _types_in(json.loads(file.read_text("utf-8")))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise EncoderError(
                    f"a file of the model is damaged: {file}", "Copy or download the model anew."
                ) from error


def _types_in(config: Any) -> list[str]:
    """Classes that a modules.json (a list) or a router_config.json (an object) names."""
    if isinstance(config, list):
        return [str(module["type"]) for module in config]
    return [str(kind) for kind in config["types"].values()]


def _is_ours(kind: str) -> bool:
    return kind.startswith("sentence_transformers.")
