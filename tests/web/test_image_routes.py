"""Vectors and small pictures of several pictures in one answer."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from imgsearch.library import Library
from imgsearch.settings import Settings
from tests.cli.calls import Place
from tests.web.server_process import API, Served


def test_vectors_are_those_of_the_catalog_and_missing_ones_are_named(
    server: Served, demo: Place
) -> None:
    ids = [server.id_of("owl.jpg"), server.id_of("crab.jpg"), server.id_of("owl.jpg")]
    answer = server.get("/vectors", id=[*ids, 999_999], encoding_format="base64")
    assert [each["id"] for each in answer["vectors"]] == ids[:2]
    assert answer["missing"] == [999_999]
    with Library(Settings(library=str(demo.library))) as library:
        space = library.searcher.space
        assert (answer["space"], answer["model"]) == (space.key, space.model)
        for each in answer["vectors"]:
            row = np.frombuffer(base64.b64decode(each["vector"]), "<f4")
            stored = library.catalog.vector(space, each["id"])
            assert stored is not None and np.allclose(row, stored, atol=1e-6)
    single = server.get(f"/images/{ids[1]}/vector")
    assert np.allclose(single["vector"], row, atol=1e-6)
    assert server.ask(f"{API}/images/999999/vector").status == 404
    assert server.ask(f"{API}/vectors", id=range(1, 502)).status == 400


def test_small_pictures_of_many_are_those_of_each(server: Served) -> None:
    ids = [server.id_of("owl.jpg"), server.id_of("horses.heic")]
    answer = server.get("/thumbs", id=[*ids, 999_999], size=200)
    assert [each["id"] for each in answer["thumbs"]] == ids
    assert answer["missing"] == [{"id": 999_999, "reason": "not in the library"}]
    for each in answer["thumbs"]:
        data = base64.b64decode(each["data"])
        assert data == server.ask(f"{API}/thumb/{each['id']}").body
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, max(image.size)) == ("WEBP", 256)
    assert server.ask(f"{API}/thumbs", id=range(1, 102)).status == 400
    assert server.ask(f"{API}/thumbs").status == 400
