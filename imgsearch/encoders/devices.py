"""The device, the precision and the threads that a model runs with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from imgsearch.errors import EncoderError

if TYPE_CHECKING:
    import torch

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def choose_device(name: str) -> torch.device:
    """The torch device of that name, checked to be present.

    Raises
    ------
    EncoderError
        The name is unknown, or this machine has no such device.
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
            f"PyTorch cannot use a device {name!r} on this machine",
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
    """The dtype in which a network computes on a device.

    "auto" is bfloat16 on devices with instructions for it: CUDA from compute capability 8.0 on,
    processors with AMX or AVX512-BF16. It is float16 on older CUDA devices, and float32 on all
    others, where half precision is slower or less exact (docs/PERFORMANCE.md).

    Raises
    ------
    EncoderError
        The name of the precision is unknown.
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
    """The dtype of the weights, and the dtype to compute in if that differs.

    "autocast" keeps the weights in float32 and computes matrix products in bfloat16, or in
    float16 on CUDA devices without bfloat16.
    """
    import torch

    if precision != "autocast":
        return choose_dtype(precision, device), None
    old = device.type == "cuda" and not multiplies_bf16(device)
    return torch.float32, torch.float16 if old else torch.bfloat16


def multiplies_bf16(device: torch.device) -> bool:
    """True if the device has instructions that multiply matrices of bfloat16."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # PyTorch reports this for processors only under private names; without them, float32 is safe.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    checks = [getattr(torch.cpu, name, None) for name in names]
    return device.type == "cpu" and any(check() for check in checks if check is not None)


def autocasting(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """A context in which matrix products are computed in `dtype`; None changes nothing."""
    import torch

    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def limit_threads(threads: int | None) -> None:
    """Limit the CPU threads that torch uses in this process."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def describe_devices() -> list[str]:
    """PyTorch's version and the devices it can use on this machine, one phrase each."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    lines = [f"{torch.__version__} ({build}, {torch.get_num_threads()} CPU threads)"]
    for number in range(_device_count("cuda")):
        properties = torch.cuda.get_device_properties(number)
        lines.append(f"cuda:{number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    if _device_count("mps"):
        lines.append("mps: Apple GPU")
    return lines
