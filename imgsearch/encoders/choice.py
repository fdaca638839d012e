"""Which model a new library gets when none was named."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch.encoders.gme import revision
from imgsearch.errors import EncoderError

LARGE = "gme-qwen2-vl-2b"
SMALL = "builtin"
LEAST_MEMORY = 6_000_000_000
"""Bytes of a GPU that holds `LARGE` in half precision with room for a small batch: 4.4 GB of
weights. A card that is sold as 6 GB has a little more than this."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, and in words why this one."""

    name: str
    reason: str


def choose_model(device: str, source: str = "") -> Choice:
    """`LARGE` where its weights are here and a CUDA GPU can hold them, else `SMALL`.

    Parameters
    ----------
    device : str
        As `EncoderOptions.device`: only "auto" and CUDA devices can lead to `LARGE`.
    source : str
        Where the weights of `LARGE` are looked for, if elsewhere than usual.
    """
    try:
        revision(LARGE, source)
    except EncoderError:
        return Choice(SMALL, f"the weights of {LARGE} are not on this machine")
    name, memory = _gpu(device)
    if memory < LEAST_MEMORY:
        found = f"{name} has {memory / 1e9:.1f} GB" if memory else "no CUDA GPU is used"
        return Choice(SMALL, f"{LARGE} wants a CUDA GPU with {LEAST_MEMORY / 1e9:.0f} GB; {found}")
    return Choice(LARGE, f"its weights are here, and {name} has {memory / 1e9:.0f} GB")


def _gpu(device: str) -> tuple[str, int]:
    """Name and bytes of memory of the CUDA device that would be used; ("", 0) if none would."""
    if device != "auto" and not device.startswith("cuda"):
        return "", 0
    import torch

    if not torch.cuda.is_available():
        return "", 0
    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        return "", 0
    properties = torch.cuda.get_device_properties(number)
    return properties.name, properties.total_memory
