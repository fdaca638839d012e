"""A library made with an older revision of the built-in model."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from imgsearch.encoders import builtin

OLDER = replace(builtin.SPACE, revision="0")


@pytest.fixture
def of_old(place):
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


def test_all_pictures_are_encoded_again_and_searches_use_the_new_vectors(of_old):
    of_old.index()
    spaces = {space["revision"]: space for space in of_old.call("status", "--json").json["spaces"]}
    new = spaces[builtin.SPACE.revision]
    assert (new["images"], new["default"]) == (4, True)
    assert not any(space["default"] for revision, space in spaces.items() if space is not new)
    assert len(of_old.call("search", "--all", "a dog", "--format", "json").json) == 4


def test_the_index_file_of_the_older_vectors_stays_of_use(of_old):
    """What a run drops of the history is not what the file of another space still needs."""
    of_old.index()
    (of_old.photos / "b.jpg").unlink()
    assert of_old.index()["removed"] == 1
    checks = [each for each in of_old.call("doctor", "--json").json if each["name"] == "index"]
    assert [each["verdict"] for each in checks] == ["ok", "ok"], checks
