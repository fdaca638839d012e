"""Measures a server under many clients on the loopback interface: latency, errors, memory.

    python benchmarks/serve_load.py --library DIR --queries FILE [--clients 50] [--seconds 60]

starts `imgsearch serve` on that library and measures, one after the other,

1. a single client, one search after the other, each with a new text that the model must encode;
2. the same with texts that were searched before;
3. `--clients` concurrent clients, each of which waits for its response before the next request, so
   that their number bounds the load. Half of the searches use new texts.

FILE has one query per line, or lines of JSON with "query". New texts are random words of these
queries. Memory is the resident set of the server process, sampled every second; its processor time
is given for each request, which other programs on the machine change less than they change rates.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil


@dataclass
class Run:
    """The response times and errors of a run."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, seconds: float, error: str) -> None:
        with self.lock:
            if error:
                self.errors.append(error)
            else:
                self.seconds.append(seconds)

    def figures(self, wall: float) -> dict[str, float]:
        ordered = sorted(self.seconds)

        def at(share: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

        return {
            "requests": len(ordered), "errors": len(self.errors),
            "per_second": round(len(ordered) / wall, 1),
            "median_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "most_ms": at(1.0),
        }  # fmt: skip


class Texts:
    """An endless supply of new and of repeated queries."""

    def __init__(self, path: Path, seed: int) -> None:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        self.known = [json.loads(x)["query"] if x.startswith("{") else x for x in lines]
        self.words = sorted({word for line in self.known for word in line.split()})
        self.random = random.Random(seed)

    def new(self) -> str:
        return " ".join(self.random.sample(self.words, 5))

    def old(self) -> str:
        return self.random.choice(self.known)


def ask(connection: http.client.HTTPConnection, text: str, more: str) -> tuple[float, str]:
    started = time.perf_counter()
    try:
        connection.request("GET", f"/api/v1/search?q={quote(text)}&{more}")
        answer = connection.getresponse()
        body = answer.read()
        error = "" if answer.status == 200 else f"{answer.status} {body[:80]!r}"
        if not error and "hits" not in json.loads(body):
            error = "no hits in the answer"
    except (OSError, http.client.HTTPException, ValueError) as problem:
        connection.close()
        error = repr(problem)
    return time.perf_counter() - started, error


def client(port: int, texts: list[str], until: float, run: Run, more: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for text in itertools.cycle(texts):
        if time.monotonic() >= until:
            break
        run.note(*ask(connection, text, more))
    connection.close()


def measure(
    port: int, clients: int, seconds: float, texts: Texts, share_new: float, more: str
) -> dict[str, float]:
    """Run the clients; their texts are generated before the clock starts."""
    run, plans = Run(), []
    for _ in range(clients):
        plans.append([
            texts.new() if texts.random.random() < share_new else texts.old() for _ in range(5000)
        ])  # fmt: skip
    started = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(port, plan, started + seconds, run, more))
        for plan in plans
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in run.errors[:5]:
        print(error, file=sys.stderr)
    return run.figures(time.monotonic() - started)


def watch(process: psutil.Process, found: list[int], stop: threading.Event) -> None:
    while not stop.wait(1.0):
        found.append(process.memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--more", default="limit=20", help="The other parameters of a search.")
    args = parser.parse_args()
    command = [
        sys.executable, "-m", "imgsearch", "--library", args.library, "serve", "--port", "0",
        "--rate", "1000000", "--threads", str(args.threads),
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ})
    try:
        assert server.stdout is not None
        port = urlsplit(server.stdout.readline().decode().split()[-1]).port
        assert port is not None
        texts = Texts(args.queries, 1)
        warm = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        for text in texts.known:
            _, error = ask(warm, text, args.more)
            assert not error, error
        memory: list[int] = []
        stop = threading.Event()
        threading.Thread(
            target=watch, args=(psutil.Process(server.pid), memory, stop), daemon=True
        ).start()
        single = min(15.0, args.seconds)
        found = {}
        begun = 0
        for name, clients, seconds, new in (
            ("single_new", 1, single, 1.0),
            ("single_known", 1, single, 0.0),
            ("many", args.clients, args.seconds, 0.5),
        ):
            begun, before = len(memory), _metrics(warm)
            spent = _processor_seconds(server.pid)
            found[name] = measure(port, clients, seconds, texts, new, args.more)
            spent = _processor_seconds(server.pid) - spent
            found[name]["processor_ms"] = round(1000 * spent / max(1, found[name]["requests"]), 1)
            found[name]["steps"] = steps(before, _metrics(warm))
        stop.set()
        under = memory[begun:]
        third = max(1, len(under) // 3)
        found["memory_mib"] = {
            "before": round(memory[max(0, begun - 1)] / 2**20),
            "first_third": round(statistics.median(under[:third]) / 2**20),
            "last_third": round(statistics.median(under[-third:]) / 2**20),
            "most": round(max(under) / 2**20),
        }
        print(json.dumps(found, indent=1))
    finally:
        server.terminate()
        server.wait(60)


def _processor_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def steps(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Mean milliseconds of each step of a search, and the number of encoded texts."""
    grown_by = {name: after[name] - before.get(name, 0.0) for name in after}

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    found = {}
    for step in ("queue", "model", "words", "search", "fetch"):
        count = grown(f'imgsearch_step_seconds_count{{step="{step}"}}')
        total = grown(f'imgsearch_step_seconds_sum{{step="{step}"}}')
        found[f"{step}_ms"] = round(1000 * total / count, 2) if count else 0.0
    for step in ("model", "text"):
        for share in (0.5, 0.95):
            found[f"{step}_p{100 * share:g}_ms"] = round(quantile(grown_by, step, share), 2)
    found["texts"] = grown("imgsearch_texts_encoded_total")
    found["calls"] = grown("imgsearch_encodings_total")
    spent = grown('imgsearch_step_seconds_sum{step="model"}')
    found["model_ms_per_text"] = round(1000 * spent / found["texts"], 2) if found["texts"] else 0.0
    return found


def quantile(grown: dict[str, float], step: str, share: float) -> float:
    """A quantile of a step's times in milliseconds, interpolated linearly within a bucket."""
    pattern = re.compile(rf'imgsearch_step_seconds_bucket{{le="([^"]+)",step="{step}"}}')
    counts = sorted((float(m[1]), n) for name, n in grown.items() if (m := pattern.match(name)))
    target, below, lower = share * (counts[-1][1] if counts else 0.0), 0.0, 0.0
    for upper, count in counts:
        if count >= target > 0:
            return 1000 * (lower + (upper - lower) * (target - below) / (count - below))
        below, lower = count, upper
    return 0.0


def _metrics(connection: http.client.HTTPConnection) -> dict[str, float]:
    connection.close()
    connection.request("GET", "/api/v1/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


if __name__ == "__main__":
    main()
