"""Fits the gate that says "no match", and measures it on sets that it was not fitted on.

    python benchmarks/abstention.py [--lost 0.05] SET...

A SET is a folder with `queries.jsonl` and `images/` or `photos/`, as for `imgsearch eval`. True
queries are those of a set. Queries without a right picture are the texts of
tests/data/absent.jsonl that the set does not show, the queries of the other sets that share no
word with its own, and generated gibberish. For each set the gate is fitted on the others. Prints:

- the coefficients of a fit on all sets and the thresholds of their mean, for
  `searching/abstention.py` and `encoders/builtin/answer_prior.py`;
- before and after: queries without a match, and true queries that lose the right pictures among
  their first ten, by a strength of 0.2 alone, and by unknown words, the gate and the lower cut-off;
  with 95 % intervals of a paired bootstrap over the queries;
- for each promised share of false matches, the share that was answered, by the null distribution
  that a library estimates from its reference texts;
- the share of absent queries that is refused for each share of true queries that the gate refuses
  in the other sets, and at the best threshold of each set;
- the absent queries that are hardest to refuse;
- which kinds of queries are answered, corrected, or called unknown.

The background of the built-in model holds the pictures of data/ and tests/data/scenes: a set does
not see its own, which is why the vectors of the other committed set replace it here.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgsearch.encoders import builtin
from imgsearch.encoders.builtin.answer_prior import TEXT_DIMENSIONS, features
from imgsearch.evaluation.ranking_metrics import paired_bootstrap
from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import (
    TEXT,
    absent_reference,
    best_reference,
    text_reference,
)
from imgsearch.records import Reference
from imgsearch.searching.notes import reading_notes
from imgsearch.searching.request import MIN_STRENGTH, MIN_STRENGTH_OF_ANSWERS
from imgsearch.searching.strength import query_scale
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.gazetteer import Gazetteer

ROOT = Path(__file__).resolve().parent.parent
ABSENT = ROOT / "tests" / "data" / "absent.jsonl"
LANGUAGES = ROOT / "tests" / "data" / "languages.jsonl"
NAMES = {"data": "demo"}
BACKGROUND = ("demo", "scenes")
RIDGE = 10.0  # the inverse of scikit-learn's C
RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
LOST = (0.01, 0.02, 0.05, 0.1, 0.15)
TOP = 10
FITTED = ("true", "absent", "other sets")
ABSENT_KINDS = FITTED[1:]
REFERENCES = "references"
STOP_WORDS = frozenset(
    """a an the of on in with and or at by to from is are its it his her their some photo view seen
    close up near under over behind front two three many very small big large old new white black
    red blue green yellow orange brown grey pink purple colourful bright dark""".split()  # noqa: SIM905
)
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"
SEED = 0
PER_KIND = 60
"""Generated queries of each kind."""
TYPING_ERRORS = ("typing error in a query", "misspelled word alone")
GIVEN_NAMES = """
    Agnieszka Ahmed Aisha Alejandro Bjorn Camille Chidi Chiara Dmitri Elif Fatima Giulia Hiroshi
    Ingrid Ivan Jamal Katarzyna Kenji Lars Leila Mateus Mehmet Mei Nadia Nguyen Olga Pablo Priya
    Rajesh Siobhan Sven Thabo Wolfgang Yuki Zanele Emily James Oliver Charlotte Henry
"""
FAMILY_NAMES = """
    Abubakar Andersson Bianchi Chowdhury Dubois Eriksen Fernandez Garcia Horvath Ibrahim Ivanova
    Jankowski Kowalczyk Kurosawa Lindqvist Mbeki Moreau Nakamura Nowak Okonkwo Oliveira Papadopoulos
    Petrov Ramaswamy Rossi Schneider Silva Suzuki Takahashi Tanaka Vandenberg Weber Yilmaz Zhang
    Smith Johnson Williams Thompson Robinson Campbell
