"""imgsearch bench: real measurements of small models and few pictures."""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

from tests import tiny_models
from tests.cli.calls import NO_TORCH, Place, call, process
from tests.conftest import full_only

QUICK = ("--seconds", 0, "--repeats", 1, "--batch-sizes", "1,2", "--image-size", 64)
ROW = {
    "precision", "kind", "batch", "latency_ms", "cpu_ms", "per_second", "runs", "spread",
    "weights_bytes", "memory_bytes", "peak_bytes", "speedup", "cosine", "note",
}  # fmt: skip
MACHINE = {"device", "kind", "cores", "threads", "platform", "python", "torch", "transformers"}


def measure(*arguments: object) -> dict:
    outcome = call("bench", *QUICK, *arguments, "--device", "cpu", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    return outcome.json


# A model


def check_rows(report: dict) -> None:
    rows = report["rows"]
    assert [(r["kind"], r["batch"], r["precision"]) for r in rows] == [
        (kind, batch, precision)
        for kind in ("text", "image")
        for batch in (1, 2)
        for precision in ("fp32", "bf16")
    ]
    for plain, half in zip(rows[::2], rows[1::2], strict=True):
        assert plain.keys() == ROW
        assert (plain["speedup"], plain["note"], half["note"]) == (1.0, "", "")
        assert half["speedup"] == pytest.approx(plain["latency_ms"] / half["latency_ms"])
        assert half["per_second"] == pytest.approx(1e3 * half["batch"] / half["latency_ms"])
        assert plain["cosine"] == pytest.approx(1, abs=1e-5)
        assert 0.98 < half["cosine"] < 0.9999999, "it really computes in bfloat16"
        assert half["weights_bytes"] < 0.7 * plain["weights_bytes"]
        assert 100e6 < plain["memory_bytes"] <= plain["peak_bytes"] * 1.05


@full_only
def test_the_built_in_model():
    report = measure("--model", "builtin", "--precision", "bf16,fp32", "--precision", "fp32")
    assert [row["precision"] for row in report["rows"][:2]] == ["bf16", "fp32"], (
        "in the order given"
    )
    assert report["rows"][0]["speedup"], "float32 is measured first anyway"
    assert report["machine"].keys() >= MACHINE
    assert report["machine"]["kind"] == "cpu"
    assert (report["model"], report["random_weights"]) == ("builtin", False)
    assert "resident memory of the whole process" in report["memory"]


@full_only
@pytest.mark.parametrize("make", [tiny_models.make_clip, tiny_models.make_siglip])
@pytest.mark.parametrize("order", [(), ("--interleave",)])
def test_a_model_folder(make, order, tmp_path):
    folder = make(tmp_path / "model")
    report = measure("--model", folder, "--precision", "fp32,bf16", *order)
    assert report["model"] == str(folder)
    assert report["work"]["interleave"] is bool(order)
    check_rows(report)


@full_only
def test_random_weights():
    report = measure("--model", "gme-tiny", "--random-weights", "--precision", "fp32,bf16")
    assert report["random_weights"] is True
    check_rows(report)


def test_without_float32_nothing_is_compared():
    report = measure("--model", "builtin", "--precision", "bf16", "--kind", "text")
    assert {(row["speedup"], row["cosine"], row["kind"]) for row in report["rows"]} == {
        (None, None, "text")
    }


@full_only
def test_the_table():
    outcome = call("bench", "--model", "builtin", "--precision", "fp32,bf16", *QUICK, "-v")
    assert outcome.status == 0
    lines = outcome.text.splitlines()
    assert lines[0] == "builtin"
    assert re.search(r"\d cores?, \d+ threads? of the model", lines[1])
    assert re.search(r"^torch \S+, .*\d{4}-\d\d-\d\d$", lines[2])
    heading = next(i for i, line in enumerate(lines) if line.startswith("input  batch"))
    rows = lines[heading + 1 : heading + 9]
    ends = {len(line) for line in lines[heading : heading + 9]}
    assert len(ends) == 1, "columns are aligned"
    assert [row.split()[:3] for row in rows[:2]] == [["text", "1", "fp32"], ["text", "1", "bf16"]]
    assert rows[0].split()[5] == "1.00"
    assert "fp32 text x1: " in outcome.err


@full_only
def test_a_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra [bench] is not installed")
    for number, kind in enumerate(["text", "text,image"]):
        file = tmp_path / f"{number}.png"
        outcome = call(
            "bench", "--model", "builtin", "--precision", "fp32", "--kind", kind, *QUICK,
            "--plot", file,
        )  # fmt: skip
        assert (outcome.status, outcome.err) == (0, f"Plotted: {file}\n")
        data = file.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert data[12:16] == b"IHDR"
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        assert (width, height) == (750 * (number + 1), 540)


@full_only
def test_a_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = call("bench", "--model", "builtin", *QUICK, "--plot", tmp_path / "x.png")
    assert (outcome.status, outcome.out) == (1, b"")
    assert "run: pip install '.[bench]'" in outcome.err
    assert call("bench", "--model", "builtin", *QUICK, "--kind", "text").status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "fp8"], "'fp8' is not one of fp32, bf16, fp16, autocast"),
        (["--kind", "text,sound"], "'sound' is not one of text, image"),
        (["--batch-sizes", "1,0"], "'0' is not a valid batch size"),
        (["--batch-sizes", "eight"], "'eight' is not a valid batch size"),
        (["--batch-sizes", "1,,2"], "'' is not a valid batch size"),
        (["--plot", "x.jpg"], "x.jpg does not end in .png"),
        (["--plot", "/nowhere/x.png"], "the folder of /nowhere/x.png does not exist"),
        (["--repeats", "0"], "0 is not in the range"),
        (["search", "--synthetic", "5"], "'5' is not N,DIM"),
        (["search", "--synthetic", "5,0"], "'5,0' is not N,DIM"),
        (["index", "/nowhere"], "'/nowhere' does not exist"),
    ],
)
def test_invalid_arguments(arguments, words):
    outcome = call("bench", *arguments)
    assert (outcome.status, outcome.out) == (2, b"")
    assert words in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nonsense"], "there is no model called nonsense"),
        (["--model", "siglip2-base"], "--model siglip2-base --random-weights"),
        (["--model", "siglip3", "--random-weights"], "unknown architecture 'siglip3'"),
        (["--model", "builtin", "--random-weights"], "unknown architecture 'builtin'"),
        (["--model", "builtin", "--device", "cuda:99"], "cannot use a device 'cuda:99'"),
    ],
)
def test_missing_models_and_devices(arguments, words):
    outcome = call("bench", *arguments, *QUICK)
    assert (outcome.status, outcome.out) == (1, b"")
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_help_loads_no_torch():
    outcome = process("bench", "--help", prelude=NO_TORCH)
    assert (outcome.status, outcome.err) == (0, "loaded []\n")
    for command in ("feed", "index", "search"):
        text = call("bench", command, "--help").text
        assert len(re.findall(rf"^  imgsearch bench {command}", text, re.M)) >= 2


