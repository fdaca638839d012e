"""Fetch a model from the Hugging Face hub and verify it: the only use of the network.

Files go to the cache of huggingface_hub, where other programs find them too. A model counts as
present once the ref `PINNED` names its commit. That ref is written after all files were verified:
their sizes, and SHA-256 for files in the hub's large file storage, git's SHA-1 for the others.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch.encoders.model_folder import (
    FETCHED_FILES,
    IGNORED_FILES,
    PINNED,
    cache_folder,
    missing_shards,
    require_data_only,
)
from imgsearch.errors import EncoderError, ImgSearchError
from imgsearch.records import OnProgress, Progress

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

TIMEOUT_SECONDS = 10.0
"""Timeout of requests to the hub for metadata."""

POLL_SECONDS = 0.5
"""Interval in which the files of a download that is followed are measured."""

_BLOCK_BYTES = 1 << 20


class DownloadStopped(ImgSearchError):
    """A download was stopped. Its threads may go on until the process exits, which must be soon."""


@dataclass(frozen=True, slots=True)
class Follow:
    """The caller's view of a download.

    Attributes
    ----------
    on_progress : callable
        Gets a `Progress` now and then.
    stop : callable
        True ends the download.
    """

    on_progress: OnProgress
    stop: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Download:
    """A model that was fetched.

    Attributes
    ----------
    commit : str
        The fetched revision, as a commit of the hub.
    path : str
        Folder with the files.
    files, size : int
        Number of files, and their bytes.
    unchecked : tuple of str
        Files for which the hub has no checksum.
    """

    name: str
    hub: str
    commit: str
    path: str
    files: int
    size: int
    unchecked: tuple[str, ...] = ()


def is_offline() -> bool:
    """True if the user has switched off network access of huggingface_hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def download(
    name: str, hub: str, revision: str | None, progress: bool, follow: Follow | None = None
) -> Download:
    """Fetch the missing files of a model, verify all of them, and pin the revision.

    Parameters
    ----------
    name, hub : str
        The user's name for the model, and its hub id.
    revision : str or None
        Branch, tag or commit; None is the hub's main branch.
    progress : bool
        Let huggingface_hub draw bars on stderr.
    follow : Follow, optional

    Raises
    ------
    EncoderError
        The hub cannot be reached or does not have the model; the model has no safetensors or needs
        code of its own; or a file does not match the hub's checksum.
    DownloadStopped
        `follow` stopped it. Complete files are kept.
    """
    with _online(progress):
        commit, files = _listing(name, hub, revision)
        fetch = partial(_fetch, name, hub, commit, [file.rfilename for file in files])
        path = fetch() if follow is None else _followed(fetch, hub, files, follow)
    wrong = []
    for number, file in enumerate(files):
        if follow is not None:
            follow.on_progress(Progress("verify", number, len(files)))
            if follow.stop():
                raise DownloadStopped("the download was stopped", "Start it again to continue.")
        if not _is_intact(path, file):
            wrong.append(file.rfilename)
    if wrong:
        _drop(path, wrong)
        raise EncoderError(
            f"wrong checksum of {', '.join(wrong)} from {hub}; removed",
            f"Try again: imgsearch models download {name}. If that does not help, a proxy or mirror"
            " in between alters files.",
        )
    _require_usable(path, hub)
    _pin(path, commit)
    size = sum(os.path.getsize(path / file.rfilename) for file in files)
    unchecked = tuple(file.rfilename for file in files if not _checksum(file))
    return Download(name, hub, commit, str(path), len(files), size, unchecked)


@contextmanager
def _online(progress: bool) -> Iterator[None]:
    """A context in which huggingface_hub may use the network, even if HF_HUB_OFFLINE is set.

    The user has asked for a download by name.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    before, quiet = constants.HF_HUB_OFFLINE, are_progress_bars_disabled()
    constants.HF_HUB_OFFLINE = False
    if not progress and not quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        if not progress and not quiet:
            enable_progress_bars()


def _listing(name: str, hub: str, revision: str | None) -> tuple[str, list[RepoSibling]]:
    """The commit of a revision, and its files to fetch."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        info = HfApi().model_info(
            hub, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    except RevisionNotFoundError as error:
        raise EncoderError(
            f"{hub} has no revision {revision}", "Name a branch, a tag or a commit of it."
        ) from error
    except GatedRepoError as error:
        raise EncoderError(
            f"{hub} is available only to users who accepted its terms",
            "Accept them on its page, run 'hf auth login', and try again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise EncoderError(
            f"the hub has no model {hub}, or you have no access to it",
            "Check the id (OWNER/NAME); 'imgsearch models' lists models that have short names.",
        ) from error
    except Exception as error:  # the HTTP library depends on the version of huggingface_hub
        raise _unreachable(name, hub, error) from error
    files = [file for file in info.siblings or [] if _is_fetched(file.rfilename)]
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        raise EncoderError(
            f"{hub} has no weights as safetensors, the only format that imgsearch loads",
            "Choose another revision of it (--revision), or another model: imgsearch models",
        )
    return str(info.sha), files