"""


def words(text: str) -> set[str]:
    """Content words without their plural endings."""
    plain = (re.sub(r"(ies|es|s)$", "", word) for word in re.findall(r"[a-z]+", text.lower()))
    return {word for word in plain if word not in STOP_WORDS and len(word) > 2}


# Generated queries


def gibberish(rng: random.Random) -> dict[str, list[str]]:
    """Strings without a meaning, by kind; two thirds have one word, the others two."""

    def letters(alphabet: str, least: int, most: int) -> str:
        return "".join(rng.choices(alphabet, k=rng.randint(least, most)))

    def keys() -> str:
        row = rng.choice(KEYBOARD)[:: rng.choice((1, -1))]
        length = rng.randint(4, len(row))
        start = rng.randint(0, len(row) - length)
        return row[start : start + length]

    def syllables() -> str:
        parts = (letters(CONSONANTS, 1, 2) + rng.choice(VOWELS) for _ in range(rng.randint(2, 3)))
        return "".join(parts) + rng.choice(("", rng.choice(CONSONANTS)))

    def with_digits() -> str:
        text = [*letters(CONSONANTS + VOWELS, 3, 6), *letters("0123456789", 1, 3)]
        rng.shuffle(text)
        return "".join(text)

    kinds = {
        "random letters": lambda: letters(CONSONANTS + VOWELS + "y", 4, 9),
        "consonants": lambda: letters(CONSONANTS, 4, 8),
        "keyboard rows": keys,
        "repeated letters": lambda: letters(CONSONANTS + VOWELS, 1, 2) * rng.randint(4, 5),
        "letters and digits": with_digits,
        "made-up syllables": syllables,
    }
    return {
        kind: [" ".join(make() for _ in range(rng.choice((1, 1, 2)))) for _ in range(PER_KIND)]
        for kind, make in kinds.items()
    }


def names(rng: random.Random) -> dict[str, list[str]]:
    """Names of invented persons, and of the places that are nearest to random positions."""
    gazetteer, places = Gazetteer(), dict[str, None]()
    while len(places) < PER_KIND:
        place = gazetteer.lookup(rng.uniform(-50, 65), rng.uniform(-180, 180))
        if place is not None and place.city:
            places[place.city] = None
    parts = GIVEN_NAMES.split(), FAMILY_NAMES.split()
    persons = [" ".join(map(rng.choice, parts)) for _ in range(PER_KIND)]
    return {"names of persons": persons, "names of places": list(places)}


def misspelled(text: str, rng: random.Random) -> tuple[str, str, str, str] | None:
    """A text, the same with a typing error in a content word, that word, and the misspelled word;
    None if no word has four letters.

    The error is a missing, doubled, swapped or neighbouring letter, not the first one. It may make
    another English word.
    """
    candidates = [each for each in re.findall(r"\b[a-z]{4,}\b", text) if each not in STOP_WORDS]
    if not candidates:
        return None
    word = rng.choice(candidates)
    wrong = word
    while wrong == word:
        place = rng.randrange(1, len(word) - 1)
        letter = word[place]
        row = next(each for each in KEYBOARD if letter in each)
        near = row[max(0, row.index(letter) - 1) : row.index(letter) + 2].replace(letter, "")
        other = rng.choice(("", 2 * letter, rng.choice(near), word[place + 1] + letter))
        end = place + 2 if len(other) == 2 and other[0] != letter else place + 1
        wrong = word[:place] + other + word[end:]
    return text, re.sub(rf"\b{word}\b", wrong, text, count=1), word, wrong


# Sets


@dataclass
class Group:
    """Queries of one kind in one set.

    Attributes
    ----------
    texts : list of str
    features : ndarray of shape (n, 4), float64
        The best score, normalised, those of `answer_prior`, and 1.
    nearest : ndarray of shape (n,), int64
        Place of the best picture.
    best, right : ndarray of shape (n,), float64
        Strength of the best picture, and of the best right one if it is among the first ten, else
        nan.
    understood : ndarray of shape (n,), bool
    """

    texts: list[str]
    features: np.ndarray
    nearest: np.ndarray
    best: np.ndarray
    right: np.ndarray
    understood: np.ndarray


@dataclass
class Set:
    """A set with its vectors, its queries by kind, and the right spelling of misspelled ones."""

    name: str
    files: list[str]
    pictures: np.ndarray
    queries: list[dict]
    groups: dict[str, Group] = field(default_factory=dict)
    intended: dict[str, str] = field(default_factory=dict)

    @property
    def true(self) -> dict[str, list[int]]:
        """The true queries, with the places of their right pictures."""
        return {
            q["query"]: [self.files.index(Path(name).name) for name in q["relevant"]]
            for q in self.queries
            if q["kind"] != "label"
        }

    def texts(self, others: list[Set]) -> dict[str, list[str]]:
        """The queries of each kind that depends on the set."""
        known = set().union(*(words(q["query"]) for q in self.queries))
        foreign = [q["query"] for other in others for q in other.queries]
        apart = [text for text in foreign if words(text) and not words(text) & known]
        absent = [json.loads(line) for line in ABSENT.read_text().splitlines()]
        shown = [q["query"] for q in absent if self.name not in q.get("except", ())]
        lines = [json.loads(line) for line in LANGUAGES.read_text("utf-8").splitlines()]
        translated = [q["query"] for q in lines if q["english"] in self.true]
        return {"true": list(self.true), "absent": shown, "other sets": apart,
                "other languages": translated,
                **dict(zip(TYPING_ERRORS, self.misspelled(), strict=True))}  # fmt: skip

    def misspelled(self) -> tuple[list[str], list[str]]:
        """True queries with a typing error, and the wrong words alone; fills in `intended`."""
        rng = random.Random(SEED)
        errors = [error for text in self.true if (error := misspelled(text, rng))]
        for text, wrong_text, word, wrong in errors:
            self.intended |= {wrong_text: text, wrong: word}
        return [error[1] for error in errors], [error[3] for error in errors]


class Texts:
    """Vectors and readings of texts, each computed once."""

    def __init__(self, encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, np.ndarray] = {}
        self._readings: dict = {}

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._encoder.encode_texts(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])

    def reading(self, text: str):
        if text not in self._readings:
            self._readings[text] = self._encoder.explain(text)
        return self._readings[text]


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
    files = [path.name for path in paths]
    return Set(name, files, np.concatenate(rows), [json.loads(line) for line in lines])


def measure(each: Set, sets: list[Set], texts: Texts, shared: Mapping[str, list[str]]) -> None:
    """Fill in the groups of a set; `shared` are kinds of queries that are the same for all."""
    others = [other for other in sets if other is not each]
    background = np.concatenate([s.pictures for s in others if s.name in BACKGROUND])
    references = texts.vectors(TEXTS)
    null = best_reference((references @ each.pictures.T).max(1), len(each.pictures))
    reference = text_reference(references, each.pictures, len(each.pictures))
    scale = query_scale({TEXT: reference}, [TEXT], [1.0], [1.0])
    vague = (references @ background.T).max(1)
    middle, spread = np.median(vague), np.subtract(*np.quantile(vague, (0.75, 0.25)))
    true = each.true
    for group, queries in (each.texts(others) | shared | {REFERENCES: TEXTS}).items():
        if not queries:
            continue
        vectors = texts.vectors(queries)
        scores = vectors @ each.pictures.T
        best = scores.max(1)
        sights, _ = features(vectors)
        apart = (vectors[:, :TEXT_DIMENSIONS] @ background[:, :TEXT_DIMENSIONS].T).max(1)
        columns = (best - null.location) / null.scale, sights, (apart - middle) / spread
        rights = [row[true.get(text, [])] for row, text in zip(scores, queries, strict=True)]
        tenth = np.sort(scores, 1)[:, -TOP]
        each.groups[group] = Group(
            queries,
            np.stack([*columns, np.ones(len(queries))], 1),
            scores.argmax(1),
            np.array([scale.strength(score) for score in best]),
            np.array([
                scale.strength(right.max()) if len(right) and right.max() >= least else np.nan
                for right, least in zip(rights, tenth, strict=True)
            ]),
            np.array([texts.reading(text).understood for text in queries]),
        )  # fmt: skip


def fit(sets: list[Set], columns: list[int]) -> np.ndarray:
    """Coefficients of a ridge logistic regression, by Newton's method."""
    parts = [
        (each.groups[group].features[:, columns], group == "true")
        for each in sets
        for group in FITTED
    ]
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


