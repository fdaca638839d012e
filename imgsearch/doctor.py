"""Checks of the installation and the library, with suggested fixes."""

from __future__ import annotations

import os
import platform
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata

from imgsearch import plugins
from imgsearch.encoders.registry import model_cards
from imgsearch.errors import ImgSearchError, LibraryMissing, MissingExtra
from imgsearch.filters.tree import Below
from imgsearch.indexes import sealed_files
from imgsearch.indexes.threads import import_faiss
from imgsearch.indexing.index_files import engine, sync, verify
from imgsearch.library import Library
from imgsearch.ocr import rapid
from imgsearch.records import Known
from imgsearch.settings import LOCAL
from imgsearch.sources.decoders import decoders
from imgsearch.sources.filesystems import network_warning
from imgsearch.sources.guarded_files import digest_file
from imgsearch.vectors import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: `verdict` is "ok", "note" or "wrong"; `fix` is the way to fix it."""

    name: str
    verdict: str
    finding: str
    fix: str = ""


MAX_SAMPLE_IMAGES = 200
MAX_NAMED_FILES = 5


def check_to_plain(check: Check) -> dict[str, str]:
    """A check as values for JSON, where the key of the fix stays "mend" for scripts."""
    return {
        "name": check.name,
        "verdict": check.verdict,
        "finding": check.finding,
        "mend": check.fix,
    }


def examine(library: Library, deep: bool = False) -> list[Check]:
    """Run all checks, from the installation to the library; with `deep`, read some pictures."""
    steps: tuple[Callable[[Library], Iterator[Check]], ...] = (
        _python,
        _torch,
        _faiss,
        _decoders,
        _texts,
        _models,
        _model_servers,
        _disk,
        _catalog,
        _index_server,
        _encoders,
        _indexes,
        _roots,
        *((_contents,) if deep else ()),
    )
    return [check for step in steps for check in step(library)]


def _python(library: Library) -> Iterator[Check]:
    yield Check("Python", "ok", f"{platform.python_version()} on {platform.platform()}")


def _torch(library: Library) -> Iterator[Check]:
    from imgsearch.encoders.devices import describe_devices

    try:
        devices = describe_devices()
    except (ImportError, OSError) as error:
        fix = "In your clone of imgsearch, run: pip install '.[cpu]'"
        yield Check("torch", "wrong", f"cannot load PyTorch: {error}", fix)
        return
    for device in devices:
        yield Check("torch", "ok", device)


def _faiss(library: Library) -> Iterator[Check]:
    builds = [name for name in ("faiss-cpu", "faiss-gpu") if _installed(name)]
    try:
        version = import_faiss().__version__
    except ImgSearchError as error:
        yield Check("FAISS", "wrong", str(error), error.hint)
        return
    if len(builds) > 1:
        yield Check(
            "FAISS",
            "wrong",
            "faiss-cpu and faiss-gpu are both installed and overwrite each other",
            "pip uninstall faiss-cpu faiss-gpu, then install one: pip install '.[cpu]'",
        )
    else:
        yield Check("FAISS", "ok", f"{version} ({', '.join(builds) or 'built from source'})")


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _decoders(library: Library) -> Iterator[Check]:
    for decoder in decoders():
        if decoder.version:
            yield Check("decoder", "ok", f"{decoder.name} {decoder.version}: {decoder.formats}")
        else:
            yield Check("decoder", "note", f"{decoder.name} is not installed", decoder.hint)


def _texts(library: Library) -> Iterator[Check]:
    try:
        reader = rapid.RapidReader()
        rapid.model_files()
    except MissingExtra as error:
        finding = "cannot read text in pictures: rapidocr or onnxruntime is not installed"
        yield Check("texts", "note", finding, error.hint)
    except ImgSearchError as error:
        yield Check("texts", "wrong", str(error), error.hint)
    else:
        yield Check("texts", "ok", f"{reader.engine}: 'imgsearch index --ocr' reads pictures")


def _models(library: Library) -> Iterator[Check]:
    used = ""
    with suppress(ImgSearchError):  # _catalog reports a damaged catalog
        used = library.model
    for name, error in plugins.load_failures(plugins.ENCODERS):
        yield Check("model", "wrong", f"cannot load the plug-in {name}: {error}", "Update it.")
    served = dict(library.models.servers())
    others = [name for name in (card.name for card in model_cards()) if name != used]
    for name in (each for each in (used, *others) if each and each not in served):
        try:
            yield Check("model", "ok", f"{name}, revision {library.models.revision(name)}")
        except ImgSearchError as error:
            if name == used:
                yield Check("model", "wrong", str(error), error.hint)


def _model_servers(library: Library) -> Iterator[Check]:
    """Reach the servers that the setting `models` names, and compare their spaces with ours."""
    spaces: Sequence[EmbeddingSpace] = ()
    with suppress(ImgSearchError):  # _catalog reports a damaged catalog
        spaces = library.catalog.known_spaces(filled=True)
    for name, url in library.models.servers():
        try:
            space = library.models.encoder(name).space
        except ImgSearchError as error:
            yield Check("model server", "wrong", str(error), error.hint)
            continue
        known = [each for each in spaces if each.model == name]
        if known and space not in known:
            finding = f"{url} serves {space}; pictures are indexed with {known[-1]}"
            fix = f"Serve that again, or index the pictures again: imgsearch index --model {name}"
            yield Check("model server", "wrong", finding, fix)
        else:
            yield Check("model server", "ok", f"{url} serves {space}")


def _disk(library: Library) -> Iterator[Check]:
    folder = library.settings.library
    warning = network_warning(folder)
    if warning:
        yield Check("library disk", "wrong", *warning)
    parent = folder
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    free = shutil.disk_usage(parent).free
    if free < 1 << 30:
        fix = "Free some space: a million pictures need about 6 GB."
        yield Check("library disk", "note", f"only {free / 1e6:.0f} MB free for {folder}", fix)
    else:
        yield Check("library disk", "ok", f"{free / 1e9:.0f} GB free for {folder}")


def _catalog(library: Library) -> Iterator[Check]:
    try:
        faults = library.catalog.check()
    except LibraryMissing as error:
        yield Check("library", "note", str(error), error.hint)
        return
    except ImgSearchError as error:
        yield Check("library", "wrong", str(error), error.hint)
        return
    for fault in faults:
        fix = "Restore a backup, or remove the library folder and index again."
        yield Check("catalog", "wrong", fault, fix)
    if not faults:
        server = f"{library.catalog.server}: " if library.catalog.server else ""
        yield Check("catalog", "ok", f"{server}intact, at revision {library.catalog.head()[0]}")


def _index_server(library: Library) -> Iterator[Check]:
    """Reach the server that the setting `index` names."""
    kind = library.settings.index
    if not plugins.is_url(kind):
        return
    try:
        yield Check("index server", "ok", engine(kind))
    except ImgSearchError as error:
        yield Check("index server", "wrong", str(error), error.hint)


def _encoders(library: Library) -> Iterator[Check]:
    """Reach the machines that the setting `encoders` names."""
    settings, found = library.settings, False
    if settings.encoders == LOCAL:
        return
    try:
        space, witnesses = library.spaces.indexed(), _witnesses(library)
        pool = plugins.encoder_pool(settings.encoders)
        for machine, reason in pool.survey(settings, space, witnesses):
            found = True
            fix = "'imgsearch index' leaves it out until this is fixed." if reason else ""
            finding = f"{machine}: {reason}" if reason else machine
            yield Check("encoders", "wrong" if reason else "ok", finding, fix)
    except ImgSearchError as error:
        yield Check("encoders", "wrong", str(error), error.hint)
        return
    if not found:
        fix = "Add one, or lower the resources of an actor in the setting encoders."
        yield Check("encoders", "wrong", "no machine has the resources for an actor", fix)


def _witnesses(library: Library) -> list[Known]:
    """A file of each folder, as it is now, for comparison with other machines."""
    try:
        catalog = library.catalog
        roots = catalog.roots(counted=False)
        records = [record for root in roots for record in catalog.newest(Below(root.path), 1)]
    except LibraryMissing:
        return []
    digests = [digest_file(record.file) for record in records]
    return [each for each in digests if isinstance(each, Known)]


def _indexes(library: Library) -> Iterator[Check]:
    try:
        spaces = library.catalog.known_spaces()
    except ImgSearchError:
        return
    for space in spaces:
        try:
            yield _index_check(library, space)
        except ImgSearchError as error:
            yield Check("index", "wrong", str(error), error.hint)
    if plugins.is_url(library.settings.index):
        return
    for name in sealed_files.strangers(library.index_files.folder, library.catalog.uuid):
        yield Check(
            "index",
            "note",
            f"{name} belongs to another library",
            "It is not used; you can delete it.",
        )


def _roots(library: Library) -> Iterator[Check]:
    try:
        roots, unused = library.catalog.roots(), library.catalog.unused_roots()
    except ImgSearchError:
        return
    for root in roots:
        if root.path in unused:
            fix = f"To take it out of the library: imgsearch roots --forget {root.path}"
            yield Check("folder", "note", f"{root.path} has no pictures in the library", fix)
        elif os.path.isdir(root.path):
            yield Check("folder", "ok", f"{root.path}: {root.images} pictures")
        else:
            yield Check(
                "folder",
                "note",
                f"{root.path} is missing; its {root.images} pictures stay in the library",
                "Mount its disk. If it is gone for good: imgsearch roots --forget PATH",
            )


def _contents(library: Library) -> Iterator[Check]:
    """Compare the content of some pictures, drawn at random, with the catalog."""
    try:
        ids = library.catalog.all_ids()
        sample = random.sample(ids.tolist(), min(MAX_SAMPLE_IMAGES, len(ids)))
        records = list(library.catalog.get(sample).values())
    except ImgSearchError:
        return
    drawn = f"{len(records)} of {len(ids)} pictures, drawn at random"
    differing, unread = [], 0
    for record in records:
        result = digest_file(record.file)
        if not isinstance(result, Known):
            unread += 1
        elif result.content_hash != record.content_hash and result.file.state == record.file.state:
            differing.append(record.file.absolute)
    if differing:
        shown = ", ".join(differing[:MAX_NAMED_FILES])
        more = len(differing) - MAX_NAMED_FILES
        yield Check(
            "contents",
            "wrong",
            f"read {drawn}: {len(differing)} changed without a new size or time: {shown}"
            + (f" and {more} more" if more > 0 else ""),
            "Compare all files with the library: imgsearch index --verify",
        )
    else:
        yield Check("contents", "ok", f"read {drawn}: as in the library")
    if unread:
        fix = "If their disks are mounted, update the library: imgsearch index"
        yield Check("contents", "note", f"{unread} of these files could not be read", fix)


def _index_check(library: Library, space: EmbeddingSpace) -> Check:
    """Compare the index on disk, after replaying its tail, with the catalog, vector by vector."""
    index = library.index_files.open(space)
    stored = index.state.revision
    with library.catalog.snapshot():  # an indexer may be running
        replayed = sync(library.catalog, index)
        faults = verify(library.catalog, index)
    doubt = index.state.doubt or replayed or index.check()
    if doubt or faults:
        fix = (
            "Nothing to do: the next search or indexing run with"
            f" {space.model} rebuilds it from the catalog."
        )
        verdict = "wrong" if faults else "note"
        return Check("index", verdict, "; ".join([*([doubt] if doubt else []), *faults]), fix)
    finding = f"{space.model}: {len(index)} vectors, equal to the catalog, {index.state.kind}"
    if plugins.is_url(library.settings.index):
        finding += f", stored up to revision {stored} of {library.catalog.head()[0]}"
    return Check("index", "ok", finding)
