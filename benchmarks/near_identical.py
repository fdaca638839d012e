"""Measures the inner product above which two pictures are near-identical, for `--unique`.

    python benchmarks/near_identical.py [--copies SET]... [--resaved SET]... [--others SET]...

SET is a folder of pictures. A set for --copies has `image_queries.jsonl`, whose queries are altered
copies of the relevant pictures. For each kind of alteration, prints quantiles of the inner products
of copy and original; then, for all sets, the largest inner products of pictures that are not copies
of each other. --resaved creates the copies: each picture saved again as JPEG, at full size with
quality 60, and at half size with quality 75. Everything runs through a library in a temporary
folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.searching.duplicates import near_identical
from imgsearch.settings import load_settings
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.formats import is_picture_name


def vectors(folder: Path, model: str | None) -> dict[str, np.ndarray]:
    """Path below the folder -> vector."""
    with tempfile.TemporaryDirectory() as place:
        library = Library(load_settings({"library": place, "model": model}))
        library.index(IndexRequest((str(folder),)))
        index = library.searcher.index
        library.searcher.refresh()
        ids = index.ids()
        records = library.catalog.get(ids.tolist())
        rows = index.vectors(ids)
        library.close()
    return {records[i].file.path: row for i, row in zip(ids.tolist(), rows, strict=True)}


def copies(folder: Path) -> list[tuple[str, str, str]]:
    """(kind, copy, original) of each altered copy."""
    lines = (folder / "image_queries.jsonl").read_text().splitlines()
    queries = [json.loads(line) for line in lines]
    return [(q["kind"], q["query_image"], q["relevant"][0]) for q in queries]


def resave(folder: Path, target: Path) -> list[tuple[str, str, str]]:
    """Save originals as PNG and two copies of each in `target`; returns them like `copies`."""
    altered = []
    settings = DecodeSettings()
    names = (path for path in sorted(folder.rglob("*")) if is_picture_name(path.name))
    for number, path in enumerate(names):
        image = Image.fromarray(decode_path(str(path), settings).pixels)
        image.save(target / f"{number}.png")
        image.save(target / f"{number}_full.jpg", quality=60)
        image.reduce(2).save(target / f"{number}_half.jpg", quality=75)
        for kind in ("full", "half"):
            altered.append((f"resaved_{kind}", f"{number}_{kind}.jpg", f"{number}.png"))
    return altered


def main() -> None:
    parser = argparse.ArgumentParser(description="Inner products of copies and of other pictures.")
    parser.add_argument("--copies", type=Path, action="append", default=[])
    parser.add_argument("--resaved", type=Path, action="append", default=[])
    parser.add_argument("--others", type=Path, action="append", default=[])
    parser.add_argument("--model")
    arguments = parser.parse_args()
    threshold = near_identical(arguments.model or "builtin")
    print(f"threshold {threshold}")
    for folder in arguments.copies:
        report_copies(folder.name, vectors(folder, arguments.model), copies(folder), threshold)
    for folder in arguments.resaved:
        with tempfile.TemporaryDirectory() as place:
            altered = resave(folder, Path(place))
            report_copies(folder.name, vectors(Path(place), arguments.model), altered, threshold)
    for folder in arguments.others:
        report_others(folder.name, vectors(folder, arguments.model), {})


def report_copies(
    name: str, found: dict, altered: list[tuple[str, str, str]], threshold: float
) -> None:
    print(f"{name + ': copy and original':40}   n     min     10 %  median  folded")
    for kind in sorted({kind for kind, _, _ in altered}):
        scores = np.array([found[a] @ found[b] for each, a, b in altered if each == kind])
        low, tenth, half = np.percentile(scores, [0, 10, 50])
        folded = (scores >= threshold).mean()
        print(f"{kind:40}{len(scores):4}  {low:.4f}  {tenth:.4f}  {half:.4f}  {folded:6.0%}")
    report_others(name, found, {a: b for _, a, b in altered})


def report_others(name: str, found: dict[str, np.ndarray], origin: dict[str, str]) -> None:
    names = list(found)
    rows = np.stack([found[each] for each in names])
    of = [origin.get(each, each) for each in names]
    same = np.array([[a == b for a in of] for b in of])
    scores = np.where(same | np.tri(len(names), dtype=bool), -1, rows @ rows.T)
    print(f"{name}: largest of {(~same).sum() // 2} pairs of different pictures")
    for place in np.argsort(scores, axis=None)[::-1][:5]:
        a, b = divmod(int(place), len(names))
        print(f"  {scores[a, b]:.4f}  {names[a]}  {names[b]}")


if __name__ == "__main__":
    main()
