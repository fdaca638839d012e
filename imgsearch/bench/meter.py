"""The device, and the memory in use on it."""

from __future__ import annotations

import gc
import os
import platform
import threading
from collections.abc import Callable
from typing import Any

import psutil
import torch

MODES = {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX-BF16", "bf16": "BF16"}
"""Flags of instructions for bfloat16 in /proc/cpuinfo, and their names."""
_PERIOD_SECONDS = 0.001
_CHILDREN_PERIOD_SECONDS = 0.05
_BUSY_PERIOD_SECONDS = 0.1


class Resident:
    """The peak resident memory of this process while the context is open, in bytes.

    It is sampled every millisecond, so shorter peaks may be missed.

    Parameters
    ----------
    children : bool
        Also sample the child processes, every 50 ms.

    Attributes
    ----------
    peak : int
        Peak of this process.
    with_children : int
        Peak of the sum over all processes; shared pages count for each.
    """

    def __init__(self, children: bool = False) -> None:
        self._process = psutil.Process()
        self._children = children
        self._stop = threading.Event()
        self.peak = self.with_children = 0

    def __enter__(self) -> Resident:
        self._look()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_CHILDREN_PERIOD_SECONDS if self._children else _PERIOD_SECONDS):
            self._look()

    def _look(self) -> None:
        own = self._process.memory_info().rss
        self.peak = max(self.peak, own)
        if self._children:
            total = own + sum(map(_resident, self._process.children(recursive=True)))
            self.with_children = max(self.with_children, total)


class Busy:
    """The share of time in which a CUDA device runs a kernel while the context is open.

    Read every 100 ms from NVIDIA's driver, which states it for the last fraction of a second.

    Attributes
    ----------
    share : float or None
        0 to 1; None without a CUDA device or without the package nvidia-ml-py.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stop = threading.Event()
        self._found: list[int] = []
        self.share: float | None = None

    def __enter__(self) -> Busy:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self._device.type == "cuda":
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._found:
            self.share = sum(self._found) / len(self._found) / 100

    def _watch(self) -> None:
        while not self._stop.wait(_BUSY_PERIOD_SECONDS):
            try:
                self._found.append(torch.cuda.utilization(self._device))
            except (ImportError, RuntimeError):  # no nvidia-ml-py, or no answer
                return


class Meter:
    """Memory on a processor: that of this process, including Python and libraries."""

    label = "resident memory of the whole process, with Python and its libraries"

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def synchronize(self) -> None:
        """Wait until the device has finished."""

    def allocated(self) -> int:
        """Bytes in use now."""
        return int(psutil.Process().memory_info().rss)

    def peak_of(self, run: Callable[[], object]) -> int:
        """Peak bytes in use during `run`."""
        with Resident() as memory:
            run()
            self.synchronize()
        return memory.peak

    def release(self) -> None:
        """Release memory that is no longer referenced."""
        gc.collect()


class CudaMeter(Meter):
    """Memory of tensors on a CUDA device, as PyTorch's allocator counts it."""

    label = "memory of tensors on the GPU (torch.cuda.memory_allocated, max_memory_allocated)"

    def synchronize(self) -> None:
        torch.cuda.synchronize(self._device)

    def allocated(self) -> int:
        return torch.cuda.memory_allocated(self._device)

    def peak_of(self, run: Callable[[], object]) -> int:
        self.release()
        torch.cuda.reset_peak_memory_stats(self._device)
        run()
        self.synchronize()
        return torch.cuda.max_memory_allocated(self._device)

    def release(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()


class MpsMeter(Meter):
    """Memory of an Apple GPU, which records no peak; measured after the run."""

    label = "memory that the Metal driver holds for the process, measured after the run"

    def synchronize(self) -> None:
        torch.mps.synchronize()

    def allocated(self) -> int:
        return torch.mps.driver_allocated_memory()

    def peak_of(self, run: Callable[[], object]) -> int:
        run()
        self.synchronize()
        return self.allocated()

    def release(self) -> None:
        gc.collect()
        torch.mps.empty_cache()


def meter_of(device: torch.device) -> Meter:
    """The meter for a device."""
    kinds: dict[str, type[Meter]] = {"cuda": CudaMeter, "mps": MpsMeter}
    return kinds.get(device.type, Meter)(device)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """The device, its threads and the versions that affect speed, as plain values."""
    import sentence_transformers
    import transformers

    return {
        "device": device_name(device),
        "kind": device.type,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "sentence_transformers": sentence_transformers.__version__,
        "tf32": device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32,
    }


def device_name(device: torch.device) -> str:
    """The name of a GPU ("Apple GPU"), or of a processor with its bfloat16 instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    info = _cpuinfo()
    flags = info.get("flags", info.get("Features", "")).split()
    modes = [name for flag, name in MODES.items() if flag in flags]
    name = info.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(modes) or 'no instructions for bfloat16 known'})"


def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; {} on systems without that file."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            first = file.read().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # the process has ended
        return 0
