"""The script that builds `assets.npz`, on a WordNet of six synsets."""

from __future__ import annotations

import numpy as np
import pytest

from tools.builtin_model import make_assets

DATA = """\
  1 This line and all lines that start with two blanks are the licence.
00000001 03 n 01 entity 0 000 | all there is
00000002 03 n 02 animal 0 living_being 0 001 @ 00000001 n 0000 | it lives; "a big animal"
00000003 05 n 01 dog 0 002 @ 00000002 n 0000 + 00000009 v 0101 | it barks
00000004 05 n 02 cat 0 pussy 0 001 @ 00000002 n 0000 | it purrs
00000005 06 n 01 car 0 001 @ 00000001 n 0000 | it drives
00000006 18 n 01 Rex 0 001 @i 00000003 n 0000 | a famous dog
"""


@pytest.fixture
def wordnet(tmp_path):
    path = tmp_path / "data.noun"
    path.write_text(DATA, "latin-1")
    return make_assets.read_wordnet(path)


def test_the_format_of_wordnet(wordnet):
    assert len(wordnet) == 6
    assert wordnet[2] == make_assets.Synset(["animal", "living being"], [1], "it lives")
    assert wordnet[3].hypernyms == [2]
    assert wordnet[6].hypernyms == [3]


def test_concepts_are_classes_and_what_two_or_more_of_them_are(wordnet, monkeypatch):
    monkeypatch.setattr(make_assets, "MAX_CLASSES", 2)
    classes = make_assets.Classes(["tomcat", "dog", "car"], [4, 3, 5])
    concepts, members = make_assets.find_concepts(wordnet, classes)
    assert concepts == [4, 3, 5, 2]  # and not 1, which is all three
    assert members.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_names_are_not_repeated(wordnet):
    classes = make_assets.Classes(["Dog", "tomcat"], [3, 4])
    names, lines = make_assets.describe(wordnet, [3, 4, 2], classes)
    assert [len(row) for row in names] == [1, 3, 2]
    assert lines == [
        "Dog, dog: it barks",
        "tomcat, cat, pussy: it purrs",
        "animal, living being: it lives",
    ]


def test_a_text_about_a_concept_lies_between_its_names_and_its_gloss():
    defined = make_assets.embed_texts(["dog: it barks", "cat: it purrs"])
    rows = make_assets.concept_texts([["dog", "hound"], ["cat"]], defined)
    assert rows.shape == (2, 384)
    assert (rows @ defined.T).argmax(1).tolist() == [0, 1]
    assert (np.linalg.norm(rows, axis=1) <= 1 + 1e-6).all()


def test_the_visual_basis_is_orthonormal_and_its_signs_are_fixed():
    classifier = np.random.default_rng(0).standard_normal((150, 130)).astype(np.float32)
    basis = make_assets.visual_basis(classifier)
    assert np.allclose(basis.T @ basis, np.eye(112), atol=1e-4)
    assert (basis[np.abs(basis).argmax(0), np.arange(112)] > 0).all()
    assert np.allclose(np.abs(make_assets.visual_basis(-classifier)), np.abs(basis), atol=1e-3)


def test_the_rotation_keeps_inner_products_on_average():
    rotation = make_assets.random_rotation(1000)
    rows = np.random.default_rng(1).standard_normal((200, 1000)).astype(np.float32)
    ratio = np.linalg.norm(rows @ rotation, axis=1) / np.linalg.norm(rows, axis=1)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
