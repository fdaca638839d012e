"""Names fit a cluster and not its neighbours."""

from __future__ import annotations

import numpy as np

from imgsearch.curation import names
from imgsearch.curation.vocabulary import WORDS
from imgsearch.records import Cluster

WORDS_HERE = ("animal", "dog", "cat")
VECTORS = np.array([[0.7, 0.7, 0.14], [1, 0, 0], [0, 1, 0]], np.float32)


def cluster(*mean: float, name: str = "") -> Cluster:
    return Cluster(0, None, name, 1, np.array(mean, np.float32), 5)


def test_a_word_that_fits_the_neighbours_as_well_is_not_taken():
    dogs, cats = cluster(0.7, 0.5, 0), cluster(0.5, 0.7, 0)
    fits = names.normalize(np.stack([dogs.mean, cats.mean])) @ VECTORS.T
    assert (fits.argmax(axis=1) == 0).all(), "animal fits both best"
    assert names.completed([dogs, cats], WORDS_HERE, VECTORS) == ["dog", "cat"]


def test_no_name_comes_twice_and_a_name_stays():
    three = [cluster(1, 0, 0), cluster(1, 0.1, 0), cluster(0.9, 0, 0, name="my dog")]
    assert len(set(names.completed(three, WORDS_HERE, VECTORS))) == 3
    assert names.completed(three, WORDS_HERE, VECTORS)[2] == "my dog"
    assert "dog" not in names.completed(three, WORDS_HERE, VECTORS, taken={"dog"})
    many = names.completed([cluster(1, 0, 0)] * 5, WORDS_HERE, VECTORS)
    assert len(set(many)) == 5 and many[3] == f"{many[0]} 2"


def test_without_a_model_there_are_names_that_a_model_replaces():
    made = names.completed([cluster(1, 0, 0)] * 2, WORDS_HERE, np.empty((0, 3), np.float32))
    assert made == ["unnamed", "unnamed 2"]
    assert [names.kept(each) for each in (*made, "dog")] == ["", "", "dog"]


def test_the_vocabulary_has_no_word_twice():
    assert len(set(WORDS)) == len(WORDS) >= 700
    assert all(word == word.strip().lower() and word for word in WORDS)
