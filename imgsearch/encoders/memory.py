"""Memory: how many inputs fit, when there was too little, and how much was used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    import torch

Given = TypeVar("Given")
Result = TypeVar("Result")

MOST_ON_DEVICE = 64
MOST_ON_PROCESSOR = 32
"""Inputs per batch when nobody says how many. More make a GPU hardly faster, and a processor
slower, and whoever stops a run loses more."""
_SHARE_OF_DEVICE = 0.5
_SHARE_OF_RAM = 0.25
"""Of what is free: estimates are rough, and other programs have wishes too."""
_GUESSED_WIDTH = 1024
_GUESSED_PATCH = 14
_WORDS = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")


class MemoryUse(TypedDict):
    """Bytes. What concerns a device is None where no CUDA device was used.

    The resident peak is that of this process alone: decoder processes have memory of their own.
    """

    resident_peak: int
    device_allocated: int | None
    device_peak: int | None


def device_memory() -> dict[int, dict[str, float]]:
    """Bytes of each CUDA device by its number: "total", "used" by whatever program, "here" by this
    process, as far as PyTorch asked for it. Empty where this process has used none: asking would
    take memory of each.
    """
    torch = sys.modules.get("torch")
    if torch is None or not _cuda_in_use(torch):
        return {}
    found = {}
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        here = torch.cuda.memory_reserved(number)
        found[number] = {"total": float(total), "used": float(total - free), "here": float(here)}
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """True if the error, or one that it came from, says that memory ran out.

    PyTorch on a processor, and the libraries below it on a GPU, say it in words only; transformers
    puts an error of its own about its inputs on top.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    below = error.__cause__ or error.__context__
    said = any(each in str(error) for each in _WORDS)
    return said or (below is not None and is_out_of_memory(below))


def unless_out_of_memory(work: Callable[[Given], Result], given: Given) -> Result | None:
    """What the work gives, or None if memory ran out; by then nothing holds on to it any more."""
    try:
        return work(given)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def room_for(device: torch.device) -> float:
    """Bytes that a batch may take on a device, as much as is free there now."""
    if device.type != "cuda":  # mps shares the memory of the processor
        import psutil

        return _SHARE_OF_RAM * float(psutil.virtual_memory().available)
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return _SHARE_OF_DEVICE * (free + kept)


def most_at_once(device: torch.device) -> int:
    """Inputs per batch where memory does not matter."""
    return MOST_ON_PROCESSOR if device.type == "cpu" else MOST_ON_DEVICE


def fitting_batch(device: torch.device, bytes_each: float) -> int:
    """How many inputs should go through a network together, from the memory that each takes."""
    return max(1, min(most_at_once(device), int(room_for(device) / bytes_each)))


def transformer_bytes(tokens: float, width: int, inner: int, itemsize: int) -> float:
    """About what the activations of one input take at the widest place of a transformer.

    The residual stream, queries, keys, values, what attention gives, and copies of them in other
    layouts: 8 times the width. The feed-forward part before and after its nonlinearity: twice
    its inner width. Attention itself is computed in blocks and never whole.

    Parameters
    ----------
    tokens : float
        Of this input.
    width, inner : int
        Elements per token outside and inside of the feed-forward part.
    itemsize : int
        Bytes of an element.
    """
    return tokens * (8 * width + 2 * inner) * itemsize


def picture_bytes(config: Any, side: int, itemsize: int) -> float:
    """About what one picture takes in a vision transformer, in activations and as an input.

    Parameters
    ----------
    config : object
        The model's configuration as transformers has it; what it does not say is guessed.
    side : int
        Pixels of the longer side as it goes into the network.
    itemsize : int
        Bytes of an element.
    """
    vision = getattr(config, "vision_config", config)
    width = getattr(vision, "hidden_size", None) or _GUESSED_WIDTH
    inner = getattr(vision, "intermediate_size", None) or 4 * width
    patch = getattr(vision, "patch_size", None) or _GUESSED_PATCH
    return transformer_bytes((side / patch) ** 2 + 1, width, inner, itemsize) + 24 * side**2


def release_unused() -> None:
    """Give memory back to the CUDA device that PyTorch keeps for later."""
    import torch

    if _cuda_in_use(torch):
        torch.cuda.empty_cache()


def memory_used() -> MemoryUse:
    """What this process has taken so far; loads no library for it."""
    torch = sys.modules.get("torch")
    found = MemoryUse(resident_peak=_resident_peak(), device_allocated=None, device_peak=None)
    if torch is not None and _cuda_in_use(torch):
        devices = range(torch.cuda.device_count())
        found["device_allocated"] = sum(map(torch.cuda.memory_allocated, devices))
        found["device_peak"] = sum(map(torch.cuda.max_memory_allocated, devices))
    return found


def _cuda_in_use(torch: Any) -> bool:
    return bool(torch.cuda.is_available() and torch.cuda.is_initialized())


def _resident_peak() -> int:
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # macOS counts bytes, all others kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
