"""The MCP tools, called by the client of the SDK over stdin and stdout."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from PIL import Image

from tests.catalog.test_health import damage
from tests.cli.calls import Place, process
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import in_a_loop

Ask = Callable[..., Awaitable[Any]]


def _with_server(library: Path, talk: Callable[[Client, Ask], Awaitable[None]]) -> None:
    command = ["-m", "imgsearch", "--library", str(library), "mcp", "--threads", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = StdioServerParameters(command=sys.executable, args=command, env=environment)

    async def run() -> None:
        async with Client(server, read_timeout_seconds=120) as client:

            async def ask(tool: str, **arguments: Any) -> Any:
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, result.content
                return result

            await talk(client, ask)

    in_a_loop(asyncio.wait_for(run(), 300))


def _payload(result: Any) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(result.content[-1].text)
    return payload


def test_the_tools_find_and_show_pictures(demo: Place) -> None:
    async def talk(client: Client, ask: Ask) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {
            "search_images", "similar_images", "get_image", "saved_searches", "library_status"
        }  # fmt: skip
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        assert _payload(await ask("library_status"))["images"] == len(list(PHOTOS.iterdir()))
        results = _payload(await ask("search_images", query="a polar bear"))
        first = results["hits"][0]
        assert first["path"] == str(PHOTOS / "polar_bear.jpg")
        by_name = _payload(await ask("search_images", query="an animal", sort="name"))
        names = [Path(hit["path"]).name for hit in by_name["hits"]]
        assert len(names) == 10 and names == sorted(names)
        filtered = _payload(await ask("search_images", where="format = heic"))
        assert [Path(hit["path"]).name for hit in filtered["hits"]] == ["horses.heic"]
        similar = _payload(await ask("similar_images", id=first["id"], weak=True, limit=3))
        assert similar["hits"][0]["id"] == first["id"]
        assert len(similar["hits"]) == 3
        image_result = await ask("get_image", id=filtered["hits"][0]["id"], side=200)
        with Image.open(io.BytesIO(base64.b64decode(image_result.content[0].data))) as image:
            assert image.format == "JPEG"
            assert max(image.size) == 200
        assert _payload(image_result)["id"] == filtered["hits"][0]["id"]
        for tool, arguments in (
            ("get_image", {"id": 999_999}),
            ("get_image", {"id": "/etc/passwd"}),
            ("get_image", {"id": 1, "side": 100_000}),
            ("similar_images", {"id": 999_999}),
            ("search_images", {"where": "width >"}),
            ("search_images", {"query": "x", "limit": 10_000}),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error, tool
            assert "Traceback" not in result.content[0].text

    _with_server(demo.library, talk)


@full_only
def test_pictures_outside_the_folders_are_refused(tmp_path: Path) -> None:
    photos, outside = tmp_path / "photos", tmp_path / "outside"
    photos.mkdir()
    outside.mkdir()
    shutil.copy(PHOTOS / "crab.jpg", photos / "crab.jpg")
    shutil.copy(PHOTOS / "koala.jpg", outside / "koala.jpg")
    (photos / "link.jpg").symlink_to(outside / "koala.jpg")
    outcome = process("--library", tmp_path / "library", "index", photos, "-q")
    assert outcome.status == 0, outcome.err
    before = {path: path.stat().st_mtime_ns for path in photos.iterdir()}

    async def talk(client: Client, ask: Ask) -> None:
        hits = _payload(await ask("search_images"))["hits"]
        ids = {Path(hit["path"]).name: hit["id"] for hit in hits}
        assert (await ask("get_image", id=ids["crab.jpg"])).content[0].type == "image"
        result = await client.call_tool("get_image", {"id": ids["link.jpg"]})
        assert result.is_error
        assert "leads out" in result.content[0].text

    _with_server(tmp_path / "library", talk)
    assert {path: path.stat().st_mtime_ns for path in photos.iterdir()} == before


LINES = (
    (
        r'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"search_images",'
        r'"arguments":{"query":"dog \ud800"}}}',
        2, -32700,
    ),
    (r'{"jsonrpc":"2.0","id":"\udfff","method":"ping"}', r"\udfff", -32700),
    ("this is not JSON", None, -32700),
    ("[" * 5000, None, -32700),
    ("[1, 2]", None, -32600),
    ('{"jsonrpc":"2.0","id":"a","method":"tools/call","params":"x"}', "a", -32600),
    ('{"jsonrpc":"2.0","id":9}', 9, -32600),
)  # fmt: skip


@full_only
def test_a_line_that_is_not_a_message_is_answered(light: Place) -> None:
    """With its id where it has one, so that its client does not wait; and the next is served."""
    hello = {"protocolVersion": "2025-03-26", "capabilities": {},
             "clientInfo": {"name": "test", "version": "1"}}  # fmt: skip
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    ping = {"jsonrpc": "2.0", "id": 77, "method": "ping"}
    lines = [
        json.dumps(begin),
        json.dumps(ready),
        *(line for line, _, _ in LINES),
        json.dumps(ping),
    ]
    command = [sys.executable, "-m", "imgsearch", "--library", str(light.library), "mcp"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as server:
        server.stdin.write("\n".join([*lines, ""]).encode())
        server.stdin.flush()
        answers = []
        while not answers or answers[-1].get("id") != 77:  # at the end of stdin all would stop
            answers.append(json.loads(server.stdout.readline()))
        stderr = server.communicate(timeout=120)[1]
    assert server.returncode == 0
    refused = [(each["id"], each["error"]["code"]) for each in answers if "error" in each]
    assert refused == [(known, code) for _, known, code in LINES]
    assert {"jsonrpc": "2.0", "id": 77, "result": {}} in answers
    assert b"Traceback" not in stderr


@full_only
def test_copies_are_folded_and_reasons_are_given(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("koala.jpg", "copy of it.jpg", "another.jpg"):
        shutil.copy(PHOTOS / "koala.jpg", photos / name)
    shutil.copy(PHOTOS / "crab.jpg", photos / "crab.jpg")
    outcome = process("--library", tmp_path / "library", "index", photos, "-q")
    assert outcome.status == 0, outcome.err

    async def talk(client: Client, ask: Ask) -> None:
        listed = _payload(await ask("search_images"))
        assert sorted(hit["duplicates"] for hit in listed["hits"]) == [0, 2]
        assert [hit["matched"] for hit in listed["hits"]] == [[], []]
        [first, *_] = _payload(await ask("search_images", query="koala"))["hits"]
        assert (first["duplicates"], first["matched"][0]) == (2, "name")
        assert first["strength"] is None
        similar = _payload(await ask("similar_images", id=first["id"], min_strength="1%"))
        assert similar["hits"][0]["duplicates"] == 2

    _with_server(tmp_path / "library", talk)


@pytest.mark.slow
@full_only
def test_pictures_left_out_get_a_note(tmp_path: Path) -> None:
    photos, library = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    for name in ("koala.jpg", "crab.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, photos)
    outcome = process("--library", library, "index", photos, "-q")
    assert outcome.status == 0, outcome.err
    (photos / "crab.jpg").unlink()
    damage(library, "UPDATE images SET width = 'wide' WHERE path = 'owl.jpg'")

    async def talk(client: Client, ask: Ask) -> None:
        listed = _payload(await ask("search_images"))
        assert [Path(hit["path"]).name for hit in listed["hits"]] == ["koala.jpg"]
        assert listed["note"].startswith("1 picture that is no longer on disk is left out.")
        assert "1 picture is left out, because a value in the catalog is damaged" in listed["note"]

    _with_server(library, talk)


@full_only
def test_what_is_wrong_with_arguments_is_said_in_sentences(demo: Place) -> None:
    cases = (
        ("search_images", {"colour": "red"}, "there is no parameter colour"),
        ("search_images", {"query": "a dog", "filters": {"colour": ["red"]}}, "filters.colour"),
        ("search_images", {"limit": 10_000}, "limit can be at most 50"),
        ("search_images", {"query": "x", "min_strength": "150%"}, "is not a strength"),
        ("similar_images", {}, "id is missing"),
        ("similar_images", {"id": 0}, "id has to be at least 1"),
        ("get_image", {"id": 1, "side": 10}, "side has to be at least 64"),
        ("get_image", {"id": 1, "size": 10}, "arguments of get_image are: id, side."),
        ("library_status", {"verbose": True}, "there is no parameter verbose"),
    )

    async def talk(client: Client, ask: Ask) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())
        for tool, arguments, words in cases:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, arguments)
            assert words in result.content[0].text
            for validator in ("pydantic", "validation error", "type="):
                assert validator not in result.content[0].text

    _with_server(demo.library, talk)


def test_pages_resources_and_prompts(demo: Place) -> None:
    """A picture is downscaled; pages add up to the whole list."""

    async def talk(client: Client, ask: Ask) -> None:
        whole = _payload(await ask("search_images", sort="name", limit=9))
        first = _payload(await ask("search_images", sort="name", limit=4))
        second = _payload(await ask("search_images", sort="name", limit=4, cursor=first["next"]))
        paths = [hit["path"] for hit in first["hits"] + second["hits"]]
        assert paths == [hit["path"] for hit in whole["hits"]][:8]
        other = {"query": "a dog", "cursor": first["next"]}
        wrong = await client.call_tool("search_images", other)
        assert wrong.is_error and "another search" in wrong.content[0].text
        few = _payload(await ask("search_images", where="format = heic"))
        assert few["next"] is None
        image_id = few["hits"][0]["id"]

        async def read(uri: str) -> Any:
            return (await client.read_resource(uri)).contents[0]

        listed = {str(each.uri) for each in (await client.list_resources()).resources}
        assert listed == {"imgsearch://library", "imgsearch://saved", "imgsearch://on-this-day"}
        templates = (await client.list_resource_templates()).resource_templates
        assert {each.uri_template for each in templates} == {
            "imgsearch://pictures/{id}", "imgsearch://pictures/{id}/facts"
        }  # fmt: skip
        overview = json.loads((await read("imgsearch://library")).text)
        assert overview["images"] == len(list(PHOTOS.iterdir()))
        assert json.loads((await read("imgsearch://saved")).text) == {"saved": []}
        assert "pictures" in json.loads((await read("imgsearch://on-this-day")).text)
        picture = await read(f"imgsearch://pictures/{image_id}")
        assert picture.mime_type == "image/jpeg"
        with Image.open(io.BytesIO(base64.b64decode(picture.blob))) as image:
            assert (image.format, max(image.size) <= 1024) == ("JPEG", True)
        facts = json.loads((await read(f"imgsearch://pictures/{image_id}/facts")).text)
        assert facts["path"] == few["hits"][0]["path"]
        for uri in ("999999", "0", "-1", "x", "9" * 40, "..%2F..%2Fetc%2Fpasswd"):
            with pytest.raises(MCPError) as refused:
                await read(f"imgsearch://pictures/{uri}")
            assert "Traceback" not in str(refused.value)
        prompts = {each.name for each in (await client.list_prompts()).prompts}
        assert prompts == {"find_photos", "on_this_day"}
        found = await client.get_prompt("find_photos", {"what": "a dog", "when": "2023"})
        text = found.messages[0].content.text
        assert "a dog" in text and "2023" in text and "search_images" in text

    _with_server(demo.library, talk)
