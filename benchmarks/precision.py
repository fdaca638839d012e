"""What half precision changes: speed on this machine, and which pictures are found.

    python benchmarks/precision.py speed [--precisions fp32,bf16,autocast]
    python benchmarks/precision.py agreement SET... [--precisions fp32,bf16,autocast]

Two models: the built-in one with its real weights, and CLIP ViT-B/32 with random weights, whose
speed is true and whose vectors mean nothing: they lie so close together that neighbours swap more
easily than with trained weights. A SET is a folder as for `imgsearch eval`.

`speed` times the networks alone, precisions in turns within one run, in processor time (another
program on the machine then matters less), and prints medians. `agreement` compares with fp32:
cosine of the vectors; whether the nearest picture is the same; how many of the ten nearest are;
and recall@10 of what the set calls relevant. "mixed" asks with fp32 what was indexed otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from imgsearch.encoders import builtin
from imgsearch.encoders.devices import autocasting, choose_weights_dtype
from imgsearch.model_card import EncoderOptions, InputSize
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import normalize

CPU = torch.device("cpu")


class RandomClip:
    """CLIP ViT-B/32 with random weights; a text is its letters."""

    input_size = InputSize(short=224)

    def __init__(self, precision: str) -> None:
        dtype, self.autocast = choose_weights_dtype(precision, CPU)
        torch.manual_seed(0)
        self.model = CLIPModel(CLIPConfig()).eval().to(dtype)
        self.prepare = CLIPImageProcessorPil()

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        pictures = [Image.fromarray(image) for image in images]
        pixels = self.prepare(pictures, return_tensors="pt")["pixel_values"]
        return self._rows(self._see, pixels.to(self.model.dtype))

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        ids = torch.full((len(texts), 40), 49407)
        for row, text in zip(ids, texts, strict=True):
            letters = torch.tensor(list(text.encode()[:39]))
            row[: len(letters)] = letters
        return self._rows(self._read, ids)

    def _see(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.visual_projection(self.model.vision_model(pixels).pooler_output)

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model.text_projection(self.model.text_model(ids).pooler_output)

    def _rows(self, network, inputs: torch.Tensor) -> np.ndarray:
        with torch.inference_mode(), autocasting(CPU, self.autocast):
            return normalize(network(inputs).float().numpy())


def open_model(name: str, precision: str):
    if name == "builtin":
        return builtin.load("builtin", EncoderOptions(device="cpu", precision=precision))
    return RandomClip(precision)


def speed(given: argparse.Namespace) -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(16)]
    print("input, batch: median ms (fastest-slowest), times as fast as fp32")
    for name in ("clip-vit-b-32", "builtin"):
        models = {each: open_model(name, each) for each in given.precisions}
        for batch in (1, 8, 16):
            work = {"image": pictures[:batch], "text": ["a dog runs along the beach"] * batch}
            for kind, inputs in work.items():
                spent = {each: [] for each in models}
                for turn in range(given.repeats + 1):
                    for each, model in models.items():
                        begin = time.process_time()
                        getattr(model, f"encode_{kind}s")(inputs)
                        if turn:  # the first one warms up
                            spent[each].append(1000 * (time.process_time() - begin))
                report(f"{name} {kind}, {batch}", spent)


def report(what: str, spent: dict[str, list[float]]) -> None:
    medians = {each: statistics.median(times) for each, times in spent.items()}
    base = next(iter(medians.values()))
    cells = (
        f"{each} {medians[each]:.0f} ({min(times):.0f}-{max(times):.0f}) {base / medians[each]:.2f}"
        for each, times in spent.items()
    )
    print(f"{what}: {'; '.join(cells)}", flush=True)


class Answers:
    """A set of pictures and its queries in the vectors of one precision."""

    def __init__(self, model, folder: Path) -> None:
        inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
        names = sorted(f"{inside}/{path.name}" for path in (folder / inside).iterdir())
        written = folder / "queries.jsonl"
        lines = written.read_text().splitlines() if written.exists() else []
        queries = [json.loads(line) for line in lines]
        settings = DecodeSettings(input_size=model.input_size)
        pictures = [decode_path(str(folder / name), settings).pixels for name in names]
        starts = range(0, len(pictures), 16)
        self.images = np.concatenate([model.encode_images(pictures[i : i + 16]) for i in starts])
        self.texts = model.encode_texts([query["query"] for query in queries]) if lines else None
        self.relevant = [{names.index(name) for name in query["relevant"]} for query in queries]


def nearest(queries: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Places of the ten best pictures for each query; a picture does not find itself."""
    scores = queries @ images.T
    if queries is images:
        np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1, kind="stable")[:, :10]


def agreement(given: argparse.Namespace) -> None:
    for name in given.models:
        for folder in given.sets:
            exact = None
            for precision in given.precisions:
                found = Answers(open_model(name, precision), folder)
                exact = exact or found
                print(f"{name} {folder.name} {precision}: {compare(found, exact)}", flush=True)


def compare(found: Answers, exact: Answers) -> str:
    cosine = (found.images * exact.images).sum(1)
    words = [f"cosine {cosine.min():.5f} least {cosine.mean():.5f} mean"]
    for kind, queries, base in (
        ("text", found.texts, exact.texts),
        ("mixed", exact.texts, exact.texts),
        ("image", found.images, exact.images),
    ):
        if queries is None:
            continue
        have, want = nearest(queries, found.images), nearest(base, exact.images)
        first = np.mean(have[:, 0] == want[:, 0])
        both = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(have, want, strict=True)])
        words.append(f"{kind} top-1 {first:.1%} ten {both:.1%}")
        if kind != "image":
            hits = [bool(set(row) & fit) for row, fit in zip(have, found.relevant, strict=True)]
            words[-1] += f" recall@10 {np.mean(hits):.1%}"
    return "; ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "agreement"))
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument(
        "--precisions", type=lambda text: text.split(","), default=["fp32", "bf16", "autocast"]
    )
    parser.add_argument(
        "--models", type=lambda text: text.split(","), default=["builtin", "clip-vit-b-32"]
    )
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    {"speed": speed, "agreement": agreement}[given.what](given)


if __name__ == "__main__":
    main()