def thresholds(sets: list[Set], columns: list[int], lost: float) -> None:
    """Each set by a gate that was fitted on the others: the thresholds of their mean."""
    odds = {}
    for each in sets:
        beta = fit([other for other in sets if other is not each], columns)
        odds[each.name] = {g: each.groups[g].features[:, columns] @ beta for g in FITTED}
    cut = weighted_quantile([each["true"] for each in odds.values()], lost)
    print(f"  threshold {cut:.2f}, which refuses {100 * lost:.0f} % of the true queries")
    for name, groups in odds.items():
        refused = (f"{group} {100 * (o < cut).mean():.0f} %" for group, o in groups.items())
        print(f"  {name:12} refused: {', '.join(refused)}")
    print("  coefficients on all sets:", fit(sets, columns).round(2).tolist())


def weighted_quantile(sets: Sequence[np.ndarray], share: float) -> float:
    """The value below which the given share lies, all sets weighing the same."""
    values = np.concatenate(sets)
    weight = np.concatenate([np.full(len(each), 1 / len(each)) for each in sets])
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weight[order]) / weight.sum(), share)])


def false_matches(sets: list[Set], columns: list[int]) -> None:
    """Shares of queries without a right picture that are answered (of those that are "absent") /
    true queries refused, for each promised rate, by the null distribution of the set and the
    threshold of the others."""
    row("promised", *(each.name for each in sets), "scales")
    row("--:", *["--:"] * (len(sets) + 1))
    for rate in RATES:
        cells, scales = [], []
        for each in sets:
            gate = Gate(each, sets, columns)
            others = [gate.scales(other, ABSENT_KINDS) for other in sets if other is not each]
            cut = weighted_quantile(others, 1 - rate)
            answered = (gate.scales(each, ABSENT_KINDS) >= cut).mean()
            hard = (gate.scales(each, ABSENT_KINDS[:1]) >= cut).mean()
            refused = (gate.scales(each, ("true",)) < cut).mean()
            cells.append(f"{100 * answered:.0f} ({100 * hard:.0f}) / {100 * refused:.0f}")
            scales.append(gate.scales(each, ABSENT_KINDS))
        row(f"{100 * rate:.0f} %", *cells, f"{weighted_quantile(scales, 1 - rate):.2f}")
    nulls = [Gate(each, sets, columns).null(each) for each in sets]
    print("  nulls:", ", ".join(f"{each.location:.2f} {each.scale:.2f}" for each in nulls))


