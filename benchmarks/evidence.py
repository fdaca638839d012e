"""Measures what a detector of objects or the layout of scenes would add to the built-in model.

    npm pack @vladmandic/human@3.3.6
    OMP_NUM_THREADS=1 python benchmarks/evidence.py vladmandic-human-3.3.6.tgz SET...

A SET is a folder with `queries.jsonl` and `images/` or `photos/`, as for `imgsearch eval`. Each
trial adds evidence to the vectors of the pictures, at several weights. The weight of a set is the
one with the best mean MRR on the other sets. Intervals (95 %) are of a bootstrap over queries.

The detector is CenterNet (Zhou et al., "Objects as Points", 2019) with MobileNetV3, trained on the
80 classes of COCO; only its heat map of each class is computed. docs/BUILTIN.md has the results.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import statistics
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from imgsearch.encoders import builtin
from imgsearch.encoders.builtin import cells, people, weights
from imgsearch.encoders.builtin.blocks import BLOCKS, slices
from imgsearch.encoders.builtin.blocks.sights import with_absence
from imgsearch.encoders.builtin.encoder import Towers
from imgsearch.encoders.builtin.image_tower import ImageTower
from imgsearch.encoders.builtin.scenes import Points, ramp
from imgsearch.encoders.devices import choose_weights_dtype
from imgsearch.evaluation.ranking_metrics import paired_bootstrap
from imgsearch.model_card import InputSize
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings

Rows = np.ndarray

CELLS = (64, 121, 256)  # of 32 x 32 pixels; 256 are as many pixels as 512 x 512
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4)
SCALE = sum(block.share for block in BLOCKS) ** 0.5  # norm of a picture before normalisation
SLICES = slices()
SYNONYMS = {
    "bicycle": "bikes? cyclists?",
    "car": "automobiles? convertibles? taxis? traffic",
    "motorcycle": "motorbikes? motorcyclists? scooters?",
    "airplane": "aeroplanes? planes? biplanes? aircraft jets?",
    "truck": "lorr(?:y|ies) vans?",
    "boat": "ships? yachts? speedboats? powerboats? canoes? ferr(?:y|ies)",
    "bird": "hens? chickens? ducks? gulls? parrots? owls? eagles? swans? flamingos? peacocks?",
    "cat": "kittens? tabby",
    "dog": "pupp(?:y|ies) hounds? spaniels? pugs?",
    "horse": "foals? pon(?:y|ies)",
    "sheep": "lambs?",
    "cow": "cattle bulls? bison",
    "handbag": "bags? purses?",
    "tie": "ties",
    "sports ball": "balls? baseballs? footballs?",
    "cup": "mugs? coffee espresso",
    "wine glass": "wine",
    "couch": "sofas?",
    "potted plant": "plants?",
    "dining table": "tables?",
    "tv": "televisions? monitors?",
    "cell phone": "phones?",
    "oven": "stoves?",
    "clock": "watch(?:es)?",
}
LAYOUT = {
    "sky": "sky|skies|clouds?|landscape|horizon|view",
    "vegetation": "forests?|woods|trees?|gardens?|meadows?|bush(?:es)?|parks?|jungle|prairie|grass",
    "water": "sea|water|waves?|lakes?|rivers?|streams?|ponds?|beach(?:es)?|harbours?|coast|island",
    "buildings": "buildings?|city|cities|streets?|skyline|castles?|churches?|towers?|houses?"
    "|temples?|palaces?|mosques?|abbeys?|huts?|barns?|village|bridges?",
    "mountains": "mountains?|hills?|valleys?|canyons?|cliffs?|rock[sy]?|deserts?",
}
# Classes of the vision network: seashore, lakeside, dock, pier, boats; churches, castles, barns,
# walls, shops; alp, cliff, promontory, valley, volcano.
CLASSES = {
    "water": (460, 472, 510, 536, 554, 576, 625, 628, 718, 814, 871, 914, 975, 976, 977, 978),
    "buildings": (425, 442, 449, 483, 497, 538, 582, 663, 668, 698, 727, 821, 832, 839, 858, 888),
    "mountains": (970, 972, 976, 979, 980),
}


class HeatMaps:
    """The detector up to the heat maps of its classes, from the package's TensorFlow.js graph.

    Calling it with pixels (1, 3, rows, columns), 0 to 255, both multiples of 32, returns scores
    (80, rows / 4, columns / 4), 0 to 1.
    """

    def __init__(self, tarball: Path) -> None:
        with tarfile.open(tarball) as archive:
            read = {m.name: archive.extractfile(m) for m in archive if m.isfile()}
            graph = json.load(read["package/models/centernet.json"])
            data = read["package/models/centernet.bin"].read()
            labels = read["package/src/object/labels.ts"].read().decode()
        self.labels = re.findall(r"label: '([^']+)'", labels)
        self._values = self._constants(graph["weightsManifest"][0]["weights"], data)
        self._steps = self._needed({n["name"]: n for n in graph["modelTopology"]["node"]})
        self._last = {name: i for i, step in enumerate(self._steps) for name in step["input"]}

    @staticmethod
    def _constants(entries: list[dict], data: bytes) -> dict[str, torch.Tensor]:
        """Arrays by name; those of floating point are stored in 16 bits."""
        file, arrays = io.BytesIO(data), {}
        for entry in entries:
            kind = np.dtype(entry.get("quantization", entry)["dtype"])
            flat = np.frombuffer(file.read(int(np.prod(entry["shape"])) * kind.itemsize), kind)
            array = torch.from_numpy(flat.astype(entry["dtype"]).reshape(entry["shape"]))
            arrays[entry["name"]] = array.permute(3, 2, 0, 1) if array.ndim == 4 else array
        return arrays

    def _needed(self, nodes: dict[str, dict]) -> list[dict]:
        """The nodes that the heat maps need, in order; hard swish, four nodes, becomes one."""
        ordered: dict[str, dict] = {}

        def visit(name: str) -> None:
            if name in ordered or name in self._values:
                return
            node = {"input": [], "attr": {}} | nodes[name]
            if name.endswith("hard_swish/mul_1"):
                product = nodes[name.removesuffix("_1")]["input"]
                source = next(each for each in product if each not in self._values)
                node |= {"op": "HardSwish", "input": [source]}
            for source in node["input"]:
                visit(source)
            ordered[name] = node
            if "Conv" in node["op"]:
                self._prepare(node)

        visit("tower_0/keypoints")
        return list(ordered.values())

    def _prepare(self, node: dict) -> None:
        attributes, weight = node["attr"], self._values[node["input"][1]]
        if "Depthwise" in node["op"]:
            weight = weight.transpose(0, 1)  # stored as (rows, columns, channels, 1)
        node["weight"] = weight.contiguous(memory_format=torch.channels_last)
        node["stride"] = int(attributes["strides"]["list"]["i"][1])
        node["same"] = base64.b64decode(attributes["padding"]["s"]) == b"SAME"
        fused = attributes.get("fused_ops", {}).get("list", {}).get("s", [])
        node["fused"] = [base64.b64decode(each).decode() for each in fused]

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        values = dict(self._values)
        for number, step in enumerate(self._steps):
            inputs = [values[name] for name in step["input"]]
            values[step["name"]] = pixels if step["op"] == "Placeholder" else _run(step, inputs)
            for name in step["input"]:
                if self._last[name] == number:
                    del values[name]
        return values["tower_0/keypoints"][0]


def _run(step: dict, inputs: list[torch.Tensor]) -> torch.Tensor:
    if "Conv" in step["op"]:
        return _convolve(step, *inputs)
    if step["op"] == "ConcatV2":
        return torch.cat(inputs[:2], 1)
    if step["op"] == "ResizeBilinear":
        return _twice(_twice(inputs[0], 2), 3)
    return _OPERATIONS[step["op"]](*inputs)


_OPERATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "Add": torch.add,
    "Mul": torch.mul,
    "HardSwish": F.hardswish,
    "Identity": lambda x: x,
    "Mean": lambda x, _: x.mean((2, 3), keepdim=True),
    "Relu": F.relu,
    "Relu6": F.relu6,
    "Sigmoid": torch.sigmoid,
}


def _convolve(step: dict, x: torch.Tensor, _: Any, bias: Any = None) -> torch.Tensor:
    kernel, stride, pads = step["weight"].shape[-1], step["stride"], [0] * 4
    if step["same"]:
        short = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[:1:-1]]
        pads = [half for n in short for half in (n // 2, n - n // 2)]
    even = len(set(pads)) == 1
    groups = x.shape[1] if "Depthwise" in step["op"] else 1
    x = x if even else F.pad(x, pads)
    y = F.conv2d(x, step["weight"], bias, stride, pads[0] if even else 0, groups=groups)
    if "Relu" in step["fused"]:
        return F.relu_(y)
    return y.clamp_(0, 6) if "Relu6" in step["fused"] else y


def _twice(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Twice the length, as TensorFlow 1 resizes: the new values lie half way to the next."""
    last = x.narrow(dim, x.shape[dim] - 1, 1)
    following = torch.cat([x.narrow(dim, 1, x.shape[dim] - 1), last], dim)
    return torch.stack([x, (x + following) / 2], dim + 1).flatten(dim, dim + 1)


