"""Memory that this process shares with a decoder process, in slots of one picture each.

Pixels in a slot are read where they lie. The memory has no name: nothing of it is left behind,
whichever process is killed, and the size of /dev/shm, 64 MB in a container, does not limit it.
Imports no NumPy, because processes are started before this one has imported it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Sequence
from multiprocessing import reduction
from typing import Any

SLOT_BYTES = 8 << 20
"""Addresses of a slot. Memory is used for the pixels that have been written to it, no more."""


class SharedFile:
    """The memory as a file, which a process that is spawned inherits.

    Raises
    ------
    OSError
        Too many files are open.
    """

    def __init__(self) -> None:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.descriptor = os.memfd_create("imgsearch pixels", flags)

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (reduction.DupFd(self.descriptor),)

    def close(self) -> None:
        """Close the file; what is mapped stays."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def _inherited(duplicate: Any) -> int:
    return int(duplicate.detach())


def shared_file() -> SharedFile | None:
    """A new file; None on a system that has none, where pixels travel through pipes."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        return SharedFile()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None  # forbidden in this container


class PixelSlots:
    """The slots as this process reads them.

    Parameters
    ----------
    file : SharedFile
        Set to the size of all slots; the other process cannot change that.

    Raises
    ------
    OSError
        There is too little memory, or a limit on addresses.
    """

    def __init__(self, file: SharedFile, count: int) -> None:
        import fcntl

        os.ftruncate(file.descriptor, count * SLOT_BYTES)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(file.descriptor, fcntl.F_ADD_SEALS, seals)
        self._memory = mmap.mmap(file.descriptor, count * SLOT_BYTES)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._free = list(range(count))

    def take(self) -> PixelSlot | None:
        """A free slot, the one used last; None if there is none."""
        try:
            number = self._free.pop()
        except IndexError:
            return None
        return PixelSlot(number, self._start + number * SLOT_BYTES, self._memory, self._free)


class PixelSlot:
    """One slot; it is free again as soon as no array refers to it."""

    def __init__(self, number: int, address: int, memory: mmap.mmap, free: list[int]) -> None:
        self.number = number
        self._address, self._memory, self._free = address, memory, free
        self._shape: tuple[int, ...] = (0,)

    def __del__(self) -> None:
        self._free.append(self.number)

    def holding(self, shape: Sequence[int]) -> PixelSlot:
        """The slot as a source for `numpy.asarray`: uint8 of this shape, not copied.

        An array, and each view of it, has the slot as its base, because NumPy shortens chains of
        arrays only.
        """
        self._shape = tuple(shape)
        return self

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "typestr": "|u1",
            "shape": self._shape,
            "data": (self._address, False),
        }


class SlotWriter:
    """The slots as a decoder process writes them.

    Parameters
    ----------
    descriptor : int
        The inherited file; closed here.
    """

    def __init__(self, descriptor: int, count: int) -> None:
        try:
            self._memory = memoryview(mmap.mmap(descriptor, count * SLOT_BYTES))
        finally:
            os.close(descriptor)

    def write(self, number: int, pixels: memoryview) -> bool:
        """Copy pixels into a slot, if they fit."""
        data = pixels.cast("B")
        if data.nbytes > SLOT_BYTES:
            return False
        start = number * SLOT_BYTES
        self._memory[start : start + data.nbytes] = data
        return True
