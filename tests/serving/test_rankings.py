"""Rankings that are kept, their cursors, folded copies, and small pictures that are kept."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from imgsearch.errors import QueryError
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord, Ranked, Thumbnail
from imgsearch.searching.duplicates import folded_places
from imgsearch.serving.rankings import CursorLost, Ranking, Rankings, ranking_of
from imgsearch.serving.thumbnail_cache import ThumbnailCache, snapped
from imgsearch.vectors import normalize
from tests.fakes import SPACE, batch, unit_rows


def _ranking(count: int, digest: str = "q") -> Ranking:
    ranked = [Ranked(n + 1, 1 - n / 100, None if n % 2 else 0.5, n == 0) for n in range(count)]
    return ranking_of(digest, ranked, revision=7)


def _record(image_id: int) -> ImageRecord:
    file = ImageFile("/photos", f"{image_id}.jpg", 1, 1)
    return ImageRecord(image_id, file, "hash", ImageMetadata(4, 3, "JPEG"))


def test_pages_of_a_ranking_make_it_up_and_leave_out_what_is_gone():
    rankings, ranking = Rankings(), _ranking(10)
    rankings.keep(ranking)
    records = {n: _record(n) for n in range(1, 11) if n != 6}
    found, cursor = list(ranking.hits(0, records, 4)), ranking.cursor(4)
    while cursor is not None:
        same, place = rankings.at(cursor, "q")
        found += same.hits(place, records, 4)
        cursor = same.cursor(place + 4)
    assert [(hit.rank, hit.image.id) for hit in found] == [(n, n) for n in range(1, 11) if n != 6]
    assert [hit.strength for hit in found[:3]] == [0.5, None, 0.5]
    assert [hit.named for hit in found[:2]] == [True, False]
    assert found[1].score == pytest.approx(0.99)


def test_the_rankings_that_were_used_last_are_kept():
    rankings = Rankings(most_kept=3 * _ranking(10).size)
    old, used, new = _ranking(10), _ranking(10), _ranking(10)
    rankings.keep(old)
    rankings.keep(used)
    cursors = [each.cursor(1) or "" for each in (old, used, new)]
    assert rankings.at(cursors[0], "q")[0] is old
    assert rankings.at(cursors[1], "q")[0] is used
    rankings.at(cursors[0], "q")
    rankings.keep(new)
    rankings.keep(_ranking(1))
    with pytest.raises(CursorLost):
        rankings.at(cursors[1], "q")
    assert rankings.at(cursors[0], "q")[0] is old
    assert rankings.at(cursors[2], "q")[0] is new
    with pytest.raises(QueryError, match="another search"):
        rankings.at(cursors[2], "another")
    for made_up in ("", "a", "=", "\udcff", cursors[0] * 2, cursors[0][:-1]):
        with pytest.raises(CursorLost):
            rankings.at(made_up, "q")


def test_copies_are_folded_into_the_best_of_them():
    rows = unit_rows(6)
    rows[3] = normalize(rows[1:2] + 0.01 * rows[2:3])[0]
    rows[4] = rows[0]
    index = MemoryIndex("", "library", SPACE)
    index.apply(batch([11, 12, 13, 14, 15, 16], rows))
    ids = np.array([12, 11, 14, 13, 99, 15, 16], np.int64)  # 99 has no vector
    assert folded_places(ids, index, 0.98) == {0: [2], 1: [5], 3: [], 4: [], 6: []}


def test_copies_far_down_are_folded_as_those_near_the_top(monkeypatch):
    """As the rule says it, one by one; there are more than one product of matrices takes."""
    count, drawn = 700, np.random.default_rng(3)
    rows = unit_rows(count)
    for place in range(100, count, 3):
        rows[place] = normalize(rows[[drawn.integers(place)]] + 0.01 * rows[place : place + 1])[0]
    index = MemoryIndex("", "library", SPACE)
    index.apply(batch(list(range(1, count + 1)), rows))
    ids = np.arange(1, count + 1)
    expected: dict[int, list[int]] = {}
    for place in range(count):
        first = next((each for each in expected if rows[each] @ rows[place] >= 0.98), None)
        if first is None:
            expected[place] = []
        else:
            expected[first].append(place)
    assert any(others and others[-1] - place > 300 for place, others in expected.items())
    assert folded_places(ids, index, 0.98) == expected
    monkeypatch.setattr("imgsearch.searching.duplicates.MOST_FOLDED", 500)
    found = folded_places(ids, index, 0.98)
    assert [place for place in found if place >= 500] == list(range(500, count))


def test_small_pictures_are_kept_within_bounds_and_the_least_used_go(tmp_path):
    cache = ThumbnailCache(str(tmp_path), 1000)
    names = [f"{n:02}" * 16 for n in range(12)]
    for age, name in enumerate(names[:9]):
        cache.put(Thumbnail(ImageFile("", "", 0, 0), 1, 1, b"x" * 100, name), 256, "WEBP")
        path = next(tmp_path.rglob(f"{name}-*"))
        os.utime(path, (10_000 + age, 10_000 + age))
    assert cache.get(names[0], 256, "WEBP") == b"x" * 100  # and so it was used now
    assert cache.get(names[0], 512, "WEBP") is None
    assert cache.get(names[0], 256, "JPEG") is None
    for name in names[9:]:
        cache.put(Thumbnail(ImageFile("", "", 0, 0), 1, 1, b"x" * 100, name), 256, "WEBP")
    kept = [name for name in names if cache.get(name, 256, "WEBP")]
    assert names[0] in kept
    assert names[1] not in kept
    assert kept[-3:] == names[-3:]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.webp")) <= 1000
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_is_kept_where_nothing_may_be(tmp_path):
    made = Thumbnail(ImageFile("", "", 0, 0), 1, 1, b"x", "ab" * 16)
    ThumbnailCache(str(tmp_path), 0).put(made, 256, "WEBP")
    ThumbnailCache(str(tmp_path / "no" / "such"), 0).put(made, 256, "WEBP")
    assert list(tmp_path.iterdir()) == []
    assert [snapped(side) for side in (1, 256, 257, 900, 5000)] == [256, 256, 512, 1024, 1024]


def test_what_is_folded_counts() -> None:
    ranked = [Ranked(n, 0.5) for n in range(3)]
    plain = ranking_of("", ranked)
    folded = replace(plain, folded={0: range(1000)})
    assert folded.size > plain.size + 1000
    kept = Rankings(most_kept=3 * plain.size)
    cursors = []
    for _ in range(9):
        one = ranking_of("", ranked)
        kept.keep(one)
        cursors.append(one.cursor(1))
    assert kept.at(cursors[-1], "")[1] == 1
    with pytest.raises(CursorLost):
        kept.at(cursors[5], "")