@dataclass
class Set:
    """A set of pictures and queries; all rows are before normalisation.

    Attributes
    ----------
    pictures, texts : ndarray of shape (pictures or queries, 800)
        Each block of a picture has the norm of the root of its share.
    likely : ndarray of shape (pictures, 1000)
    layout : ndarray of shape (pictures, kinds of LAYOUT)
    scores, counts : dict of int to ndarray of shape (pictures, 80)
        By the number of cells: the best score of each class, and the number of its objects.
    """

    name: str
    queries: list[str]
    relevant: Rows
    pictures: Rows
    texts: Rows
    likely: Rows
    layout: Rows
    scores: dict[int, Rows]
    counts: dict[int, Rows]

    def measures(self, added: Rows | float = 0.0) -> Rows:
        """R@1, R@5 and reciprocal rank of each query: (queries, 3)."""
        scores = self.texts @ self.pictures.T + added
        best = np.where(self.relevant, scores, -np.inf).max(1)
        rank = 1 + (scores > best[:, None]).sum(1)
        return np.stack([rank == 1, rank <= 5, 1 / rank], 1).astype(float)

    def asked(self, patterns: list[str]) -> Rows:
        """1 where a query contains a pattern; rows of at most unit norm."""
        rows = [[bool(re.search(rf"\b(?:{p})\b", q.lower())) for p in patterns]
                for q in self.queries]  # fmt: skip
        return _at_most_unit(np.array(rows, float))


