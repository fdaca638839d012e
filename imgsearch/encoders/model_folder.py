"""Model folders on this machine: their place, their revision, and whether they may be loaded.

Nothing here uses the network: a name is looked up only in the cache of huggingface_hub. A model
folder is data: code inside it is never run, and weights must be safetensors, because reading a
pickle runs any code that its author put there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xxhash

from imgsearch.encoders import presets
from imgsearch.errors import EncoderError

PINNED = "imgsearch"
"""The ref in the cache of huggingface_hub that names the commit verified by `models download`."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_READ_BY_MODELS = (".json", ".txt", ".model", ".jinja", ".safetensors")
FETCHED_FILES = tuple(f"*{suffix}" for suffix in _READ_BY_MODELS)
IGNORED_FILES = ("onnx/*", "openvino/*", "*/onnx/*", "*/openvino/*", "open_clip*")
"""Patterns of the files of a published model to fetch, and of those to leave out."""

_BLOCK_BYTES = 1 << 20
_INDEX = ".safetensors.index.json"
_POOLED = {"Transformer", "Pooling", "Normalize"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine.

    Attributes
    ----------
    name : str
        Short name, name on the hub, or absolute path of a local folder.
    path : Path
        Folder with its files.
    revision : str
        Commit on the hub, or a digest of a local folder; "" if that is not computed yet.
    """

    name: str
    path: Path
    revision: str = ""


def find_model(name: str, source: str = "") -> ModelFolder:
    """The model of that name: the path of a folder, a preset, or a hub id.

    Parameters
    ----------
    source : str
        A folder or a hub id to use instead of the one that belongs to `name`.

    Raises
    ------
    EncoderError
        The model is not on this machine, or it may not be loaded.
    """
    folder = locate(name, source)
    require_data_only(folder.path, folder.name)
    require_whole(folder)
    return folder if folder.revision else replace(folder, revision=_digest(folder.path))


def locate(name: str, source: str = "") -> ModelFolder:
    """Like `find_model`, but without checking the content of the folder."""
    place = os.path.expanduser(source) or name
    if os.path.isdir(place):
        path = os.path.abspath(place)
        return ModelFolder(name if source else path, Path(path))
    hub = presets.hub_id(place)
    if not _HUB_ID.fullmatch(hub):
        raise EncoderError(
            f"there is no model folder {place!r}", "Give the path of a folder that holds a model."
        )
    snapshot = _snapshot(hub)
    if snapshot is None:
        raise EncoderError(f"the model {name} is not on this machine", _how_to_get(name, hub))
    return ModelFolder(name, snapshot, snapshot.name)


def cache_folder() -> str:
    """The folder of downloaded models: the cache of huggingface_hub."""
    from huggingface_hub import constants

    folder = os.environ.get("SENTENCE_TRANSFORMERS_HOME") or constants.HF_HUB_CACHE
    return os.path.abspath(os.path.expanduser(folder))


def require_whole(folder: ModelFolder) -> None:
    """Raise `EncoderError` if a weights file listed in an index is missing."""
    lacking = missing_shards(folder.path)
    if lacking:
        raise EncoderError(
            f"the model {folder.name} is incomplete: {folder.path} lacks {', '.join(lacking)}",
            "Fetch the missing files from its source; 'imgsearch models download' continues"
            " where it stopped.",
        )


def missing_shards(folder: Path) -> list[str]:
    """Weights files that an index in the folder lists but that are missing, sorted."""
    lacking = set()
    for index in folder.rglob(f"*{_INDEX}"):
        for shard in _shards(index):
            if not (index.parent / shard).is_file():
                lacking.add((index.parent / shard).relative_to(folder).as_posix())
    return sorted(lacking)


def require_data_only(folder: Path, name: str) -> None:
    """Raise `EncoderError` if loading would run code from the folder or read a pickle."""
    foreign = sorted({kind for kind in _module_types(folder) if not _is_ours(kind)})
    if foreign:
        raise EncoderError(
            f"the model {name} needs code of its own ({', '.join(foreign)}), which imgsearch"
            " does not run",
            "Choose a model that sentence-transformers supports without extra code.",
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
            "Give the folder that contains model.safetensors and config.json.",
        )


def model_type(folder: Path) -> str:
    """The architecture named in config.json; "" if there is none."""
    return str(_config(folder).get("model_type", ""))


def matryoshka_dimensions(folder: Path) -> tuple[int, ...]:
    """The lengths to which vectors may be cut, from config.json; shortest first.

    There is no standard key for this. These are the two that published models use; truncate_dim of
    sentence-transformers says nothing about training.
    """
    config = _config(folder)
    listed = config.get("matryoshka_dims") or config.get("matryoshka_dimensions") or []
    if not isinstance(listed, list) or not all(type(each) is int for each in listed):
        raise _damaged(folder / "config.json")
    return tuple(sorted(listed))


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        return {}
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise _damaged(file) from error
    return config if isinstance(config, dict) else {}


def _snapshot(hub: str) -> Path | None:
    """The folder of a model in the cache: the commit that we verified, else the branch main.

    The patterns must be those of the download, or huggingface_hub would take a snapshot without
    the files we left out for incomplete.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    for revision in (PINNED, None):
        try:
            return Path(
                snapshot_download(
                    hub,
                    revision=revision,
                    cache_dir=cache_folder(),
                    local_files_only=True,
                    allow_patterns=list(FETCHED_FILES),
                    ignore_patterns=list(IGNORED_FILES),
                )
            )
        except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError):
            continue
    return None