# The way to the model


@pytest.mark.parametrize(
    ("model", "pixel_bytes"),
    [
        (["gme-tiny", "--random-weights", "--visual-tokens", "64"], 9 * 6 * 28 * 28 * 3),
        (["clip"], 32 * 32 * 3),
    ],
)
def test_bench_feed(place: Place, tmp_path, model, pixel_bytes):
    """The bytes that travel are those of the model's input, and no library is made."""
    if model == ["clip"]:
        model = [tiny_models.make_clip(tmp_path / "clip")]
    options = ("--megapixels", 0.5, "--pictures", 5, "--rounds", 1, "--workers", 1)
    arguments = ("bench", "feed", "--model", *model, *options, "--device", "cpu")
    outcome = place.call(*arguments, "--json")
    assert outcome.status == 0, outcome.err
    report = outcome.json
    assert (report["images"], report["skipped"], report["workers"]) == (5, 0, 1)
    assert report["pixel_bytes"] == pixel_bytes
    assert report["share"] == pytest.approx(report["per_s"] / report["floor_per_s"])
    assert min(report["per_s"], report["main_ms"]) > 0
    assert not place.library.exists()


def test_bench_feed_of_a_folder(place: Place):
    (place.photos / "broken.jpg").write_bytes(b"no picture")
    arguments = ("bench", "feed", place.photos, "--model", "builtin", "--pictures", 10, "-q")
    text = place.call(*arguments, "--rounds", 1, "--workers", 1).text
    assert "builtin, 10 pictures in each round, 2 files skipped: " in text
    assert "share of the floor" in text
    shared = place.call("similarity", "a cat", "a dog", "--model", "builtin", "--json")
    assert shared.status == 0, "the model that other calls in this process use is whole"


# Indexing


def test_bench_index_with_random_weights(place: Place):
    options = ("--megapixels", 0.2, "--pictures", 6, "--workers", 1, "--device", "cpu")
    arguments = ("bench", "index", "--model", "gme-tiny", "--random-weights", *options)
    report = place.call(*arguments, "--visual-tokens", 64, "--json").json
    assert (report["images"], report["encoded"], report["skipped"]) == (6, 6, 0)
    assert min(report[f"{part}_per_s"] for part in ("decode", "encode", "index")) > 0
    assert report["gpu_busy"] is None
    assert not place.library.exists()