def _at_most_unit(rows: Rows) -> Rows:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)


def read_set(folder: Path, towers: Towers, detector: HeatMaps) -> Set:
    inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
    paths = sorted((folder / inside).iterdir())
    lines = map(json.loads, (folder / "queries.jsonl").read_text().splitlines())
    queries = [line for line in lines if line["kind"] != "label"]
    names = [f"{inside}/{path.name}" for path in paths]
    seen = [_see(path, towers.image, detector) for path in paths]
    texts = towers.text(**towers.text.prepare([q["query"] for q in queries])).numpy()
    texts /= np.linalg.norm(texts[:, SLICES["sentence"]], axis=1, keepdims=True)
    vectors, likely, layout, scores, counts = zip(*seen, strict=True)
    return Set(
        "demo" if folder.name == "data" else folder.name,
        [q["query"] for q in queries],
        np.array([[name in q["relevant"] for name in names] for q in queries]),
        np.stack(vectors) * SCALE,
        texts,
        np.stack(likely),
        np.stack(layout),
        {n: np.stack([each[n] for each in scores]) for n in CELLS},
        {n: np.stack([each[n] for each in counts]) for n in CELLS},
    )


def _see(path: Path, tower: ImageTower, detector: HeatMaps) -> tuple[Any, ...]:
    """The vector, evidence of classes, layout, and best scores and counts of one picture."""
    image = Image.fromarray(decode_path(str(path), DecodeSettings(builtin.INPUT_SIZE)).pixels)
    inputs = tower.prepare([image])
    pixels, shapes = inputs.pop("pixels"), inputs.pop("shapes")
    ((_, alike),) = cells.by_shape(pixels, shapes).values()
    output = tower._output(tower._maps(alike), inputs)
    vector = tower.halves(output, 1)[0].numpy()
    nearby = F.avg_pool2d(F.pad(output.maps, (1, 1, 1, 1), mode="replicate"), 3, 1)
    classes = tower._logits(nearby.permute(0, 2, 3, 1)).softmax(-1)[0].numpy()
    large = decode_path(str(path), DecodeSettings(InputSize(area=max(CELLS) * 1024))).pixels
    maps = {n: detector(_in_cells(Image.fromarray(large), n)) for n in CELLS}
    best = {n: each.flatten(1).amax(1).numpy() for n, each in maps.items()}
    counts = {n: _count(each) for n, each in maps.items()}
    return vector, output.likely[0].numpy(), _layout(Points(image), classes), best, counts


