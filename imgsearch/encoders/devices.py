"""How a model is to be run; nothing here says which model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from imgsearch.errors import EncoderError

if TYPE_CHECKING:
    import torch

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def choose_device(name: str) -> torch.device:
    """The torch device of that name, after a look whether it is there.

    Raises
    ------
    EncoderError
        No such device, or no such name.
    """
    import torch

    if name == "auto":
        name = next((n for n in ("cuda", "mps") if _device_count(n)), "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise EncoderError(f"unknown device {name!r}", "Choose auto, cpu, cuda, cuda:N or mps.")
    if (device.index or 0) >= _device_count(device.type):
        raise EncoderError(
            f"there is no device {name!r} that PyTorch can use on this machine",
            "Choose auto or cpu, or install a build of PyTorch for your device.",
        )
    return device


def _device_count(kind: str) -> int:
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What a network computes in on a device; `EncoderError` for an unknown name.

    "auto" is bfloat16 where the device has instructions for it: CUDA from compute capability 8.0
    on, processors with AMX or AVX512-BF16. It is float16 on older CUDA devices, and float32 on
    whatever is left, where half precision is slower or less exact (docs/PERFORMANCE.md).
    """
    import torch

    if precision == "auto":
        if multiplies_bf16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision not in PRECISIONS:
        raise EncoderError(
            f"unknown precision {precision!r}", f"Choose auto, {', '.join(PRECISIONS)}, autocast."
        )
    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    return dtype


def choose_weights_dtype(
    precision: str, device: torch.device
) -> tuple[torch.dtype, torch.dtype | None]:
    """What the weights are stored in, and what to compute in where that differs.

    "autocast" keeps the weights in float32 and computes matrix products in bfloat16, or in
    float16 on CUDA devices that have no bfloat16.
    """
    import torch

    if precision != "autocast":
        return choose_dtype(precision, device), None
    old = device.type == "cuda" and not multiplies_bf16(device)
    return torch.float32, torch.float16 if old else torch.bfloat16


def multiplies_bf16(device: torch.device) -> bool:
    """True if the device multiplies matrices of bfloat16 by instructions made for that."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # PyTorch says it of processors under private names only; without them, float32 is safe.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    asked = [getattr(torch.cpu, name, None) for name in names]
    return device.type == "cpu" and any(ask() for ask in asked if ask is not None)


def autocasting(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Within it, matrix products are computed in `dtype`; None changes nothing."""
    import torch

    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def limit_threads(threads: int | None) -> None:
    """Bound the processor threads that torch uses in this process."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def describe_devices() -> list[str]:
    """What PyTorch is and can use on this machine, one phrase each."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    found = [f"{torch.__version__} ({build}, {torch.get_num_threads()} CPU threads)"]
    for number in range(_device_count("cuda")):
        properties = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    if _device_count("mps"):
        found.append("mps: Apple GPU")
    return found
