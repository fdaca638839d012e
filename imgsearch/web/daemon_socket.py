"""The daemon socket of a server: `imgsearch search` of its user and library is answered here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from imgsearch.catalog.sqlite_file import FILE
from imgsearch.daemon.address import have_sockets
from imgsearch.daemon.listener import Listener, listen
from imgsearch.errors import ImgSearchError, LibraryMissing
from imgsearch.serving.gallery import Gallery

POLL_SECONDS = 2.0
"""Interval between checks that the library exists and no other process listens."""


class DaemonSocket:
    """The socket that the command line uses, opened as soon as there is a library.

    Parameters
    ----------
    say : callable
        Gets a note, once, if the socket cannot be opened.
    """

    def __init__(self, gallery: Gallery, say: Callable[[str], None]) -> None:
        self._gallery, self._say = gallery, say
        self._listener: Listener | None = None
        self._closing = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._noted = ""

    async def open(self) -> None:
        """Listen now, or as soon as possible."""
        if not have_sockets():
            return
        await asyncio.to_thread(self._listen)
        if self._listener is None:
            self._looking = asyncio.create_task(self._look())

    async def close(self, timeout_s: float) -> None:
        """Answer the requests in hand if that time is enough, and refuse others."""
        self._closing.set()
        if self._looking is not None:
            await self._looking
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close, timeout_s)

    async def _look(self) -> None:
        while self._listener is None and not self._closing.is_set():
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                await asyncio.to_thread(self._listen)

    def _listen(self) -> None:
        gallery = self._gallery
        there = os.path.exists(os.path.join(gallery.settings.library, FILE))
        if not there and not gallery.settings.catalog:
            return
        try:
            gallery.resident.submit(lambda library: library.catalog.uuid).result()
            self._listener = listen(gallery.resident, gallery.settings, gallery.notes)
        except LibraryMissing:
            return
        except ImgSearchError as error:
            text = f"'imgsearch search' does not use this server yet: {error}."
            if text != self._noted:
                self._noted = text
                self._say(text)