def _how_to_get(name: str, hub: str) -> str:
    source = f", which fetches {hub}" if name != hub else ""
    return (
        f"On a machine with a network, run: imgsearch models download {name}{source}. Or give the"
        " path of a folder with its files as the model."
    )


def _digest(folder: Path) -> str:
    """xxh3-128, in hex, of the names, sizes and bytes of the files that a model is loaded from."""
    digest = xxhash.xxh3_128()
    for file in _files(folder):
        if file.suffix in _READ_BY_MODELS:
            name = file.relative_to(folder).as_posix()
            digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogatepass"))
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """All files except hidden ones, sorted."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inside):
            yield path


def _shards(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise _damaged(index) from error


def _module_types(folder: Path) -> Iterator[str]:
    """Dotted names of the classes that sentence-transformers would import for this folder."""
    for file in _files(folder):
        if file.name in ("modules.json", "router_config.json"):
            try:
                yield from _types_in(json.loads(file.read_text("utf-8")))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise _damaged(file) from error


def only_pools(folder: Path, *names: str) -> bool:
    """True if the vector of a model is this pooling of its network's states, normalised.

    A fine-tuned model may have further layers, which sentence-transformers computes.

    Parameters
    ----------
    names : str
        Those of the pooling in the configurations of sentence-transformers, new and old.
    """
    kinds = {kind.rpartition(".")[2] for kind in _module_types(folder)}
    file = folder / "1_Pooling" / "config.json"
    if not kinds <= _POOLED or not file.is_file():
        return kinds <= _POOLED
    try:
        pooling = json.loads(file.read_text("utf-8"))
        chosen = pooling.get("pooling_mode") in names
        return chosen or any(pooling.get(f"pooling_mode_{name}") is True for name in names)
    except (ValueError, AttributeError) as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> EncoderError:
    return EncoderError(f"a file of the model is damaged: {file}", "Copy or download it again.")


def _types_in(config: Any) -> list[str]:
    """Classes named in a modules.json (a list) or a router_config.json (an object)."""
    if isinstance(config, list):
        return [str(module["type"]) for module in config]
    return [str(kind) for kind in config["types"].values()]


def _is_ours(kind: str) -> bool:
    return kind.startswith("sentence_transformers.")
