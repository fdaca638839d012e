"""The video of a Live Photo or Motion Photo is a part of its picture, and can be played."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import process
from tests.conftest import PHOTOS, full_only
from tests.crash.process import environment
from tests.sources.test_motion_photo import TRAILER, VIDEO
from tests.web.server_process import API, serving


@full_only
@pytest.mark.slow
def test_the_video_of_a_picture_is_listed_and_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    photos, library = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    koala, crab = ((PHOTOS / name).read_bytes() for name in ("koala.jpg", "crab.jpg"))
    (photos / "PXL_1.MP.jpg").write_bytes(koala + VIDEO + TRAILER)
    (photos / "IMG_2.jpg").write_bytes(crab)
    (photos / "IMG_2.MOV").write_bytes(VIDEO * 2)
    (photos / "plain.jpg").write_bytes(crab + b"x")
    index = ("--library", library, "index", photos, "--model", "cheap", "--json", "-q")
    assert process(*index, env=environment()).json["added"] == 3, "a video is not a picture"
    with serving(library) as server:
        details = {
            hit["name"]: server.get(f"/images/{hit['id']}") for hit in server.get("/search")["hits"]
        }
        assert details["plain.jpg"]["parts"] == []
        assert server.ask(f"{details['plain.jpg']['original']}?as=video").status == 404
        for name, video, kind, bytes_ in (
            ("PXL_1.MP.jpg", "PXL_1.MP.mp4", "video/mp4", VIDEO),
            ("IMG_2.jpg", "IMG_2.MOV", "video/quicktime", VIDEO * 2),
        ):
            (part,) = details[name]["parts"]
            assert (part["id"], part["name"]) == (None, video)
            reply = server.ask(part["original"])
            assert (reply.status, reply.headers["content-type"], reply.body) == (200, kind, bytes_)
            assert video in reply.headers["content-disposition"]
            for asked, start, end in (("bytes=4-9", 4, 10), ("bytes=-5", -5, None)):
                some = server.ask(part["original"], headers={"Range": asked})
                assert (some.status, some.body) == (206, bytes_[start:end])
                assert some.headers["content-range"].endswith(f"/{len(bytes_)}")
            head = server.ask(part["original"], "HEAD")
            assert head.headers["content-length"] == str(len(bytes_))
        original = server.ask(f"{API}/original/{details['PXL_1.MP.jpg']['id']}")
        assert original.body == koala + VIDEO + TRAILER, "the original is the whole file"
