"""Memory: the batch that fits, the errors when it runs out, and how much is in use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    import torch

Input = TypeVar("Input")
Result = TypeVar("Result")

MAX_GPU_BATCH = 64
MAX_CPU_BATCH = 32
"""Default batch sizes. Larger batches make a GPU hardly faster and a processor slower, and a run
that is stopped loses more."""
_MAX_DEVICE_SHARE = 0.5
_MAX_RAM_SHARE = 0.25
"""Share of the free memory to use: estimates are rough, and other programs need memory too."""
_ASSUMED_WIDTH = 1024
_ASSUMED_PATCH_PIXELS = 14
_OUT_OF_MEMORY_PHRASES = (
    "out of memory",
    "ALLOC_FAILED",
    "can't allocate memory",
    "not enough memory",
)


class MemoryUse(TypedDict):
    """Memory in bytes. The fields of devices are None if no CUDA device was used.

    The resident peak is that of this process; decoder processes have their own memory.
    """

    resident_peak: int
    device_allocated: int | None
    device_peak: int | None


def device_memory() -> dict[int, dict[str, float]]:
    """Memory of each CUDA device in bytes, by its number.

    "total"; "used" by all programs; and "here", what PyTorch reserves in this process. Empty if
    this process has not used CUDA, because a query would itself allocate memory on each device.
    """
    torch = sys.modules.get("torch")
    if torch is None or not _cuda_in_use(torch):
        return {}
    devices = {}
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        here = torch.cuda.memory_reserved(number)
        devices[number] = {"total": float(total), "used": float(total - free), "here": float(here)}
    return devices


def is_out_of_memory(error: BaseException) -> bool:
    """True if the error, or one of its causes, means that memory ran out.

    PyTorch on a processor, and the libraries below it on a GPU, report this only in the text of the
    error; transformers wraps it into an error about its inputs.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    cause = error.__cause__ or error.__context__
    matches = any(phrase in str(error) for phrase in _OUT_OF_MEMORY_PHRASES)
    return matches or (cause is not None and is_out_of_memory(cause))


def unless_out_of_memory(work: Callable[[Input], Result], item: Input) -> Result | None:
    """The result of `work(item)`, or None if memory ran out; the memory is released by then."""
    try:
        return work(item)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def room_for(device: torch.device) -> float:
    """Bytes that a batch may take on a device, from the memory that is free now."""
    if device.type != "cuda":  # mps shares the memory of the processor
        import psutil

        return _MAX_RAM_SHARE * float(psutil.virtual_memory().available)
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return _MAX_DEVICE_SHARE * (free + cached)


def max_batch(device: torch.device) -> int:
    """Inputs per batch if memory is plentiful."""
    return MAX_CPU_BATCH if device.type == "cpu" else MAX_GPU_BATCH


def fitting_batch(device: torch.device, bytes_each: float) -> int:
    """Inputs per batch, from the bytes that each takes in the network."""
    return max(1, min(max_batch(device), int(room_for(device) / bytes_each)))


def transformer_bytes(tokens: float, width: int, inner: int, itemsize: int) -> float:
    """Approximate bytes of one input's activations at the widest layer of a transformer.

    The residual stream, queries, keys, values, the output of attention, and copies of them in other
    layouts take 8 times the width. The feed-forward part before and after its nonlinearity takes
    twice its inner width. The attention matrix is computed in blocks and never stored whole.

    Parameters
    ----------
    tokens : float
        Tokens of the input.
    width, inner : int
        Elements per token outside and inside the feed-forward part.
    itemsize : int
        Bytes of an element.
    """
    return tokens * (8 * width + 2 * inner) * itemsize


def image_bytes(config: Any, side: int, itemsize: int) -> float:
    """Approximate bytes of one image in a vision transformer: its activations and its pixels.

    Parameters
    ----------
    config : object
        The model's configuration in transformers; missing sizes are assumed.
    side : int
        Longer side in the network, in pixels.
    itemsize : int
        Bytes of an element.
    """
    vision = getattr(config, "vision_config", config)
    width = getattr(vision, "hidden_size", None) or _ASSUMED_WIDTH
    inner = getattr(vision, "intermediate_size", None) or 4 * width
    patch = getattr(vision, "patch_size", None) or _ASSUMED_PATCH_PIXELS
    return transformer_bytes((side / patch) ** 2 + 1, width, inner, itemsize) + 24 * side**2


def release_unused() -> None:
    """Return the memory that PyTorch caches to the CUDA device."""
    import torch

    if _cuda_in_use(torch):
        torch.cuda.empty_cache()


def memory_used() -> MemoryUse:
    """Peak memory of this process so far; imports no library."""
    torch = sys.modules.get("torch")
    use = MemoryUse(resident_peak=_resident_peak(), device_allocated=None, device_peak=None)
    if torch is not None and _cuda_in_use(torch):
        devices = range(torch.cuda.device_count())
        use["device_allocated"] = sum(map(torch.cuda.memory_allocated, devices))
        use["device_peak"] = sum(map(torch.cuda.max_memory_allocated, devices))
    return use


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
    # macOS reports bytes, all others kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
