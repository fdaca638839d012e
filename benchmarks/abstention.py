"""Fits the gate that says "no match", and measures it on sets that it was not fitted on.

    python benchmarks/abstention.py [--gibberish FILE] [--lost 0.05] SET...

A SET is a folder with `queries.jsonl` and `images/` or `photos/`, as for `imgsearch eval`. True
queries are those of a set. Queries without a right picture are the texts of
tests/data/absent.jsonl that the set does not show, and the queries of the other sets that share no
word with its own. For each set the gate is fitted on the others; the threshold loses the given
share of the true queries, all sets weighing the same. The last lines have the coefficients of a
fit on all sets, for `searching/abstention.py` and `encoders/builtin/answer_prior.py`.

The background of the built-in model holds the pictures of data/ and tests/data/scenes: a set does
not see its own, which is why the vectors of the other committed set replace it here.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgsearch.encoders import builtin
from imgsearch.encoders.builtin.answer_prior import TEXT_DIMENSIONS, features
from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import best_reference
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings

ROOT = Path(__file__).resolve().parent.parent
ABSENT = ROOT / "tests" / "data" / "absent.jsonl"
NAMES = {"data": "demo"}
BACKGROUND = ("demo", "scenes")
RIDGE = 10.0  # the inverse of scikit-learn's C
RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
STOP_WORDS = frozenset(
    """a an the of on in with and or at by to from is are its it his her their some photo view seen
    close up near under over behind front two three many very small big large old new white black
    red blue green yellow orange brown grey pink purple colourful bright dark""".split()  # noqa: SIM905
)


def words(text: str) -> set[str]:
    """Content words without their plural endings."""
    plain = (re.sub(r"(ies|es|s)$", "", word) for word in re.findall(r"[a-z]+", text.lower()))
    return {word for word in plain if word not in STOP_WORDS and len(word) > 2}


@dataclass
class Set:
    """A set with its vectors, and the features of each group of queries."""

    name: str
    pictures: np.ndarray
    queries: list[dict]
    groups: dict[str, np.ndarray] = field(default_factory=dict)

    def texts(self, others: list[Set], gibberish: list[str]) -> dict[str, list[str]]:
        """The queries of each group; "true" ones first."""
        own = [q["query"] for q in self.queries if q["kind"] != "label"]
        known = set().union(*(words(q["query"]) for q in self.queries))
        foreign = [q["query"] for other in others for q in other.queries]
        apart = [text for text in foreign if words(text) and not words(text) & known]
        absent = [json.loads(line) for line in ABSENT.read_text().splitlines()]
        shown = [q["query"] for q in absent if self.name not in q.get("except", ())]
        return {"true": own, "absent": shown, "other sets": apart, "gibberish": gibberish}


def read_set(folder: Path, encoder) -> Set:
    inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
    settings = DecodeSettings(input_size=encoder.input_size)
    paths = sorted((folder / inside).iterdir())
    rows = []
    for start in range(0, len(paths), 16):
        pictures = [decode_path(str(path), settings).pixels for path in paths[start : start + 16]]
        rows.append(encoder.encode_images(pictures))
    lines = (folder / "queries.jsonl").read_text().splitlines()
    name = NAMES.get(folder.name, folder.name)
    return Set(name, np.concatenate(rows), [json.loads(line) for line in lines])


def measure(each: Set, sets: list[Set], encoder, gibberish: list[str]) -> None:
    """Fill in the features: the best score, normalised, and those of `answer_prior`."""
    others = [other for other in sets if other is not each]
    background = np.concatenate([s.pictures for s in others if s.name in BACKGROUND])
    references = encoder.encode_texts(TEXTS)
    null = best_reference((references @ each.pictures.T).max(1), len(each.pictures))
    vague = (references @ background.T).max(1)
    middle, spread = np.median(vague), np.subtract(*np.quantile(vague, (0.75, 0.25)))
    for group, texts in each.texts(others, gibberish).items():
        if texts:
            vectors = encoder.encode_texts(texts)
            best = (vectors @ each.pictures.T).max(1)
            sights, _ = features(vectors)
            apart = (vectors[:, :TEXT_DIMENSIONS] @ background[:, :TEXT_DIMENSIONS].T).max(1)
            columns = (best - null.location) / null.scale, sights, (apart - middle) / spread
            each.groups[group] = np.stack([*columns, np.ones(len(texts))], 1)


def fit(sets: list[Set], columns: list[int]) -> np.ndarray:
    """Coefficients of a ridge logistic regression, by Newton's method."""
    parts = [(s.groups[g][:, columns], g == "true") for s in sets for g in s.groups
             if g != "gibberish"]  # fmt: skip
    design = np.concatenate([rows for rows, _ in parts])
    truth = np.concatenate([np.full(len(rows), float(true)) for rows, true in parts])
    weight = np.concatenate([np.full(len(r), (2.0 if true else 1.0) / len(r)) for r, true in parts])
    weight *= len(weight) / weight.sum()
    ridge = np.diag([RIDGE] * (len(columns) - 1) + [0.0])
    beta = np.zeros(len(columns))
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None]) + ridge
        beta += np.linalg.solve(hessian, design.T @ (weight * (truth - p)) - ridge @ beta)
    return beta


def report(sets: list[Set], columns: list[int], lost: float) -> None:
    """Leave one set out: shares of each group that are refused at the threshold."""
    odds = {}
    for each in sets:
        beta = fit([other for other in sets if other is not each], columns)
        odds[each.name] = {group: rows[:, columns] @ beta for group, rows in each.groups.items()}
    true = np.concatenate([o["true"] for o in odds.values()])
    share = np.concatenate([np.full(len(o["true"]), 1 / len(o["true"])) for o in odds.values()])
    order = np.argsort(true)
    cut = true[order][np.searchsorted(np.cumsum(share[order]) / share.sum(), lost)]
    print(f"  threshold {cut:.2f}, which loses {100 * lost:.0f} % of the true queries")
    for name, groups in odds.items():
        refused = (f"{group} {100 * (o < cut).mean():.0f} %" for group, o in groups.items())
        print(f"  {name:12} refused: {', '.join(refused)}")
    absent = np.concatenate([o["absent"] for o in odds.values()])
    for rate in RATES:
        cut = np.quantile(absent, 1 - rate)
        shares = (
            f"{name} {100 * (o['absent'] >= cut).mean():.0f}/{100 * (o['true'] < cut).mean():.0f}"
            for name, o in odds.items()
        )
        print(
            f"  false matches {100 * rate:.0f} %: {cut:.2f}; per set, and lost: {', '.join(shares)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--gibberish", type=Path)
    parser.add_argument("--lost", type=float, default=0.05)
    arguments = parser.parse_args()
    encoder = builtin.load()
    gibberish = arguments.gibberish.read_text().split("\n") if arguments.gibberish else []
    sets = [read_set(folder, encoder) for folder in arguments.sets]
    for each in sets:
        measure(each, sets, encoder, [line for line in gibberish if line.strip()])
    for title, columns in (("any model", [0, 3]), ("built-in model", [0, 1, 2, 3])):
        print(f"{title}: best score{', sights, background' if len(columns) > 2 else ''}, offset")
        report(sets, columns, arguments.lost)
        print("  coefficients on all sets:", fit(sets, columns).round(2).tolist())


if __name__ == "__main__":
    main()