class Gate:
    """The gate of one set: coefficients and thresholds are those of the other sets."""

    def __init__(self, each: Set, sets: list[Set], columns: list[int]) -> None:
        others = [other for other in sets if other is not each]
        self._columns, self._beta = columns, fit(others, columns)
        self._true = [self.odds(other.groups["true"]) for other in others]

    def odds(self, group: Group) -> np.ndarray:
        return group.features[:, self._columns] @ self._beta

    def null(self, each: Set) -> Reference:
        """The null distribution of a set, as a library estimates it."""
        null = absent_reference(self.odds(each.groups[REFERENCES]), len(each.files))
        assert null is not None
        return null

    def scales(self, each: Set, kinds: Sequence[str]) -> np.ndarray:
        """Log-odds of the queries of a set above its null distribution."""
        odds, null = [self.odds(each.groups[kind]) for kind in kinds], self.null(each)
        return (np.concatenate(odds) - null.location) / null.scale

    def refused(self, group: Group, lost: float) -> np.ndarray:
        """Which queries are refused, at the threshold that refuses a share of the true ones."""
        return self.odds(group) < weighted_quantile(self._true, lost)


ALL = [0, 1, 2, 3]
"""The columns of `Group.features` that the built-in model has; others have the first and last."""


def row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|")


def difference(before: np.ndarray, after: np.ndarray) -> str:
    """Two shares in percent, and the interval of their difference in points."""
    moved = paired_bootstrap(before.astype(float), after.astype(float))
    low, high = (round(100 * value) for value in (moved.low, moved.high))
    return f"{100 * before.mean():.0f} → {100 * after.mean():.0f} ({low:+d}, {high:+d})"


def before_and_after(sets: list[Set], lost: float) -> None:
    kinds = ("absent", "other sets", "gibberish")
    row("", *kinds, "true queries lost")
    row("---", *["---"] * (len(kinds) + 1))
    for each in sets:
        gate, cells = Gate(each, sets, ALL), []
        for kind in kinds:
            group = each.groups[kind]
            shut = ~group.understood | gate.refused(group, lost)
            after = shut | (group.best < MIN_STRENGTH_OF_ANSWERS)
            cells.append(difference(group.best < MIN_STRENGTH, after))
        group = each.groups["true"]
        found = ~np.isnan(group.right)
        shut = ~group.understood | gate.refused(group, lost)
        after = shut | (group.right < MIN_STRENGTH_OF_ANSWERS)
        row(each.name, *cells, difference((group.right < MIN_STRENGTH)[found], after[found]))


