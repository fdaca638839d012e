"""People: faces, bodies and the words for them, on pictures whose people were counted by eye."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from imgsearch.encoders.builtin import bodies, faces, people, weights
from imgsearch.encoders.builtin.blocks.halves import SentenceOutput, VisionOutput
from imgsearch.encoders.builtin.blocks.people import PeoplePictures, PeopleTexts, _in_square
from imgsearch.encoders.builtin.small_networks import Network
from tests.conftest import ROOT

TESTS = ROOT / "tests"
SCENES = TESTS / "data" / "scenes" / "images"
DEMO = TESTS.parent / "data" / "photos"


@pytest.fixture(scope="module")
def networks():
    return weights.people_networks()


@pytest.fixture(scope="module")
def cascade(networks):
    return faces.Cascade(*(networks[name] for name in ("first", "second", "third", "looks")))


def pixels(path):
    with Image.open(path) as image:
        square = _in_square(image.convert("RGB"))
    return torch.from_numpy(square.copy()).permute(2, 0, 1).float()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("president_portrait", 1),
        ("officer_portrait", 1),
        ("young_man_face", 1),
        ("astronaut", 1),
        ("girl_in_pink", 1),
        ("tabby_cat_face", 0),
        ("kitchen", 0),
        ("red_canyon", 0),
        ("old_coins", 0),
    ],
)
def test_faces_are_counted(cascade, name, count):
    assert len(faces.find(cascade, pixels(SCENES / f"{name}.jpg")).heights) == count


def test_a_face_that_fills_the_picture_is_larger_than_that_of_a_portrait(cascade):
    near = faces.find(cascade, pixels(SCENES / "young_man_face.jpg"))
    far = faces.find(cascade, pixels(SCENES / "astronaut.jpg"))
    assert near.heights[0] > 2 * far.heights[0] > 0.2


def test_three_faces_side_by_side_are_three_faces(cascade):
    face = pixels(SCENES / "president_portrait.jpg")[:, 8:108, 70:170]
    row = torch.full((3, 256, 256), 255.0)
    for number in range(3):
        small = torch.nn.functional.interpolate(face[None], (80, 80), mode="bilinear")[0]
        row[:, 80:160, 5 + 84 * number : 85 + 84 * number] = small
    assert len(faces.find(cascade, row).heights) == 3


@pytest.mark.parametrize(
    ("name", "male"),
    [("president_portrait", True), ("vice_president_portrait", True), ("girl_arms_up", False)],
)
def test_looks(cascade, name, male):
    found = faces.find(cascade, pixels(SCENES / f"{name}.jpg"))
    assert (found.male[0] > 0.5) == male


def test_an_old_face_looks_older_than_a_young_one(cascade):
    old = faces.find(cascade, pixels(SCENES / "officer_portrait.jpg")).ages[0]
    young = faces.find(cascade, pixels(SCENES / "young_man_face.jpg")).ages[0]
    assert old > 60 > 40 > young


@pytest.mark.parametrize("name", ["breakdancer", "man_in_coat", "referee", "woman_on_phone"])
def test_a_body_is_seen_without_a_face(networks, name):
    score = bodies.scores(networks["bodies"], pixels(SCENES / f"{name}.jpg")[None])
    assert score.item() > 0.8


@pytest.mark.parametrize("name", ["beach", "kitchen", "receipt", "moon"])
def test_no_body_where_nobody_is(networks, name):
    score = bodies.scores(networks["bodies"], pixels(SCENES / f"{name}.jpg")[None])
    assert score.item() < 0.35


def test_bodies_are_scored_alike_alone_and_among_others(networks):
    batch = torch.stack([pixels(SCENES / f"{n}.jpg") for n in ("referee", "beach")] * 3)
    together = bodies.scores(networks["bodies"], batch)
    alone = torch.cat([bodies.scores(networks["bodies"], row[None]) for row in batch])
    assert torch.allclose(together, alone, atol=1e-4)


def asked(text):
    return {kind for kind, x in zip(people.KINDS, people.of_text(text), strict=True) if x > 0}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a woman", {"person", "woman"}),
        ("Portrait of an old man", {"person", "portrait", "man", "old"}),
        ("children playing", {"person", "several", "child"}),
        ("a crowd", {"crowd"}),
        ("silhouette of a hiker", {"person", "figure"}),
        ("two dogs", set()),
        ("close-up of a cat", set()),
        ("a beach without people", set()),
        ("a human-sized chair for Manfred", {"person"}),
        ("mango on a plate", set()),
        ("a baby elephant", set()),
        ("a baby in a cowboy hat", {"person", "child"}),
        ("a group of dogs", set()),
        ("a group of people", {"person", "several"}),
        ("a record player", set()),
        ("a mandrill with a colourful face", set()),
        ("close-up of a face", {"person", "portrait", "close face"}),
    ],
)
def test_words_for_people(text, kinds):
    assert asked(text) == kinds


def test_a_text_row_has_unit_norm_or_is_zero():
    rows = [people.of_text(text) for text in ("a woman", "a crowd of men", "a lake")]
    assert [float(np.linalg.norm(row)) for row in rows] == pytest.approx([1, 1, 0])


def test_of_a_woman_it_is_asked_that_she_looks_like_none_of_the_men():
    row = people.of_text("a woman")
    assert row[people.KINDS.index("man")] < 0
    assert (people.of_text("a man and a woman") >= 0).all()


def found(count, height=0.3, age=30.0, male=0.0):
    each = (np.full(count, x, np.float32) for x in (height, age, male))
    return people.Faces(*each)


def sure(row):
    return dict(zip(people.KINDS, row.tolist(), strict=True))


def test_what_faces_say():
    woman = sure(people.of_picture(found(1), body=0.9))
    assert woman["person"] == woman["woman"] == woman["portrait"] == 1
    assert woman["man"] == woman["several"] == woman["crowd"] == woman["child"] == 0
    assert sure(people.of_picture(found(2), 0.9))["several"] > 0
    crowd = sure(people.of_picture(found(12, height=0.05), 0.9))
    assert crowd["crowd"] == crowd["several"] == 1 > crowd["portrait"]
    assert sure(people.of_picture(found(1, age=5), 0.9))["child"] == 1
    assert sure(people.of_picture(found(1, age=80), 0.9))["old"] == 1


def test_a_body_alone_is_a_person_and_a_figure_and_no_more():
    row = sure(people.of_picture(people.NO_FACES, 0.95))
    assert {kind for kind, x in row.items() if x > 0} == {"person", "figure"}
    assert not people.of_picture(people.NO_FACES, 0.4).any()


def test_the_block_finds_people():
    pictures, texts = PeoplePictures({}, torch.float32), PeopleTexts({}, torch.float32)
    names = ["president_portrait", "officer_portrait", "beach", "breakdancer"]
    images = [Image.open(SCENES / f"{name}.jpg").convert("RGB") for name in names]
    seen = pictures(VisionOutput(*[torch.empty(0)] * 5, {"people": pictures.prepare(images)}))
    assert torch.allclose(seen.norm(dim=1), torch.ones(len(names)))
    queries = ["portrait of a man", "an old woman", "somebody dancing"]
    said = texts(SentenceOutput(torch.empty(0), {"people": texts.prepare(queries)}))
    assert (said @ seen.T).argmax(1).tolist() == [0, 1, 3]
    assert (said @ seen.T)[:, 2].abs().max() < 1e-6


def test_steps_compute_what_they_say():
    steps = [
        ["conv", "in", "a", "k", 2, [0, 1, 0, 1], 1, "relu"],
        ["relu", "in", "b"],
        ["pool", "b", "c", 2],
        ["sum", "a", "c", "d", ""],
    ]
    arrays = {"k": np.ones((1, 1, 3, 3), np.float32), "k.bias": np.array([-1], np.float32)}
    network = Network(steps, arrays, ["d"])
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = torch.tensor([[44.0, 38.0], [65.0, 49.0]]) + torch.tensor([[5.0, 7.0], [13.0, 15.0]])
    assert torch.equal(network(picture)[0][0, 0], expected)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("shape", [(3, 4), (9, 8), (11, 22)])
def test_maxima_are_those_of_a_pool_that_counts_the_last_values(size, shape):
    network = Network([["pool", "in", "out", size]], {}, ["out"])
    x = torch.randn(2, 5, *shape, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool2d(x, size, 2, ceil_mode=True)
    assert torch.equal(network(x)[0], expected)


@pytest.mark.parametrize("outputs", [["c"], ["b", "c"]])
def test_a_map_that_is_doubled_late_is_the_same(outputs):
    steps = [
        ["relu", "in", "a"],
        ["double", "a", "b"],
        ["conv", "b", "c", "k", 1, [0, 0, 0, 0], 1, "relu6"],
    ]
    random = np.random.default_rng(0)
    arrays = {"k": random.normal(size=(3, 4, 1, 1)), "k.bias": random.normal(size=3)}
    network = Network(steps, {key: np.float32(array) for key, array in arrays.items()}, outputs)
    x = torch.from_numpy(random.normal(size=(1, 4, 5, 6)).astype(np.float32))
    doubled = torch.nn.functional.interpolate(x.relu(), scale_factor=2, mode="bilinear")
    weights, bias = (torch.from_numpy(array).float() for array in arrays.values())
    expected = torch.nn.functional.conv2d(doubled, weights, bias).clamp(0, 6)
    *earlier, last = network(x)
    torch.testing.assert_close(last, expected)
    assert all(torch.equal(each, doubled) for each in earlier)


def test_a_square_of_channels_is_ordered_as_tensorflow_does():
    network = Network([["shuffle", "in", "out"]], {}, ["out"])
    channels = torch.arange(8.0).reshape(1, 8, 1, 1)  # corner 0: channels 0 and 1
    assert network(channels)[0][0].tolist() == [[[0, 2], [4, 6]], [[1, 3], [5, 7]]]
