"""How well a model finds pictures: recall@1, recall@5 and MRR over sets of queries.

    python benchmarks/recall.py [--model NAME] SET...

A SET is a folder with `images/` or `photos/`, and `queries.jsonl` (lines {"query", "relevant",
"kind"}) or `image_queries.jsonl` (`query_image` in place of `query`) or both. Pictures are
decoded as the product decodes them. A query counts by its best relevant picture: recall@k is the
share of queries where that is among the first k, MRR the mean of 1 / its rank. A query picture
that is in the set is left out of its own ranking.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgsearch.encoders import builtin, sentence
from imgsearch.model_records import EncoderOptions
from imgsearch.sources.decode import DecodeSettings, decode_path


@dataclass(frozen=True)
class Score:
    """Figures of `queries` queries of one kind."""

    queries: int
    recall_1: float
    recall_5: float
    mrr: float

    def __str__(self):
        return f"{self.queries:5d}  {self.recall_1:.3f}  {self.recall_5:.3f}  {self.mrr:.3f}"


class PictureSet:
    """A set of pictures, encoded, with its queries.

    Parameters
    ----------
    folder : Path
    encoder : imgsearch.ports.Encoder
    """

    def __init__(self, folder: Path, encoder):
        self._folder, self._encoder = folder, encoder
        inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
        self.names = sorted(f"{inside}/{path.name}" for path in (folder / inside).iterdir())
        self._vectors = self._encode_pictures(self.names)

    def text_scores(self) -> dict[str, Score]:
        """Score by kind of text query, and of "all" of them; {} where the set has none."""
        queries = self._read("queries.jsonl")
        return self._scores(queries, self._encoder.encode_texts([q["query"] for q in queries]))

    def image_scores(self) -> dict[str, Score]:
        """As `text_scores`, of queries by picture."""
        queries = self._read("image_queries.jsonl")
        return self._scores(queries, self._encode_pictures([q["query_image"] for q in queries]))

    def _read(self, name: str) -> list[dict]:
        path = self._folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _encode_pictures(self, names: list[str]) -> np.ndarray:
        settings = DecodeSettings(input_size=self._encoder.input_size)
        rows = []
        for start in range(0, len(names), 32):
            paths = [str(self._folder / name) for name in names[start : start + 32]]
            pictures = [decode_path(path, settings).pixels for path in paths]
            rows.append(self._encoder.encode_images(pictures))
        return np.concatenate(rows) if rows else self._encoder.encode_images([])

    def _scores(self, queries: list[dict], vectors: np.ndarray) -> dict[str, Score]:
        ranks: dict[str, list[int]] = {"all": []} if queries else {}
        for query, similar in zip(queries, vectors @ self._vectors.T, strict=True):
            rank = self._rank(query, similar)
            ranks["all"].append(rank)
            ranks.setdefault(query["kind"], []).append(rank)
        return {kind: _score(np.array(found)) for kind, found in ranks.items()}

    def _rank(self, query: dict, similar: np.ndarray) -> int:
        if query.get("query_image") in self.names:
            similar = similar.copy()
            similar[self.names.index(query["query_image"])] = -np.inf
        best = max(similar[self.names.index(name)] for name in query["relevant"])
        return 1 + int((similar > best).sum())


def _score(ranks: np.ndarray) -> Score:
    return Score(len(ranks), (ranks <= 1).mean(), (ranks <= 5).mean(), (1 / ranks).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall and MRR of a model on sets of queries.")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--model", default=builtin.NAME)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    load = builtin.load if arguments.model == builtin.NAME else sentence.load
    options = EncoderOptions(precision=arguments.precision, threads=arguments.threads)
    encoder = load(arguments.model, options)
    print(encoder.space)
    for folder in arguments.sets:
        start = time.perf_counter()
        pictures = PictureSet(folder, encoder)
        seconds = time.perf_counter() - start
        print(f"{folder.name}: {len(pictures.names)} pictures in {seconds:.1f} s")
        print(f"  {'':24s}    n    R@1    R@5    MRR")
        for name, scores in (("text", pictures.text_scores()), ("image", pictures.image_scores())):
            for kind, score in scores.items():
                print(f"  {name + ' ' + kind:24s}{score}")


if __name__ == "__main__":
    main()