def curve(sets: list[Set], own: float) -> None:
    """Shares of absent / true queries refused; the last row has the best threshold of each set."""
    row("refused true queries of the others", *(each.name for each in sets), "mean", "any model")
    row("---", *["---"] * (len(sets) + 2))
    for lost in LOST:
        cells, means = [], []
        for columns in (ALL, [0, 3]):
            gates = [Gate(each, sets, columns) for each in sets]
            shares = np.array([
                [gate.refused(each.groups[kind], lost).mean() for kind in ("absent", "true")]
                for gate, each in zip(gates, sets, strict=True)
            ])  # fmt: skip
            cells.append([f"{100 * absent:.0f} / {100 * true:.0f}" for absent, true in shares])
            means.append("{:.0f} / {:.0f}".format(*100 * shares.mean(0)))
        row(f"{100 * lost:.0f} %", *cells[0], *means)
    shares = []
    for each in sets:
        gate = Gate(each, sets, ALL)
        cut = weighted_quantile([gate.odds(each.groups["true"])], own)
        shares.append((gate.odds(each.groups["absent"]) < cut).mean())
    cells = [f"{100 * share:.0f}" for share in (*shares, np.mean(shares))]
    row(f"{100 * own:.0f} % of its own", *cells, "")


def worst(sets: list[Set]) -> None:
    """The absent queries that the gate takes for true ones, and how many true hits are weaker."""
    for each in sets:
        group, right = each.groups["absent"], each.groups["true"].right
        for place in np.argsort(-Gate(each, sets, ALL).odds(group))[:12]:
            weaker = (right[~np.isnan(right)] < group.best[place]).mean()
            print(
                f"  {each.name:12} {group.texts[place]}: {each.files[group.nearest[place]]},"
                f" strength {group.best[place]:.2f}, true hits below it {100 * weaker:.0f} %"
            )


def confusion(sets: list[Set], texts: Texts, kinds: Iterable[str], lost: float) -> None:
    """For each kind of query, the shares that get each answer, all sets weighing the same."""
    outcomes = ("answered", "corrected", "unknown", "no match")
    row("query", "texts", *outcomes, "rightly corrected")
    row("---", *["--:"] * (len(outcomes) + 2))
    for kind in kinds:
        shares, count = [], set[str]()
        for each in sets:
            if kind not in each.groups:
                continue
            group = each.groups[kind]
            shut = Gate(each, sets, ALL).refused(group, lost)
            shut = shut | (group.best < MIN_STRENGTH_OF_ANSWERS)
            answers = [
                outcome(text, texts.reading(text), bool(refused))
                for text, refused in zip(group.texts, shut, strict=True)
            ]
            right = sum(
                texts.reading(text).suggestion == each.intended.get(text)
                for text, answer in zip(group.texts, answers, strict=True)
                if answer == "corrected"
            )
            counts = [*(answers.count(name) for name in outcomes), right]
            shares.append(np.array(counts) / len(answers))
            count.update(group.texts)
        row(kind, len(count), *(f"{100 * share:.1f} %" for share in np.mean(shares, 0)))


def outcome(text: str, reading, refused: bool) -> str:
    """The answer to a query; "corrected" if a correction is shown, whatever else is."""
    refused = refused or not reading.understood
    if any("Did you mean" in note for note in reading_notes({text: reading}, refused, False)):
        return "corrected"
    if not reading.understood:
        return "unknown"
    return "no match" if refused else "answered"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--lost", type=float, default=0.05)
    arguments = parser.parse_args()
    encoder = builtin.load()
    texts = Texts(encoder)
    sets = [read_set(folder, encoder) for folder in arguments.sets]
    nonsense, named = gibberish(random.Random(SEED)), names(random.Random(SEED))
    shared = {
        "gibberish": [text for kind in nonsense.values() for text in kind],
        **nonsense,
        **named,
    }
    for each in sets:
        measure(each, sets, texts, shared)
    for title, columns in (("any model", [0, 3]), ("built-in model", ALL)):
        print(f"{title}: best score{', sights, background' if len(columns) > 2 else ''}, offset")
        thresholds(sets, columns, arguments.lost)
        false_matches(sets, columns)
    before_and_after(sets, arguments.lost)
    curve(sets, arguments.lost)
    worst(sets)
    kinds = ("true", "other languages", *TYPING_ERRORS, *named, *nonsense)
    confusion(sets, texts, kinds, arguments.lost)


if __name__ == "__main__":
    main()