@full_only
def test_bench_index(place: Place):
    (place.photos / "broken.jpg").write_bytes(b"no picture")
    before = sorted(place.photos.rglob("*"))
    outcome = place.call("bench", "index", place.photos, "--model", "builtin", "--json")
    assert outcome.status == 0, outcome.err
    report = outcome.json
    assert (report["images"], report["encoded"], report["skipped"]) == (4, 4, 1)
    rates = [report[f"{part}_per_s"] for part in ("decode", "encode", "index")]
    assert min(rates) > 0
    assert report["efficiency"] == pytest.approx(rates[2] / min(rates[:2]))
    assert report["of_shared_cores"] == pytest.approx(rates[2] * (1 / rates[0] + 1 / rates[1]))
    assert report["peak_with_decoders_bytes"] >= report["peak_bytes"] > 100e6
    assert report["device_peak_bytes"] is None
    assert not place.library.exists(), "the user's library is not touched"
    assert sorted(place.photos.rglob("*")) == before
    text = place.call("bench", "index", place.photos, "--model", "builtin", "-q").text
    assert "builtin, 4 pictures, 1 file skipped, in " in text
    assert "of the slower half" in text


@full_only
def test_bench_index_counts_decoder_processes(place: Place, decoder_processes):
    outcome = place.call("bench", "index", place.photos, "--workers", 1, "--json", "-q")
    assert outcome.status == 0, outcome.err
    assert outcome.json["peak_with_decoders_bytes"] > outcome.json["peak_bytes"] + 10e6


def test_bench_index_of_a_folder_without_pictures(tmp_path):
    outcome = call("bench", "index", tmp_path, "--model", "builtin")
    assert outcome.status == 1
    assert f"there are no pictures in {tmp_path}" in outcome.err
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    outcome = call("bench", "index", tmp_path, "--model", "builtin")
    assert outcome.status == 1
    assert "can be decoded" in outcome.err


# Searching


def test_bench_search(indexed: Place):
    outcome = indexed.call("bench", "search", "--repeats", 3, "--json")
    assert outcome.status == 0, outcome.err
    report = outcome.json
    assert (report["model"], report["vectors"], report["dimension"]) == ("builtin", 4, 800)
    assert report["recall_at_10"] == 1.0
    assert report["open_ms"] > 0
    assert report["index"].keys() == {"1", "64"}
    for latency in (report["text"], report["search"], *report["index"].values()):
        assert 0 < latency["p50_ms"] <= latency["p95_ms"]
        assert latency["runs"] == 3
    assert report["search"]["p50_ms"] > report["index"]["1"]["p50_ms"]
    text = indexed.call("bench", "search", "--repeats", 3).text
    assert "builtin, 4 vectors of 800 numbers" in text
    assert re.search(r"^recall@10 +1\.0000 ", text, re.M)


@full_only
def test_bench_search_of_synthetic_vectors(tmp_path):
    place = Place(tmp_path, tmp_path / "none")
    sizes = ("--synthetic", "500,16", "--synthetic", "2000,16")
    command = ("bench", "search", *sizes, "--repeats", 3, "--index", "ivf", "--folder", tmp_path)
    outcome = place.call(*command, "--json", "--plot", tmp_path / "growth.svg")
    assert outcome.status == 0, outcome.err
    reports = [json.loads(line) for line in outcome.text.splitlines()]
    assert [(each["vectors"], each["dimension"]) for each in reports] == [(500, 16), (2000, 16)]
    for report in reports:
        assert report["recall_at_10"] >= 0.95
        assert (report["open_ms"], report["text"], report["search"]) == (None, None, None)
        facts = report["facts"]
        assert "lists trained on" in facts["described"] and facts["build_s"] > 0
        assert facts["file_bytes"] == os.path.getsize(index_file(tmp_path, report["vectors"]))
        assert facts["file_bytes"] > report["vectors"] * 32
        assert facts["opening"]["open_ms"] > 0 and facts["floor_ms"] > 0
        assert facts["filtered"].keys() == {"1", "0.1", "0.01", "0.0001"}
        assert facts["of_raw"].keys() == {"1", "64"} and min(facts["of_raw"].values()) > 0
        assert 0 < facts["neighbour"]["p50_ms"] <= facts["neighbour"]["p95_ms"]
    assert (tmp_path / "growth.svg").read_text().startswith("<?xml")
    assert not place.library.exists()


def index_file(folder, count):
    (path,) = (folder / f"{count}x16").iterdir()
    return path


@full_only
def test_bench_search_reuses_an_index(tmp_path):
    place = Place(tmp_path, tmp_path / "none")
    command = ("bench", "search", "--synthetic", "300,16", "--repeats", 2, "--folder", tmp_path)
    first, again = (place.call(*command).text for _ in range(2))
    assert "synthetic, 300 vectors of 16 numbers" in first
    assert "built in" in first and "built in" not in again
    assert re.search(r"^with a busy process +\d", first, re.M)


def test_bench_search_without_a_library(tmp_path):
    outcome = Place(tmp_path, tmp_path / "none").call("bench", "search")
    assert outcome.status == 1
    assert "there is no library in" in outcome.err
