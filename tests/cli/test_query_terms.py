"""Pictures from stdin, from an address, and from the last search; --more and --less."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imgsearch.searching.history import FILE
from tests.cli.calls import NO_TORCH, Place, picture, process
from tests.conftest import PHOTOS, examples, full_only

CAT, KOALA = PHOTOS / "tabby_cat_face.jpg", PHOTOS / "koala.jpg"
HITS = ("--all", "--mode", "semantic", "--format", "json")


@pytest.fixture
def own(demo, tmp_path) -> Place:
    """The demo library with a last search of its own."""
    shutil.copytree(demo.library, tmp_path / "own")
    (tmp_path / "own" / FILE).unlink(missing_ok=True)
    return Place(demo.photos, tmp_path / "own")


def names(outcome) -> list[str]:
    assert outcome.status == 0, outcome.err
    return [os.path.basename(path) for path in outcome.paths]


def complaint(outcome) -> str:
    assert outcome.status == 1
    assert outcome.out == b""
    return outcome.err


# The last search


def test_a_result_is_a_picture_of_the_next_query(own):
    found = names(own.call("search", "a dog", *HITS))
    own.call("search", "a dog", "-n", 3)
    assert names(own.call("similar", "#3", *HITS, "-n", 1)) == [found[2]]
    assert "no #2" in complaint(own.call("similar", "#2")), "now that search is the last one"
    own.call("search", "a dog", "-n", 3)
    assert names(own.call("search", "#2", *HITS, "-n", 2))[0] == found[1]
    assert names(own.call("search", "--like", "#1^0.5", *HITS))[0] == found[1]
    own.call("search", "a dog", "-n", 3)
    by_path = [PHOTOS / found[0], "--not", PHOTOS / found[1], *HITS]
    assert names(own.call("similar", "#1", "--not", "#2", *HITS)) == names(
        own.call("similar", *by_path)
    )


@full_only
def test_an_indexed_result_needs_no_model(own):
    own.call("search", "a dog", "-q", "-n", 3)
    outcome = process("--library", own.library, "similar", "#1", "-q", prelude=NO_TORCH)
    assert outcome.err.splitlines()[-1] == "loaded []"
    assert outcome.status == 0


def test_the_numbers_are_those_that_were_shown(own):
    shown = names(own.call("search", "an animal", "--unique", *HITS, "-n", 5))
    assert names(own.call("similar", "#5", *HITS, "-n", 1)) == [shown[4]]
    shown = [os.path.basename(p) for p in own.call("search", "--type", "heic", *HITS).paths]
    assert names(own.call("search", "--more", "1", *HITS, "-n", 1)) == [shown[0]], "a list by date"


def test_without_a_last_search(own):
    for query in (["similar", "#1"], ["search", "--more", "1"], ["search", "x", "--less", "#2"]):
        assert "there is no last search" in complaint(own.call(*query))


@pytest.mark.parametrize("rank", ["0", "4", "999999999"])
def test_a_number_out_of_range(own, rank):
    own.call("search", "a dog", "-n", 3)
    for query in (["similar", f"#{rank}"], ["search", "--more", rank]):
        sentence = complaint(own.call(*query))
        assert f"gave 3 pictures, and there is no #{int(rank)}" in sentence
        assert "Choose a number from 1 to 3." in sentence
    own.call("search", "a dog", "--min-score", 2)
    assert "the last search found nothing" in complaint(own.call("similar", "#1"))


def test_a_picture_that_is_gone_or_has_changed(indexed):
    listed = [os.path.basename(p) for p in indexed.call("search", "x", *HITS).paths]
    gone, changed = listed.index("b.jpg") + 1, listed.index("a.jpg") + 1
    (indexed.photos / "b.jpg").unlink()
    picture(indexed.photos / "a.jpg", 99)
    indexed.index()
    assert "is no longer in the library" in complaint(indexed.call("similar", f"#{gone}"))
    assert "has changed since it was found" in complaint(indexed.call("search", "--more", changed))


def test_a_library_that_cannot_be_written_to_is_searched_all_the_same(own):
    (own.library / FILE).mkdir()  # what no permission prevents
    outcome = own.call("search", "a dog", "-n", 2)
    assert (outcome.status, outcome.err) == (0, "")
    assert "there is no last search" in complaint(own.call("similar", "#1"))


def test_another_model(own):
    own.call("similar", CAT, "-n", 3, "-q")
    kept = json.loads((own.library / FILE).read_text())
    (own.library / FILE).write_text(json.dumps({**kept, "space": "0" * 12, "model": "clip"}))
    sentence = complaint(own.call("search", "--more", "1"))
    assert "made with clip, and its pictures mean nothing to builtin" in sentence
    assert "--model clip" in sentence
    assert names(own.call("similar", "#1", *HITS))[0] == CAT.name


# Feedback


def test_more_and_less_refine_the_last_search(own):
    before = own.call("search", "a dog", *HITS, "-n", 44)
    ranked = names(before)
    good = ranked[9]
    outcome = own.call("search", "--more", "10", "--less", "1", *HITS, "-n", 44)
    assert outcome.err == "Refining the last search: a dog.\n"
    after = names(outcome)
    assert after.index(good) < 3
    assert set(after) == set(ranked)
    assert after != names(own.call("similar", PHOTOS / good, *HITS, "-n", 44)), "dogs still count"


def test_it_can_go_on(own):
    own.call("search", "a dog", *HITS)
    own.call("search", "--more", "2", *HITS, "-q")
    own.call("search", "--more", "1", "--less", "3", *HITS, "-q")
    terms = json.loads((own.library / FILE).read_text())["terms"]
    weights = [round(term["weight"], 3) for term in terms]
    assert weights == [0.571, 0.429, 0.75, -0.15]
    assert terms[0]["text"] == "a dog"


def test_with_terms_they_are_refined(own):
    own.call("search", "a cat", *HITS)
    plain = {hit["path"]: hit["score"] for hit in own.call("search", "snow", *HITS).json}
    [first, *_] = own.call("search", "a cat", *HITS).json
    more = own.call("search", "snow", "--more", "1", *HITS)
    assert more.err == ""
    assert more.json[0]["path"] == first["path"]
    assert first["path"] not in list(plain)[:3]
    own.call("search", "a cat", *HITS)
    assert own.call("similar", KOALA, "--more", "#1, #2", *HITS).status == 0


def test_an_example_from_elsewhere_can_be_refined(own, tmp_path):
    shutil.copy(CAT, tmp_path / "other.jpg")
    own.call("similar", tmp_path / "other.jpg", *HITS)
    (tmp_path / "other.jpg").unlink()
    outcome = own.call("search", "--less", "2", *HITS)
    assert outcome.err == "Refining the last search.\n"
    assert names(outcome)[0] == CAT.name


@pytest.mark.parametrize("text", ["x", "", "1-4", "#", "-1", "1.5", "9999999999", "²"])
def test_what_is_no_number(own, text):
    outcome = own.call("search", f"--more={text}")
    assert outcome.status == 2
    assert "is not a list of results, such as 1,4." in outcome.err


def test_a_result_cannot_be_good_and_bad(own):
    outcome = own.call("search", "--more", "1,2", "--less", "#2")
    assert outcome.status == 2
    assert "Result 2 cannot be in both --more and --less." in outcome.err


some = st.text(st.characters(), max_size=8) | st.text("#0123456789, -", max_size=8)


@full_only
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(more=some, less=some, like=some)
@example(more="1,1,#2", less="3", like="#1^2")
@example(more="0", less="00", like="#00")
def test_whatever_is_asked_gets_an_answer_or_a_sentence(demo, more, less, like):
    assert demo.call("search", "a dog", "-n", 3, "-q").status == 0
    queries = [
        ["search", "--all", f"--more={more}", "--", "a cat"],
        ["search", "--all", f"--less={less}"],
        ["search", "--all", f"--more={more}", f"--less={less}", "--not=#1"],
        ["search", "--all", f"--like={like}"],
        ["similar", "--all", "--", "#" + like],
    ]
    for query in queries:
        outcome = demo.call(*query)
        assert outcome.status in (0, 1, 2)
        assert bool(outcome.out) == (outcome.status == 0)
        assert "Traceback" not in outcome.err
        assert outcome.status == 0 or outcome.err


# stdin


def given_on_stdin(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize("query", [["search", "-"], ["similar", "-"], ["search", "--like", "-^2"]])
def test_a_picture_from_stdin(demo, monkeypatch, query):
    given_on_stdin(monkeypatch, CAT.read_bytes())
    [hit] = demo.call(*query, *HITS, "-n", 1).json
    assert (hit["path"], hit["score"]) == (str(CAT), pytest.approx(1, abs=1e-3))


@full_only
def test_a_picture_through_a_pipe(demo):
    with open(CAT, "rb") as file:
        outcome = process("--library", demo.library, "similar", "-", *HITS, "-n", 1, stdin=file)
    assert names(outcome) == [CAT.name]


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "no picture comes from stdin: it is empty"),
    (b"some text, not a picture", "what came from stdin as a picture to search with: not a pict"),
    (CAT.read_bytes()[:1500], "the JPEG file is cut off"),
])  # fmt: skip
def test_what_is_no_picture_on_stdin(demo, monkeypatch, data, reason):
    given_on_stdin(monkeypatch, data)
    assert reason in complaint(demo.call("search", "-"))


def test_stdin_has_bounds_and_can_be_read_once(demo, monkeypatch):
    given_on_stdin(monkeypatch, CAT.read_bytes())
    assert "Use '-' once." in complaint(demo.call("search", "-", "--not", "-"))
    monkeypatch.setattr("imgsearch.cli.query_terms.MAX_STDIN_BYTES", 1 << 20)
    given_on_stdin(monkeypatch, b"\xff\xd8" + bytes(1 << 20))
    assert "more than 1 MiB" in complaint(demo.call("search", "-"))
    monkeypatch.setattr(sys, "stdin", None)
    assert "no picture comes from stdin" in complaint(demo.call("search", "-"))


def test_a_dash_among_words_is_a_word(demo):
    assert demo.call("search", "cat", "-", "dog", "--all", "-n", 1).status == 0


# Addresses


@pytest.fixture
def server(monkeypatch):
    """A server of pictures: its address, and the paths that it was asked for."""
    monkeypatch.setenv("no_proxy", "*")
    asked: list[str] = []

    class Pictures(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            data = CAT.read_bytes() if self.path == "/cat" else b"<html>no picture</html>"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as served:
        thread = Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}", asked
        served.shutdown()
        thread.join()


def test_a_picture_from_an_address(own, server):
    address, asked = server
    for query in (["similar", address + "/cat"], ["search", "--like", address + "/cat^0.5"]):
        [hit] = own.call(*query, "--allow-url", *HITS, "-n", 1).json
        assert (hit["path"], hit["score"]) == (str(CAT), pytest.approx(1, abs=1e-3))
    assert asked == ["/cat", "/cat"]
    assert address not in (own.library / FILE).read_text()


def test_an_address_is_left_alone_without_leave(own, server):
    address, asked = server
    queries = (["similar", address], ["search", address.upper()], ["search", "--not", address])
    for query in queries:
        assert "add --allow-url" in complaint(own.call(*query))
    assert asked == []


def test_a_page_is_no_picture(own, server):
    sentence = complaint(own.call("search", server[0] + "/page", "--allow-url"))
    assert "not a picture: it is a web page" in sentence
    assert "cannot fetch" in complaint(own.call("search", "http://127.0.0.1:9/", "--allow-url"))
