"""Vectors for other programs, in the shapes of OpenAI's and Immich's requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import NotFoundError, OpenAI, PermissionDeniedError

from imgsearch.library import Library
from imgsearch.settings import Settings
from imgsearch.web.tokens import new_token
from tests.cli.calls import Place
from tests.conftest import PHOTOS
from tests.hostile_files import bomb
from tests.web.server_process import API, Reply, Served, serving

CRAB = PHOTOS / "crab.jpg"


@pytest.fixture(scope="module")
def open_server(demo: Place) -> Iterator[Served]:
    with serving(demo.library, "--rate", 100_000, "--embed") as served:
        yield served


def embed(server: Served, **body: object) -> Any:
    reply = server.post("/embed", body)
    assert reply.status == 200, reply.body
    return reply.json


def uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def predict(server: Served, **fields: str | bytes) -> Reply:
    """A request as the server of Immich sends it."""
    edge, parts = "edge0123456789", []
    for name, value in fields.items():
        file = '; filename="blob"' if isinstance(value, bytes) else ""
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()))
    body = b"\r\n".join([*parts, f"--{edge}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    return server.ask("/predict", "POST", body, headers)


def test_vectors_of_texts_and_pictures_are_those_that_the_library_searches_with(
    open_server: Served, demo: Place
) -> None:
    """A picture of the library gets the vector that was stored for it."""
    inputs = ["a crab", {"text": "a crab"}, {"image": uri(CRAB)}]
    answer = embed(open_server, input=inputs)
    assert [each["index"] for each in answer["data"]] == [0, 1, 2]
    text, same, picture = (np.array(each["embedding"], np.float32) for each in answer["data"])
    assert np.allclose([np.linalg.norm(text), np.linalg.norm(picture)], 1, atol=1e-5)
    assert (text == same).all()
    with Library(Settings(library=str(demo.library))) as library:
        expected = library.encoder().encode_texts(["a crab"])[0]
        assert np.allclose(text, expected, atol=1e-5)
        assert answer["model"] == library.model
        space = library.searcher.space
        stored = library.catalog.vector(space, open_server.id_of("crab.jpg"))
    assert answer["space"] == space.key
    assert stored is not None and float(picture @ stored) > 0.999
    plain = embed(open_server, input=uri(CRAB), modality="image", encoding_format="base64")
    packed = np.frombuffer(base64.b64decode(plain["data"][0]["embedding"]), "<f4")
    assert np.allclose(packed, picture, atol=1e-6)


def test_a_client_of_openai_works_with_the_address_as_its_base_url(open_server: Served) -> None:
    """The client asks for base64 by default, and reads it back."""
    client = OpenAI(base_url=f"{open_server.url}v1", api_key="any", max_retries=0)
    model = client.models.list().data[0].id
    answer = client.embeddings.create(model=model, input=["a dog", "a cat"] * 20)
    assert len(answer.data) == 40
    expected = embed(open_server, input="a cat")["data"][0]["embedding"]
    assert np.allclose(answer.data[39].embedding, expected, atol=1e-6)
    floats = client.embeddings.create(
        model="imgsearch", input="a cat", encoding_format="float", dimensions=len(expected)
    )
    assert np.allclose(floats.data[0].embedding, expected, atol=1e-6)
    with pytest.raises(NotFoundError, match="text-embedding-3-small"):
        client.embeddings.create(model="text-embedding-3-small", input="a cat")


def test_immich_s_requests_are_answered_in_its_shape(open_server: Served) -> None:
    """The vector is a text with a JSON array, and the size is that of the whole picture."""
    assert open_server.ask("/ping").body == b"pong"
    options = {"modelName": "ViT-B-32__openai", "options": {"language": "en"}}
    textual = json.dumps({"clip": {"textual": options}})
    answer = predict(open_server, entries=textual, text="a crab").json
    assert list(answer) == ["clip"]
    expected = embed(open_server, input="a crab")["data"][0]["embedding"]
    assert np.allclose(json.loads(answer["clip"]), expected, atol=1e-6)
    visual = json.dumps({"clip": {"visual": {"modelName": "ViT-B-32__openai"}}})
    answer = predict(open_server, entries=visual, image=CRAB.read_bytes()).json
    details = open_server.get(f"/images/{open_server.id_of('crab.jpg')}")
    assert (answer["imageWidth"], answer["imageHeight"]) == (details["width"], details["height"])
    expected = embed(open_server, input=[{"image": uri(CRAB)}])["data"][0]["embedding"]
    assert np.allclose(json.loads(answer["clip"]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"input": []}, 400, "at least 1"),
        ({"input": ["a"] * 65}, 400, "at most 64"),
        ({"input": ["a", " "]}, 400, "empty"),
        ({"input": "a" * 10_001}, 400, "10000"),
        ({"input": [1234, 5678]}, 400, "input"),
        ({"input": [{"image": "https://example.org/a.jpg"}]}, 400, "data URI"),
        ({"input": [{"image": "data:image/png,%89PNG"}]}, 400, "data URI"),
        ({"input": [{"image": "bm90IGEgcGljdHVyZQ=="}]}, 400, "picture that was sent"),
        ({"input": [{"image": base64.b64encode(bomb()).decode()}]}, 400, "pixels"),
        ({"input": "a", "dimensions": 7}, 400, "7 dimensions"),
        ({"input": "a", "model": "gpt"}, 404, "no model 'gpt'"),
        ({"input": "a", "truncate": "END"}, 400, "truncate"),
        ({}, 400, "input is missing"),
    ],
    ids=str,
)
def test_requests_that_make_no_sense_are_refused(
    open_server: Served, body: dict[str, Any], status: int, words: str
) -> None:
    reply = open_server.post("/embed", body)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert words in reply.json["detail"], reply.json
    assert reply.json["hint"]


@pytest.mark.parametrize(
    "fields",
    [
        {"entries": "{", "text": "a"},
        {"entries": "[" * 3000, "text": "a"},
        {"entries": '{"clip": {"visual": {}}}', "text": "a"},
        {"entries": '{"clip": {"textual": {}}}', "image": b"x"},
        {"entries": '{"facial-recognition": {"detection": {}}}', "image": b"x"},
        {"entries": '{"clip": {"visual": {}}}', "image": b"not a picture"},
        {"text": "a"},
    ],
    ids=str,
)
def test_predictions_that_make_no_sense_are_refused(
    open_server: Served, fields: dict[str, Any]
) -> None:
    assert predict(open_server, **fields).status == 400


def test_a_server_encodes_for_others_only_if_it_was_started_so(server: Served) -> None:
    for path in (f"{API}/embed", "/v1/embeddings", "/predict"):
        reply = server.ask(path, "POST", b"{}", {"Content-Type": "application/json"})
        assert (reply.status, "--embed" in reply.json["hint"]) == (403, True), path
    with pytest.raises(PermissionDeniedError, match="--embed"):
        OpenAI(base_url=f"{server.url}v1", api_key="none", max_retries=0).embeddings.create(
            model="imgsearch", input="a"
        )
    assert server.ask("/ping").status == 404
    assert f"{API}/embed" not in server.get("/openapi.json")["paths"]


def test_encoding_for_others_needs_the_token_and_pages_of_other_sites_are_refused(
    light: Place,
) -> None:
    token = new_token(str(light.library))
    body, json_type = b'{"input": "a"}', {"Content-Type": "application/json"}
    with serving(light.library, "--require-token", "--embed") as locked:
        for path in ("/v1/embeddings", f"{API}/embed", "/predict"):
            assert locked.ask(path, "POST", body, json_type).status == 401, path
            foreign = json_type | {"Origin": "https://other.example"}
            foreign["Authorization"] = f"Bearer {token}"
            assert locked.ask(path, "POST", body, foreign).status == 403, path
        assert locked.ask("/v1/models").status == 401
        client = OpenAI(base_url=f"{locked.url}v1", api_key=token, max_retries=0)
        assert len(client.embeddings.create(model="imgsearch", input="a").data) == 1