def _in_cells(image: Image.Image, count: int) -> torch.Tensor:
    """Pixels (1, 3, rows, columns) of a picture in its own shape, about `count` cells."""
    rows, columns = (side * (count / builtin.CELLS) ** 0.5 for side in cells.cells_of(*image.size))
    size = (32 * max(1, round(columns)), 32 * max(1, round(rows)))
    pixels = np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    rows_first = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    return rows_first.contiguous(memory_format=torch.channels_last)


def _count(maps: torch.Tensor) -> Rows:
    """Peaks above .3 of each class."""
    peaks = (maps == F.max_pool2d(maps, 3, 1, 1)) & (maps > 0.3)
    return peaks.flatten(1).sum(1).numpy()


def _layout(points: Points, classes: Rows) -> Rows:
    """The certainty of each kind of LAYOUT, from colours and from the classes of cells."""
    smooth = np.abs(np.diff(points.light, axis=1, prepend=points.light[:, :1])) < 4
    pale = points.hued(215, 300, 6) | (points.chroma < 10)
    sky = (pale & smooth & (points.light > 55))[:21].mean()
    green = points.hued(95, 165, 8) & ~smooth
    lower = classes[len(classes) // 2 :]
    shares = {name: classes[..., list(numbers)].sum(-1) for name, numbers in CLASSES.items()}
    water = lower[..., list(CLASSES["water"])].sum(-1).mean() * (1 - green[32:].mean())
    rows = [ramp(sky, 0.3, 0.8), ramp(green.mean(), 0.2, 0.6), ramp(water, 0.05, 0.3)]
    return np.array(rows + [ramp(shares[n].mean(), 0.05, 0.3) for n in ("buildings", "mountains")])


Trial = Callable[[Set, float], Rows]
"""What a trial adds to the scores (queries, pictures) of a set, at a weight."""


def objects(labels: list[str], count: int, with_people: bool) -> Trial:
    """A block of the 80 classes; a text asks for those that it names."""
    patterns = _patterns(labels)

    def added(each: Set, share: float) -> Rows:
        texts = each.asked(patterns)
        if with_people:
            texts[:, 0] = [people.of_text(query)[0] > 0 for query in each.queries]
        seen = np.clip((each.scores[count] - 0.2) / 0.4, 0, 1)
        rows = with_absence(torch.from_numpy(seen), seen.shape[1] + 1).numpy()
        texts[:, 0] *= with_people
        return share * _at_most_unit(texts) @ rows[:, :-1].T

    return added


def _patterns(labels: list[str]) -> list[str]:
    return ["|".join([f"{x}s?", *SYNONYMS.get(x, "").split()]) for x in labels]


def sentence(labels: list[str], towers: Towers, count: int, with_people: bool) -> Trial:
    """The classes join the mean of texts in the block "sentence", as those of the classifier."""
    own = weights.load_assets()["class_texts"]
    own = own - own.mean(0)
    block = SLICES["sentence"]
    texts = towers.text(**towers.text.prepare(labels)).numpy()[:, block]
    further = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    further = further * np.linalg.norm(own, axis=1).mean()

    def added(each: Set, share: float) -> Rows:
        seen = np.clip((each.scores[count] - 0.2) / 0.4, 0, 1)
        seen[:, 0] *= with_people
        scale = np.linalg.norm(np.sqrt(each.likely) @ own, axis=1, keepdims=True)
        rows = scale * each.pictures[:, block] + 3 * share * np.sqrt(seen) @ further
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return each.texts[:, block] @ (rows - each.pictures[:, block]).T

    return added


def groups(count: int) -> Trial:
    """The number of detected persons, for "several" and "crowd"."""

    def added(each: Set, share: float) -> Rows:
        persons = each.counts[count][:, :1]
        rows = np.hstack([np.clip((persons - 1) / 2, 0, 1), np.clip((persons - 4) / 5, 0, 1)]) / 2
        start = SLICES["people"].start
        columns = [start + people.KINDS.index(kind) for kind in ("several", "crowd")]
        return share * each.texts[:, columns] @ rows.T

    return added


def layout(kinds: list[str]) -> Trial:
    """A block of kinds of LAYOUT."""
    columns = [list(LAYOUT).index(kind) for kind in kinds]

    def added(each: Set, share: float) -> Rows:
        texts = each.asked([LAYOUT[kind] for kind in kinds])
        return share * texts @ each.layout[:, columns].T / 2

    return added


def numbers(labels: list[str], sets: list[Set], count: int) -> None:
    """Print what was counted in the pictures that show a number of things."""
    patterns = _patterns(labels)
    for each in sets:
        rows = zip(each.queries, each.asked(patterns), each.relevant, strict=True)
        for query, asked, relevant in rows:
            number = re.search(r"\b(two|three|four)\b", query)
            if number and (asked.any() or people.of_text(query).any()):
                kinds = asked > 0 if asked.any() else np.arange(len(labels)) == 0
                counted = each.counts[count][relevant][:, kinds].tolist()
                print(f"  {query}: {counted}")


def report(name: str, trial: Trial, sets: list[Set]) -> None:
    gains = np.array([[(each.measures(trial(each, share)) - each.measures())[:, 2].mean()
                       for share in SHARES] for each in sets])  # fmt: skip
    print(name)
    for number, each in enumerate(sets):
        share = SHARES[np.delete(gains, number, 0).mean(0).argmax()]
        before, after = each.measures(), each.measures(trial(each, share))
        moved = [paired_bootstrap(before[:, m], after[:, m]) for m in (0, 2)]
        figures = " ".join(f"{value:.3f}" for value in after.mean(0))
        changes = (f"{m.mean:+.3f} ({m.low:+.3f} to {m.high:+.3f})" for m in moved)
        changed = int((after[:, 2] != before[:, 2]).sum())
        print(
            f"  {each.name:12} {share:4}  {figures}  R@1, MRR {', '.join(changes)}; {changed} moved"
        )


def times(detector: HeatMaps, path: Path, threads: int, rounds: int = 15) -> None:
    """Processor time of the detector as a share of that of the model in float32, by turns."""
    torch.set_num_threads(threads)
    tower = Towers(torch.float32).image
    image = Image.fromarray(decode_path(str(path), DecodeSettings(builtin.INPUT_SIZE)).pixels)
    runs: dict[str, Callable[[], Any]] = {"model": lambda: tower(**tower.prepare([image]))}
    runs |= {f"{n} cells": lambda n=n: detector(_in_cells(image, n)) for n in CELLS}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            taken[name].append(time.process_time() - start)
    model = statistics.median(taken.pop("model"))
    shares = (f"{name} {100 * statistics.median(t) / model:.0f} %" for name, t in taken.items())
    print(f"Time of the detector, of the model's, threads {threads}: {', '.join(shares)}")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="vladmandic-human-3.3.6.tgz")
    parser.add_argument("sets", type=Path, nargs="+")
    arguments = parser.parse_args()
    detector = HeatMaps(arguments.package)
    first = next(path for path in sorted(arguments.sets[0].glob("*/*")) if path.suffix == ".jpg")
    for threads in (2, 1):
        times(detector, first, threads)
    towers = Towers(*choose_weights_dtype("auto", torch.device("cpu")))
    sets = [read_set(folder, towers, detector) for folder in arguments.sets]
    for each in sets:
        figures = " ".join(f"{value:.3f}" for value in each.measures().mean(0))
        print(f"{each.name}: {len(each.pictures)} pictures, {len(each.queries)} queries, {figures}")
    labels = detector.labels
    for count in CELLS:
        for with_people, note in ((False, "without person"), (True, "all")):
            report(f"objects, {count} cells, {note}", objects(labels, count, with_people), sets)
            trial = sentence(labels, towers, count, with_people)
            report(f"sentence, {count} cells, {note}", trial, sets)
        report(f"several and crowd, {count} cells", groups(count), sets)
    print(f"Counted where a query has a number, {max(CELLS)} cells:")
    numbers(labels, sets, max(CELLS))
    for kinds in ([kind] for kind in LAYOUT):
        report(f"layout: {kinds[0]}", layout(kinds), sets)
    report("layout: all", layout(list(LAYOUT)), sets)


if __name__ == "__main__":
    main()
