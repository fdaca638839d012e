"""Measures speed and memory of gme-Qwen2-VL with random weights on a GPU or a CPU.

    python benchmarks/gme_gpu.py --device cuda                     # the table, about 8 minutes
    python benchmarks/gme_gpu.py --device cpu --tiny --limit 120   # to test the script

`imgsearch bench` measures the encoder of any model from the view of its caller. This script
measures the network of one model and ways to run it: recorded graphs, compiled blocks, and the code
of transformers.

For each precision and way it measures texts of 20 tokens in the search prompt and pictures of
448 x 448 pixels (256 visual tokens) in batches of 1, 8, 16 and 64. Inputs are preprocessed on the
device; each figure is the median of repeated, synchronised runs after a warm-up. At the end it
measures the same from pixels in host memory, with the next batch prepared meanwhile. On a processor
it reports CPU time over all threads, which other programs hardly affect. Prints Markdown; with
--out, also writes results.json and table.md after each step.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import statistics
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import numpy as np
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from imgsearch.bench.meter import describe_machine
from imgsearch.bench.random_gme import random_weights
from imgsearch.encoders.gme.graphs import Replay
from imgsearch.encoders.gme.prompt import SEARCH_INSTRUCTION
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.model_card import EncoderOptions

GIB = 1 << 30
WORDS = ["images", "that", "visually", "match", "this", "description:", "system", "user"]
CUDNN = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


@dataclass
class Row:
    """One measurement. Latency in ms per batch, rate in inputs/s, memory in GiB."""

    precision: str
    path: str
    kind: str
    batch: int
    latency: float = 0.0
    rate: float = 0.0
    weights: float = 0.0
    peak: float = 0.0
    runs: int = 0
    spread: float = 0.0
    first: float = 0.0
    cosine: float = 0.0
    ceiling: float = 0.0
    failed: str = ""


class Bench:
    """Measures, prints and stores the rows."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.device = torch.device(arguments.device)
        self.cuda = self.device.type == "cuda"
        self.started = time.monotonic()
        self.rows: list[Row] = []
        self.reference: dict[str, torch.Tensor] = {}
        self.cores = len(os.sched_getaffinity(0))
        self.clock = time.perf_counter if self.cuda else time.process_time

    # -- the network ---------------------------------------------------------------------------

    def open(self, precision: str):
        self.close()
        architecture = "gme-tiny" if self.arguments.tiny else self.arguments.architecture
        begin = time.monotonic()
        options = EncoderOptions(device=self.arguments.device, precision=precision)
        self.encoder = random_weights(architecture, options)
        self.module = self.encoder.module
        self.inputs = {kind: self.features(kind, max(self.batches)) for kind in ("text", "image")}
        self.synchronize()
        count = sum(p.numel() for p in self.module.model.parameters())
        self.weights = sum(p.numel() * p.element_size() for p in self.module.model.parameters())
        tokens = {kind: self.inputs[kind]["input_ids"].shape[1] for kind in self.inputs}
        self.say(f"tokens per prompt: {tokens}")
        self.say(
            f"{architecture} in {precision}: {count / 1e9:.3f} B parameters,"
            f" {self.weights / GIB:.2f} GiB, made in {time.monotonic() - begin:.1f} s"
        )

    def close(self) -> None:
        self.encoder = self.module = None
        self.inputs = {}
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()

    @property
    def batches(self) -> list[int]:
        return [int(size) for size in self.arguments.batches.split(",")]

    def parts(self, kind: str, count: int) -> list[dict]:
        if kind == "text":
            return [
                {"text": " ".join(WORDS[(i + j) % len(WORDS)] for j in range(20))}
                for i in range(count)
            ]
        numbers = np.random.default_rng(0)
        return [{"image": numbers.integers(0, 256, (448, 448, 3), np.uint8)} for _ in range(count)]

    def features(self, kind: str, batch: int) -> dict:
        features = self.module.preprocess(self.parts(kind, batch), prompt=SEARCH_INSTRUCTION)
        return {
            name: value.to(self.device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }

    # -- ways to run it ------------------------------------------------------------------------

    def stock(self, features: dict) -> torch.Tensor:
        """The forward pass of transformers, with its vision tower and mask, as commonly used."""
        ids, mask = features["input_ids"], features["attention_mask"]
        more = {}
        if features["sizes"]:
            runs = [(size, 1) for size in features["sizes"]]
            patches = self.module.eye._patches(features["pixels"], runs)
            both = patches.view(-1, 3, 1, 196).expand(-1, -1, 2, -1).reshape(len(patches), -1)
            grid = [[1, h // 14, w // 14] for h, w in features["sizes"]]
            more = {
                "pixel_values": both,
                "image_grid_thw": torch.tensor(grid, device=self.device),
            }
        places = torch.arange(ids.shape[1], device=ids.device).expand(3, *ids.shape)
        self.module.model.config.image_token_id = self.module.tokenizer.convert_tokens_to_ids(
            "<|image_pad|>"
        )
        hidden = self.module.model(
            input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, **more
        ).last_hidden_state
        last = hidden.flatten(0, 1).index_select(0, features["last"])
        return functional.normalize(last.float(), dim=1)

    def compile(self) -> None:
        torch._dynamo.config.recompile_limit = 256
        self.module.eye.compile_blocks()
        self.module.reader.compile_layers()

    # -- measuring -----------------------------------------------------------------------------

    def measure_all(self, precision: str, path: str, tf32: bool = False) -> None:
        """Measure all kinds and batch sizes of one precision and path."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(self.encoder._precision())
            if "cudnn" in path:
                stack.enter_context(sdpa_kernel([*CUDNN, SDPBackend.MATH], set_priority=True))
            for kind in ("text", "image"):
                for batch in self.batches:
                    self.measure_one(Row(precision, path, kind, batch))
        self.store()

    def measure_one(self, row: Row) -> None:
        if self.late():
            return
        embed = self.stock if row.path == "transformers" else self.module.embed
        if "graph" in row.path:
            embed = Replay(embed, max_graphs=1)
        features = self.features(row.kind, row.batch)
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        row.weights = self.weights / GIB
        try:
            begin = time.perf_counter()
            vectors = embed(features)
            self.synchronize()
            row.first = time.perf_counter() - begin
            self.repeat(row, lambda: embed(features))
            self.judge(row, vectors)
        except Exception as error:  # a failing path must not stop the others
            row.failed = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            traceback.print_exc(limit=3)
        self.keep(row)

    def repeat(self, row: Row, run, per_call: int = 1) -> None:
        run()
        self.synchronize()
        times: list[float] = []
        while len(times) < 3 or (sum(times) < self.arguments.seconds and len(times) < 50):
            begin = self.clock()
            run()
            self.synchronize()
            times.append(self.clock() - begin)
        middle = statistics.median(times)
        row.runs, row.latency = len(times), middle * 1e3 / per_call
        row.spread = (max(times) - min(times)) / middle
        row.rate = row.batch * per_call / middle
        if self.cuda:
            row.peak = torch.cuda.max_memory_allocated() / GIB

    def judge(self, row: Row, vectors: torch.Tensor) -> None:
        """Set the agreement with float32 vectors of the inputs, and the share of the ceiling."""
        vectors = vectors.float().cpu()
        key = f"{row.kind}{row.batch}"
        expected = self.reference.setdefault(key, vectors)
        row.cosine = float((vectors * expected).sum(1).min())
        row.ceiling = row.rate * self.work(row.kind) / self.arguments.ceiling

    def work(self, kind: str) -> float:
        """TFLOP per input: two per weight and token, and attention."""
        config = self.module.model.config
        text, vision = config.text_config, config.vision_config
        features = self.inputs[kind]
        tokens = features["input_ids"].shape[1]
        layers = sum(p.numel() for p in self.module.model.language_model.layers.parameters())
        total = 2.0 * layers * tokens
        total += 2.0 * text.num_hidden_layers * tokens**2 * text.hidden_size  # causal: half of 4
        if features["sizes"]:
            height, width = features["sizes"][0]
            patches = height * width // 196
            tower = sum(p.numel() for p in self.module.model.visual.blocks.parameters())
            merger = sum(p.numel() for p in self.module.model.visual.merger.parameters())
            total += 2.0 * tower * patches + 2.0 * merger * patches / 4
            total += 4.0 * vision.depth * patches**2 * vision.embed_dim
        return total / 1e12

    def from_host(self, precision: str, name: str, kind: str, batch: int, parts: list) -> None:
        """Measure from inputs in host memory to vectors there, prepared ahead in threads."""
        if self.late():
            return
        row = Row(precision, name, kind, batch, weights=self.weights / GIB)
        rounds = len(parts) // batch
        self.encoder.batch_size = batch
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            self.repeat(row, lambda: self.encoder._encode(parts, SEARCH_INSTRUCTION), rounds)
            row.ceiling = row.rate * self.work(kind) / self.arguments.ceiling
        except Exception as error:
            row.failed = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            traceback.print_exc(limit=3)
        self.keep(row)

    def prepare_only(self) -> None:
        """Measure preprocessing without the network."""
        for workers in sorted({1, min(4, self.cores), self.cores}):
            parts = self.big_pictures(32)
            with ThreadPoolExecutor(workers) as self.module.resizers:
                begin = time.perf_counter()
                self.module.preprocess(parts)
                spent = time.perf_counter() - begin
            self.say(f"preprocessing 1336 x 1002 with {workers} threads: {32 / spent:.0f}/s")
        self.module.resizers = None

    def big_pictures(self, count: int) -> list[dict]:
        y, x = np.mgrid[:1002, :1336]
        base = np.stack([x % 256, y % 256, (x * y // 900) % 256], axis=-1).astype(np.uint8)
        return [{"image": base + np.uint8(i % 256)} for i in range(count)]

    # -- reporting -----------------------------------------------------------------------------

    def late(self) -> bool:
        return time.monotonic() - self.started > self.arguments.limit

    def synchronize(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def say(self, line: str) -> None:
        print(f"[{time.monotonic() - self.started:6.1f} s] {line}", flush=True)

    def keep(self, row: Row) -> None:
        self.rows.append(row)
        what = row.failed or (
            f"{row.latency:9.2f} ms {row.rate:9.1f}/s peak {row.peak:6.2f} GiB"
            f" first {row.first:6.2f} s cosine {row.cosine:.5f} {row.ceiling:6.1%}"
        )
        self.say(f"{row.precision:8} {row.path:18} {row.kind:5} x{row.batch:<3} {what}")

    def store(self) -> None:
        folder = self.arguments.out
        if not folder:
            return
        os.makedirs(folder, exist_ok=True)
        content = {"machine": self.machine(), "rows": [asdict(row) for row in self.rows]}
        with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as file:
            file.write(self.table())

    def machine(self) -> dict[str, str]:
        return {
            "date": time.strftime("%Y-%m-%d"),
            **{name: str(value) for name, value in describe_machine(self.device).items()},
            "flash-attn": "yes" if importlib.util.find_spec("flash_attn") else "not installed",
            "command": " ".join(sys.argv),
        }

    def table(self) -> str:
        """Markdown; speed-up and memory against float32 without TF32 on the same path."""
        base = {
            (row.path, row.kind, row.batch): row
            for row in self.rows
            if row.precision == "fp32" and not row.failed
        }
        lines = [
            ", ".join(f"{key} {value}" for key, value in self.machine().items()),
            "",
            "| input | batch | path | precision | ms per batch | inputs/s | vs fp32 | weights GiB"
            " | peak GiB | memory vs fp32 | cosine to fp32 | of ceiling |",
            "|---|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for row in sorted(self.rows, key=lambda r: (r.kind, r.batch, r.path, r.precision)):
            first = f"| {row.kind} | {row.batch} | {row.path} | {row.precision} | "
            if row.failed:
                lines.append(f"{first}failed: {row.failed} | | | | | | | |")
                continue
            same = base.get((row.path, row.kind, row.batch))
            if same is None:  # no float32 figures of this path: use the plain one
                same = base.get(("eager", row.kind, row.batch))
            faster = f"{same.latency / row.latency:.2f}" if same else ""
            smaller = f"{row.peak / same.peak:.2f}" if same and same.peak else ""
            agrees = f"{row.cosine:.5f}" if row.cosine else ""
            lines.append(
                f"{first}{row.latency:.2f} | {row.rate:.1f} | {faster} | {row.weights:.2f}"
                f" | {row.peak:.2f} | {smaller} | {agrees} | {row.ceiling:.1%} |"
            )
        return "\n".join(lines) + "\n"


def run_fp32(bench: Bench) -> None:
    bench.open("fp32")
    bench.measure_all("fp32", "eager")
    if bench.arguments.plain:
        return
    bench.measure_all("tf32", "eager", tf32=True)
    if bench.cuda:
        bench.measure_all("fp32", "graph")
        bench.measure_all("tf32", "graph", tf32=True)


def run_bf16(bench: Bench) -> None:
    bench.open("bf16")
    bench.say(
        f"work per input: text {bench.work('text'):.4f}, image {bench.work('image'):.4f} TFLOP"
    )
    bench.measure_all("bf16", "eager")
    if bench.arguments.plain:
        return
    if bench.cuda:
        bench.measure_all("bf16", "graph")
    bench.measure_all("bf16", "transformers")
    if bench.cuda:
        bench.measure_all("bf16", "cudnn graph")
    run_from_host(bench)
    bench.compile()
    bench.measure_all("bf16", "compile")
    if bench.cuda:
        bench.measure_all("bf16", "compile graph")
    pictures = bench.parts("image", 6 * max(bench.batches))
    bench.from_host("bf16", "host compile", "image", max(bench.batches), pictures)


def run_from_host(bench: Bench) -> None:
    bench.prepare_only()
    largest = max(bench.batches)
    with ThreadPoolExecutor(bench.cores) as bench.module.resizers:
        for batch in (16, largest):
            pictures = bench.parts("image", 6 * batch)
            bench.from_host("bf16", "host 448 px", "image", batch, pictures)
        bench.module.tokens = VisualTokens(64, 256)
        big = bench.big_pictures(6 * largest)
        bench.from_host("bf16", "host 1336x1002 px", "image", largest, big)
        bench.module.tokens = VisualTokens()
    bench.module.resizers = None
    bench.from_host("bf16", "host eager", "text", 1, bench.parts("text", 1))
    if bench.cuda:
        bench.module.record_texts()
        bench.from_host("bf16", "host graph", "text", 1, bench.parts("text", 1))
        bench.module.replay, bench.module.pad_to = None, 1
    bench.store()


def run_fp16(bench: Bench) -> None:
    bench.open("fp16")
    bench.measure_all("fp16", "eager")
    if bench.cuda:
        bench.measure_all("fp16", "graph")


def run_autocast(bench: Bench) -> None:
    bench.open("autocast")
    bench.measure_all("autocast", "eager")


def ceiling(bench: Bench) -> None:
    """Print the rate of this device on a large product of random matrices."""
    side = 512 if bench.arguments.tiny else 8192
    left, right = (
        torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2)
    )
    row = Row("bf16", "product", "matrix", 1)
    bench.repeat(row, lambda: left @ right)
    rate = 2 * side**3 / row.latency / 1e9
    bench.say(
        f"{side}^3 bf16 product: {rate:.0f} TFLOP/s; ceiling set to {bench.arguments.ceiling}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--architecture", default="gme-qwen2-vl-2b")
    parser.add_argument("--tiny", action="store_true", help="a small network, to test the script")
    parser.add_argument("--batches", default="1,8,16,64")
    parser.add_argument("--seconds", type=float, default=0.7, help="minimum per measurement")
    parser.add_argument(
        "--limit", type=float, default=540, help="start no measurement after this many seconds"
    )
    parser.add_argument("--ceiling", type=float, default=790, help="TFLOP/s of a large product")
    parser.add_argument("--only", default="fp32,bf16,fp16,autocast")
    parser.add_argument("--plain", action="store_true", help="only the encoder itself, no variants")
    parser.add_argument("--out", help="a folder for results.json and table.md")
    bench = Bench(parser.parse_args())
    bench.say(str(bench.machine()))
    ceiling(bench)
    steps = {"fp32": run_fp32, "bf16": run_bf16, "fp16": run_fp16, "autocast": run_autocast}
    for name in bench.arguments.only.split(","):
        try:
            steps[name](bench)
        except Exception:
            traceback.print_exc(limit=5)
    bench.store()
    print("\n" + bench.table())


if __name__ == "__main__":
    main()
