"""A library created with an older revision of the built-in model."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from imgsearch.encoders import builtin

OLDER = replace(builtin.SPACE, revision="0")


@pytest.fixture
def old_library(place):
    """Four pictures, indexed with revision 0 of the built-in model."""
    load = builtin.load

    def older(*arguments):
        encoder = copy.copy(load(*arguments))
        encoder._space = OLDER
        return encoder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtin, "load", older)
        patch.setattr(builtin, "revision", lambda *arguments: OLDER.revision)
        place.index()
        [space] = place.call("status", "--json").json["spaces"]
    assert space["revision"] == "0"
    return place


def test_all_pictures_are_encoded_again_and_searches_use_the_new_vectors(old_library):
    old_library.index()
    spaces = {
        space["revision"]: space for space in old_library.call("status", "--json").json["spaces"]
    }
    new = spaces[builtin.SPACE.revision]
    assert (new["images"], new["default"]) == (4, True)
    assert not any(space["default"] for revision, space in spaces.items() if space is not new)
    assert len(old_library.call("search", "--all", "a dog", "--format", "json").json) == 4


def test_the_index_file_of_the_older_vectors_stays_usable(old_library):
    """A run must not purge the history that the index file of another space still needs."""
    old_library.index()
    (old_library.photos / "b.jpg").unlink()
    assert old_library.index()["removed"] == 1
    checks = [each for each in old_library.call("doctor", "--json").json if each["name"] == "index"]
    assert [each["verdict"] for each in checks] == ["ok", "ok"], checks
