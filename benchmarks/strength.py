"""Measures how well a strength separates true from false hits, and fits its curve.

    python benchmarks/strength.py [--model NAME] [--min 0.2] SET...

A SET is a folder with `images/` or `photos/`, and `queries.jsonl` or `image_queries.jsonl` or both,
as for `imgsearch eval`. Its true hits are the relevant pictures among the first ten of a query. Its
false hits are the best picture for each text of tests/data/absent.jsonl, which the set does not
show, and for queries by picture the best picture that is not relevant. All sets have equal weight
in the fit (Platt 1999). The last part measures composed queries: how to make scores of two
modalities comparable, and how much a negative term should weigh.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgsearch.encoders import builtin
from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import IMAGE, PLATT, TEXT, image_reference, text_reference
from imgsearch.model_card import EncoderOptions
from imgsearch.plugins import encoder_module
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings

ABSENT = Path(__file__).resolve().parent.parent / "tests" / "data" / "absent.jsonl"
NAMES = {"data": "demo"}
TOP = 10


@dataclass
class Sample:
    """z of true and of false hits of one set and one modality."""

    name: str
    modality: str
    true: np.ndarray
    false: np.ndarray

    def curve(self, strength: float) -> tuple[float, float]:
        """Shares of absent queries without a match and of lost true hits, at a minimum strength."""
        slope, offset = PLATT[self.modality]
        least = (np.log(strength / (1 - strength)) - offset) / slope
        return float((self.false < least).mean()), float((self.true < least).mean())


class Judged:
    """A set with its vectors and references."""

    def __init__(self, folder: Path, encoder) -> None:
        self.name = NAMES.get(folder.name, folder.name)
        self._folder, self._encoder = folder, encoder
        inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
        self.names = sorted(f"{inside}/{path.name}" for path in (folder / inside).iterdir())
        self.pictures = self._encode_pictures(self.names)
        texts = encoder.encode_texts(TEXTS)
        shuffled = np.random.default_rng(0).permutation(self.pictures)
        count = len(self.pictures)
        self.references = {
            TEXT: text_reference(texts, self.pictures, count),
            IMAGE: image_reference(shuffled, count),
        }

    def _encode_pictures(self, names: list[str]) -> np.ndarray:
        settings = DecodeSettings(input_size=self._encoder.input_size)
        rows = []
        for start in range(0, len(names), 16):
            paths = [str(self._folder / name) for name in names[start : start + 16]]
            pictures = [decode_path(path, settings).pixels for path in paths]
            rows.append(self._encoder.encode_images(pictures))
        return np.concatenate(rows)

    def _read(self, name: str) -> list[dict]:
        path = self._folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def z(self, modality: str, vectors: np.ndarray) -> np.ndarray:
        reference = self.references[modality]
        return (vectors @ self.pictures.T - reference.location) / reference.scale

    def places(self, query: dict) -> list[int]:
        return [self.names.index(name) for name in query["relevant"]]

    def texts(self) -> Sample | None:
        queries = [q for q in self._read("queries.jsonl") if q["kind"] != "label"]
        if not queries:
            return None
        z = self.z(TEXT, self._encoder.encode_texts([q["query"] for q in queries]))
        true = [
            row[place]
            for row, query in zip(z, queries, strict=True)
            for place in self.places(query)
            if (row > row[place]).sum() < TOP
        ]
        lines = [json.loads(line) for line in ABSENT.read_text().splitlines()]
        absent = [each["query"] for each in lines if self.name not in each.get("except", ())]
        false = self.z(TEXT, self._encoder.encode_texts(absent)).max(1)
        return Sample(self.name, TEXT, np.array(true), false)

    def images(self) -> Sample | None:
        queries = self._read("image_queries.jsonl")
        if not queries:
            return None
        z = self.z(IMAGE, self._encode_pictures([q["query_image"] for q in queries]))
        true, false = [], []
        for row, query in zip(z, queries, strict=True):
            if query["query_image"] in self.names:
                row[self.names.index(query["query_image"])] = -np.inf
            places = self.places(query)
            true += [row[place] for place in places if (row > row[place]).sum() < TOP]
            row[places] = -np.inf
            false.append(row.max())
        return Sample(self.name, IMAGE, np.array(true), np.array(false))

    def categories(self) -> list[tuple[np.ndarray, list[int]]]:
        """Vectors of texts with several relevant pictures, and these pictures."""
        queries = [q for q in self._read("queries.jsonl") if len(q["relevant"]) >= 3]
        vectors = self._encoder.encode_texts([q["query"] for q in queries])
        return [(v, self.places(q)) for v, q in zip(vectors, queries, strict=True)]


def fit(samples: list[Sample]) -> tuple[float, float]:
    """Slope and offset of a logistic regression; true and false hits of a set weigh equally."""
    z = np.concatenate([np.r_[s.true, s.false] for s in samples])
    truth = np.concatenate([np.r_[np.ones(len(s.true)), np.zeros(len(s.false))] for s in samples])
    weight = np.concatenate(
        [np.r_[np.full(len(s.true), 1 / len(s.true)), np.full(len(s.false), 1 / len(s.false))]
         for s in samples]
    )  # fmt: skip
    design, beta = np.stack([z, np.ones_like(z)], 1), np.zeros(2)
    for _ in range(100):  # Newton's method
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None])
        beta = beta + np.linalg.solve(hessian, design.T @ (weight * (truth - p)))
    return float(beta[0]), float(beta[1])


def report(samples: list[Sample], least: float) -> None:
    for modality in (TEXT, IMAGE):
        mine = [sample for sample in samples if sample.modality == modality]
        if not mine:
            continue
        slope, offset = fit(mine)
        print(f"{modality}: fit slope {slope:.2f}, offset {offset:.2f}; in use {PLATT[modality]}")
        for sample in mine:
            better = (sample.true[:, None] > sample.false).mean()
            print(
                f"  {sample.name}: {len(sample.true)} true hits, {len(sample.false)} absent;"
                f" a true hit beats a false one {better:.3f}"
            )
        print("  least strength   " + "".join(f"{s.name:>26}" for s in mine))
        for strength in sorted({0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, least}):
            cells = (sample.curve(strength) for sample in mine)
            print(f"  {strength:<17.2f}" + "".join(
                f"{f'no match {no:.2f}, lost {lost:.2f}':>26}" for no, lost in cells))  # fmt: skip


def r_precision(scores: np.ndarray, places: list[int]) -> float:
    return float(np.isin(np.argsort(-scores)[: len(places)], places).mean())


def compose(judged: Judged) -> None:
    """Measure a category by text and example picture, and a category without another one."""
    groups = judged.categories()
    if len(groups) < 2:
        return
    footing = {"as they are": 1.0, "one footing": None}
    ratio = judged.references[TEXT].scale / judged.references[IMAGE].scale
    rows: dict[str, list[float]] = {}
    for vector, places in groups:
        for example in places:
            rest = [place for place in places if place != example]
            text, image = vector @ judged.pictures.T, judged.pictures[example] @ judged.pictures.T
            ways = {"text": text, "image": image}
            for name, factor in footing.items():
                ways[name] = text + (factor if factor is not None else ratio) * image
            for share in (0.25, 0.5, 2, 4):
                ways[f"footing, image x{share}"] = text + share * ratio * image
            for name, scores in ways.items():
                without = np.where(np.arange(len(scores)) == example, -np.inf, scores)
                rows.setdefault(name, []).append(r_precision(without, rest))
    print(f"{judged.name}: text with an example picture, R-precision of the others")
    for name, found in rows.items():
        print(f"  {name:24s} {np.mean(found):.3f}")
    print(f"{judged.name}: A but not B, where B is what disturbs A most")
    for weight in (0, 0.25, 0.5, 0.75, 1.0):
        kept, intruders = [], []
        for vector, places in groups:
            own = vector @ judged.pictures.T
            top = np.argsort(-own)[:TOP]
            others = [g for g in groups if not set(g[1]) & set(places)]
            other = max(others, key=lambda g: np.isin(top, g[1]).sum())
            if not np.isin(top, other[1]).any():
                continue
            scores = own - weight * (other[0] @ judged.pictures.T)
            kept.append(r_precision(scores, places))
            intruders.append(np.isin(np.argsort(-scores)[:TOP], other[1]).sum())
        if kept:
            found = f"R-precision of A {np.mean(kept):.3f}, B among the first ten"
            print(f"  weight {weight:<5} {found} {np.mean(intruders):.2f} ({len(kept)} pairs)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--model", default=builtin.NAME)
    parser.add_argument("--min", type=float, default=0.2)
    arguments = parser.parse_args()
    encoder = encoder_module(arguments.model).load(arguments.model, EncoderOptions())
    sets = [Judged(folder, encoder) for folder in arguments.sets]
    for judged in sets:
        for reference in judged.references.values():
            print(f"{judged.name}: {reference}")
    report([s for j in sets for s in (j.texts(), j.images()) if s is not None], arguments.min)
    for judged in sets:
        compose(judged)


if __name__ == "__main__":
    main()
