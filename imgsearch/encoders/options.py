"""How a model is to be run; nothing here says which model."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """What a network computes in on a device; `EncoderError` for an unknown name."""
    import torch

    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision not in PRECISIONS:
        raise EncoderError(
            f"unknown precision {precision!r}", f"Choose auto, {', '.join(PRECISIONS)}."
        )
    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    return dtype


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