def _fetch(name: str, hub: str, commit: str, files: list[str]) -> Path:
    """Fetch the missing files; within a run, an interrupted file continues where it stopped."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                hub,
                revision=commit,
                cache_dir=cache_folder(),
                allow_patterns=list(FETCHED_FILES),
                ignore_patterns=list(IGNORED_FILES),
                etag_timeout=TIMEOUT_SECONDS,
            )
        )
    except Exception as error:  # as above; too few bytes from a server is an OSError
        here = os.path.join(_storage(hub), "snapshots", commit)
        missing = [file for file in files if not os.path.isfile(os.path.join(here, file))]
        raise _unreachable(name, hub, error, missing) from error


def _followed(
    fetch: Callable[[], Path], hub: str, files: Sequence[RepoSibling], follow: Follow
) -> Path:
    """What `fetch` returns, in a thread of its own, while its files are measured.

    huggingface_hub ends its threads only after the files in hand, so a stopped download leaves
    them to the exit of the process.
    """
    blobs = Path(_storage(hub), "blobs")
    sizes = {_checksum(file): file.size or 0 for file in files}
    earlier = set(_partial_files(blobs, sizes))
    future: Future[Path] = Future()

    def run() -> None:
        try:
            future.set_result(fetch())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="imgsearch-download").start()
    while not wait([future], POLL_SECONDS).done:
        if follow.stop():
            for path in set(_partial_files(blobs, sizes)) - earlier:
                path.unlink(missing_ok=True)  # its rest could not be added to it
            raise DownloadStopped("the download was stopped", "Start it again to continue.")
        arrived = {name: _size(blobs / name) for name in sizes}
        for path in set(_partial_files(blobs, sizes)) - earlier:
            name = path.name.partition(".")[0]
            arrived[name] = max(arrived[name], _size(path))
        follow.on_progress(Progress("download", sum(arrived.values()), sum(sizes.values())))
    return future.result()


def _partial_files(blobs: Path, names: Collection[str]) -> list[Path]:
    """Files of a cache that are being written: their name is that of the blob and an ending."""
    return [path for path in blobs.glob("*.incomplete") if path.name.partition(".")[0] in names]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unreachable(
    name: str, hub: str, error: Exception, missing: Sequence[str] = FETCHED_FILES
) -> EncoderError:
    from huggingface_hub import constants

    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    folder = _storage(hub)
    return EncoderError(
        f"{name} could not be fetched from {constants.ENDPOINT}: {reason}",
        f"Missing files of {hub}: {', '.join(missing)}. With a network, run the same command again"
        f" to continue; or run it on another machine and copy {os.path.basename(folder)} from"
        f" its cache to\n  {folder}\n"
        "  Or put the files into any folder and name that folder as the model.",
    )


def _storage(hub: str) -> str:
    """The folder of all revisions of a model."""
    return os.path.join(cache_folder(), f"models--{hub.replace('/', '--')}")


def _is_fetched(file: str) -> bool:
    return any(fnmatch(file, pattern) for pattern in FETCHED_FILES) and not any(
        fnmatch(file, pattern) for pattern in IGNORED_FILES
    )


def _is_intact(folder: Path, file: RepoSibling) -> bool:
    """True if the file exists with the size and the checksum that the hub lists."""
    path = folder / file.rfilename
    if not path.is_file():
        return False
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return False
    expected = _checksum(file)
    return not expected or _digest(path, size, expected) == expected


def _checksum(file: RepoSibling) -> str:
    """SHA-256, or git's SHA-1 for a small file; "" if the hub has neither."""
    return (file.lfs.sha256 if file.lfs else file.blob_id) or ""


def _digest(path: Path, size: int, like: str) -> str:
    if len(like) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _drop(folder: Path, files: list[str]) -> None:
    """Remove files from the cache with the blobs that they link to, so that nothing uses them."""
    for file in files:
        path = folder / file
        blob = path.resolve()
        with suppress(FileNotFoundError):
            path.unlink()
        if blob.parent.name == "blobs":
            with suppress(FileNotFoundError):
                blob.unlink()


def _require_usable(folder: Path, hub: str) -> None:
    """Raise `EncoderError` if the files already show that the model cannot be loaded."""
    from imgsearch.encoders import gme
    from imgsearch.encoders.model_folder import model_type

    lacking = missing_shards(folder)
    if lacking:
        raise EncoderError(
            f"{hub} is incomplete on the hub itself: its index lists {', '.join(lacking)}",
            "Choose another revision of it (--revision).",
        )
    if model_type(folder) != gme.ARCHITECTURE:
        require_data_only(folder, hub)


def _pin(folder: Path, commit: str) -> None:
    """Make this commit the model's current revision, atomically."""
    refs = folder.parent.parent / "refs"
    refs.mkdir(exist_ok=True)
    new = refs / f"{PINNED}.{os.getpid()}.new"
    new.write_text(commit, encoding="ascii")
    new.replace(refs / PINNED)
