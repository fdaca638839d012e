"""Extensions: pictures that no decoder reads are reported, not ignored."""

from __future__ import annotations

import pytest

from imgsearch.records import Skipped
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.sources.formats import (
    PICTURE_EXTENSIONS,
    RAW_EXTENSIONS,
    UNSUPPORTED_EXTENSIONS,
    is_picture_name,
)


def test_an_extension_is_in_one_list():
    read = PICTURE_EXTENSIONS | RAW_EXTENSIONS
    assert not PICTURE_EXTENSIONS & RAW_EXTENSIONS
    assert not read & UNSUPPORTED_EXTENSIONS.keys()
    assert all(each == each.lower() for each in (*read, *UNSUPPORTED_EXTENSIONS))


@pytest.mark.parametrize(
    "extension", ["psb", "ai", "cdr", "dcm", "xpm", "cur", "svg", "PSB", "blp"]
)
def test_a_picture_without_a_decoder_is_skipped_with_its_kind(tmp_path, extension):
    (tmp_path / f"drawing.{extension}").write_bytes(b"any content")
    [item] = FilesystemSource(str(tmp_path)).scan()
    assert isinstance(item, Skipped) and not item.transient
    kind = UNSUPPORTED_EXTENSIONS[extension.lower()]
    assert item.reason.startswith(f"{kind} pictures are not supported")


@pytest.mark.parametrize("name", ["notes.txt", "film.mov", "x.xmp", "x.json", "psb", ".psb"])
def test_other_files_are_no_pictures(name):
    assert not is_picture_name(name)


@pytest.mark.parametrize("extension", ["insp", "vst", "bay", "cap", "dcs", "drf", "ptx", "rwz"])
def test_rare_extensions_of_pictures_are_opened(extension):
    assert extension in PICTURE_EXTENSIONS | RAW_EXTENSIONS
