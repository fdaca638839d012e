"""Fetch a model from the Hugging Face hub, and check what came: the only use of the network.

Files go to the cache of huggingface_hub, where other programs find them, too. A model counts as
being here once the ref `PINNED` names its commit, and that is written after all files were checked:
sizes, SHA-256 of the files that the hub keeps in large file storage, git's SHA-1 of the others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch.encoders.model_folder import (
    PINNED,
    UNWANTED,
    WANTED,
    cache_folder,
    missing_shards,
    require_data_only,
)
from imgsearch.errors import EncoderError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

TIMEOUT_S = 10.0
"""How long the hub may be silent."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Download:
    """A model that is here now.

    Attributes
    ----------
    commit : str
        The revision that was fetched, as the hub names it for good.
    path : str
        Folder with the files.
    files, size : int
        How many files there are, and their bytes.
    unchecked : tuple of str
        Files that the hub gave no checksum for.
    """

    name: str
    hub: str
    commit: str
    path: str
    files: int
    size: int
    unchecked: tuple[str, ...] = ()


def download(name: str, hub: str, revision: str | None, progress: bool) -> Download:
    """Fetch what is missing of a model, check all of it, and pin the revision.

    Parameters
    ----------
    name, hub : str
        What the user calls the model, and its id on the hub.
    revision : str or None
        Branch, tag or commit; None is the hub's main branch.
    progress : bool
        Let huggingface_hub draw bars on stderr.

    Raises
    ------
    EncoderError
        The hub cannot be reached or has no such model; the model has no safetensors or needs
        code of its own; or a file is not the one that the hub lists.
    """
    with _online(progress):
        commit, listed = _listing(name, hub, revision)
        path = _fetch(name, hub, commit, [file.rfilename for file in listed])
    wrong = [file.rfilename for file in listed if not _is_intact(path, file)]
    if wrong:
        _drop(path, wrong)
        raise EncoderError(
            f"{', '.join(wrong)} of {hub} came with other content than the hub lists; removed",
            f"Try again: imgsearch models download {name}. If it stays so, a proxy or mirror on"
            " the way alters files.",
        )
    _require_usable(path, hub)
    _pin(path, commit)
    size = sum(os.path.getsize(path / file.rfilename) for file in listed)
    unchecked = tuple(file.rfilename for file in listed if not _checksum(file))
    return Download(name, hub, commit, str(path), len(listed), size, unchecked)


@contextmanager
def _online(progress: bool) -> Iterator[None]:
    """Within it huggingface_hub may use the network, whatever HF_HUB_OFFLINE says: this was asked
    for by name."""
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
    """The commit that a revision is, and the files of it that are wanted."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        info = HfApi().model_info(hub, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    except RevisionNotFoundError as error:
        raise EncoderError(
            f"{hub} has no revision {revision}", "Name a branch, a tag or a commit of it."
        ) from error
    except GatedRepoError as error:
        raise EncoderError(
            f"{hub} is given only to those who accepted its terms",
            "Accept them on its page, run 'hf auth login', and try again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise EncoderError(
            f"the hub has no model {hub}, or does not show it to you",
            "Is the id right (OWNER/NAME)? 'imgsearch models' lists names that need none.",
        ) from error
    except Exception as error:  # of three HTTP libraries, by the version of huggingface_hub
        raise _unreachable(name, hub, error) from error
    files = [file for file in info.siblings or [] if _is_wanted(file.rfilename)]
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        raise EncoderError(
            f"{hub} has no weights as safetensors, and imgsearch loads nothing else",
            "Choose another revision of it (--revision), or another model: imgsearch models",
        )
    return str(info.sha), files


def _fetch(name: str, hub: str, commit: str, files: list[str]) -> Path:
    """Files that are here stay; within a run, one that breaks off goes on where it stopped."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                hub,
                revision=commit,
                cache_dir=cache_folder(),
                allow_patterns=list(WANTED),
                ignore_patterns=list(UNWANTED),
                etag_timeout=TIMEOUT_S,
            )
        )
    except Exception as error:  # as above; and a server that sends too few bytes is an OSError
        here = os.path.join(_storage(hub), "snapshots", commit)
        missing = [file for file in files if not os.path.isfile(os.path.join(here, file))]
        raise _unreachable(name, hub, error, missing) from error


def _unreachable(
    name: str, hub: str, error: Exception, missing: Sequence[str] = WANTED
) -> EncoderError:
    from huggingface_hub import constants

    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    folder = _storage(hub)
    return EncoderError(
        f"{name} could not be fetched from {constants.ENDPOINT}: {reason}",
        f"Missing are {', '.join(missing)} of {hub}. Where there is a network, run the same command"
        f" again to go on; or run it on another machine, and copy {os.path.basename(folder)} from"
        f" its cache to\n  {folder}\n"
        "  Or put the files into any folder, and name that folder as the model.",
    )


def _storage(hub: str) -> str:
    """The folder of all revisions of a model."""
    return os.path.join(cache_folder(), f"models--{hub.replace('/', '--')}")


def _is_wanted(file: str) -> bool:
    return any(fnmatch(file, pattern) for pattern in WANTED) and not any(
        fnmatch(file, pattern) for pattern in UNWANTED
    )


def _is_intact(folder: Path, file: RepoSibling) -> bool:
    """True if the file is there, with the size and the checksum that the hub lists for it."""
    path = folder / file.rfilename
    if not path.is_file():
        return False
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return False
    expected = _checksum(file)
    return not expected or _digest(path, size, expected) == expected


def _checksum(file: RepoSibling) -> str:
    """SHA-256, or the SHA-1 that git gives a small file; "" where the hub says nothing."""
    return (file.lfs.sha256 if file.lfs else file.blob_id) or ""


def _digest(path: Path, size: int, like: str) -> str:
    if len(like) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _drop(folder: Path, files: list[str]) -> None:
    """Take files out of the cache, with the blobs that they link to, so that nothing uses them."""
    for file in files:
        path = folder / file
        blob = path.resolve()
        with suppress(FileNotFoundError):
            path.unlink()
        if blob.parent.name == "blobs":
            with suppress(FileNotFoundError):
                blob.unlink()


def _require_usable(folder: Path, hub: str) -> None:
    """Raise `EncoderError` if it is clear already that the model cannot be loaded."""
    from imgsearch.encoders import gme
    from imgsearch.encoders.model_folder import model_type

    lacking = missing_shards(folder)
    if lacking:
        raise EncoderError(
            f"{hub} itself is not whole: its index names {', '.join(lacking)}",
            "Choose another revision of it (--revision).",
        )
    if model_type(folder) != gme.ARCHITECTURE:
        require_data_only(folder, hub)


def _pin(folder: Path, commit: str) -> None:
    """Make the commit the one that the model's name stands for, in one step."""
    refs = folder.parent.parent / "refs"
    refs.mkdir(exist_ok=True)
    new = refs / f"{PINNED}.{os.getpid()}.new"
    new.write_text(commit, encoding="ascii")
    new.replace(refs / PINNED)
