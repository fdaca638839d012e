"""Finding and opening the published folder of gme-Qwen2-VL."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch

from imgsearch.encoders.gme import CARDS, SCHEME
from imgsearch.encoders.gme.encoder import GmeEncoder
from imgsearch.encoders.gme.module import GmeModule
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.encoders.options import choose_device, choose_dtype, limit_threads
from imgsearch.encoders.quiet import no_progress_bars
from imgsearch.errors import EncoderError
from imgsearch.records import EncoderOptions, ModelCard

HUB_IDS = {
    "gme-qwen2-vl-2b": "Alibaba-NLP/gme-Qwen2-VL-2B-Instruct",
    "gme-qwen2-vl-7b": "Alibaba-NLP/gme-Qwen2-VL-7B-Instruct",
}
COLOURS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation of the channels, those of CLIP, which Qwen2-VL took over."""

_NEEDED = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
_INDEX = "model.safetensors.index.json"


def load(
    name: str, options: EncoderOptions | None = None, tokens: VisualTokens | None = None
) -> GmeEncoder:
    """The encoder of a published gme-Qwen2-VL; looks on this machine only.

    Parameters
    ----------
    name : str
        "gme-qwen2-vl-2b", "gme-qwen2-vl-7b", an id of the Hugging Face hub that was downloaded
        before, or the path of a folder with the published files, with or without "gme://".

    Raises
    ------
    EncoderError
        Files are missing or are those of another model, or the device is not there.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    folder, revision = find_folder(name)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    resizers = ThreadPoolExecutor(options.threads or min(8, os.cpu_count() or 1), "gme-resize")
    module = _open(folder, dtype, tokens, resizers)
    return GmeEncoder(
        module,
        _card(name),
        revision,
        batch_size=options.batch_size,
        autocast=autocast,
        device=device,
    )


def find_folder(name: str) -> tuple[str, str]:
    """The folder of a model and which weights it holds.

    Returns
    -------
    (folder, revision)
        The revision is the hub's commit, or a digest of a folder that did not come from there.
    """
    path = name.removeprefix(SCHEME)
    if os.path.isdir(path):
        check_folder(path)
        return path, _digest(path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    hub_id = HUB_IDS.get(path, path)
    try:
        folder = snapshot_download(hub_id, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise EncoderError(
            f"the weights of {name} are not on this machine",
            f"Where there is a network, run: hf download {hub_id}. Or give the path of a folder"
            " with its files as the model.",
        ) from error
    check_folder(folder)
    return folder, os.path.basename(folder)


def check_folder(folder: str) -> None:
    """Raise `EncoderError` unless the folder holds a whole Qwen2-VL."""
    missing = [name for name in (*_NEEDED, *_shards(folder)) if not _has(folder, name)]
    if missing:
        raise EncoderError(
            f"{folder} lacks {', '.join(missing)}", "Fetch the missing files from where it came."
        )
    kind = _read(folder, "config.json").get("model_type")
    if kind != "qwen2_vl":
        raise EncoderError(
            f"{folder} holds a model of type {kind}, not qwen2_vl",
            "Load it as a sentence-transformers model instead.",
        )


def choose_weights_dtype(
    precision: str, device: torch.device
) -> tuple[torch.dtype, torch.dtype | None]:
    """What the weights are stored in, and what to compute in where that differs.

    "autocast" keeps the weights in float32 and computes matrix products in bfloat16.
    """
    if precision == "autocast":
        return torch.float32, torch.bfloat16
    return choose_dtype(precision, device), None


def _open(
    folder: str, dtype: torch.dtype, tokens: VisualTokens | None, resizers: ThreadPoolExecutor
) -> GmeModule:
    from transformers import AutoTokenizer, Qwen2VLModel

    with no_progress_bars():
        loaded: Any = Qwen2VLModel.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    model, report = loaded
    if report["missing_keys"] or report["mismatched_keys"]:
        raise EncoderError(
            f"the weights in {folder} do not fit: {sorted(report['missing_keys'])[:3]}",
            "Fetch the model again; a file of it is damaged or of another version.",
        )
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    look = _read(folder, "preprocessor_config.json")
    colours = look.get("image_mean", COLOURS[0]), look.get("image_std", COLOURS[1])
    return GmeModule(model.eval(), tokenizer, colours, tokens=tokens, resizers=resizers)


def _card(name: str) -> ModelCard:
    for card in CARDS:
        if name == card.name:
            return card
    path = name.removeprefix(SCHEME)
    full = SCHEME + os.path.abspath(path) if os.path.isdir(path) else name
    return replace(CARDS[0], name=full, summary="A gme-Qwen2-VL, loaded from its published files.")


def _shards(folder: str) -> list[str]:
    if _has(folder, _INDEX):
        return sorted(set(_read(folder, _INDEX)["weight_map"].values()))
    return ["model.safetensors"]


def _digest(folder: str) -> str:
    """Twelve hex digits of the configuration, and of size, head and tail of each weights file.

    Head and tail are a mebibyte each: the header with all names and places is in the first, and
    reading 4 GB at each start would take longer than loading the model.
    """
    total = hashlib.sha256()
    for name in (*_NEEDED, *_shards(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            total.update(file.read(1 << 20))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (1 << 20)))
            total.update(file.read() + f"{name}:{size}".encode())
    return total.hexdigest()[:12]


def _has(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name))


def _read(folder: str, name: str) -> dict[str, Any]:
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content
