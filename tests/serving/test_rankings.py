"""Rankings that are kept, their cursors, and thumbnails that are kept."""

from __future__ import annotations

import math
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from imgsearch.errors import QueryError
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord, Thumbnail
from imgsearch.searching.hits import Ranking
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.serving.rankings import CursorLost, Rankings, cursor
from imgsearch.serving.thumbnail_cache import ThumbnailCache, snapped
from tests.conftest import full_only
from tests.fakes import ranking_of


def _ranking(count: int) -> Ranking:
    scores = [1 - n / 100 for n in range(count)]
    strengths = [math.nan if n % 2 else 0.5 for n in range(count)]
    return ranking_of(np.arange(1, count + 1), scores, strengths)


def _record(image_id: int) -> ImageRecord:
    file = ImageFile("/photos", f"{image_id}.jpg", 1, 1)
    return ImageRecord(image_id, file, "hash", ImageMetadata(4, 3, "JPEG"))


def test_pages_of_a_ranking_make_it_up_and_leave_out_what_is_gone():
    rankings, ranking = Rankings(), _ranking(10)
    key = rankings.keep(ranking, "q")
    records = {n: _record(n) for n in range(1, 11) if n != 6}
    hits, text = ranking.hits(records, 0, 4), cursor(key, ranking, 4)
    while text is not None:
        key, same, place = rankings.at(text, "q")
        hits += same.hits(records, place, 4)
        text = cursor(key, same, place + 4)
    assert [(hit.rank, hit.image.id) for hit in hits] == [(n, n) for n in range(1, 11) if n != 6]
    assert [hit.strength for hit in hits[:3]] == [0.5, None, 0.5]
    assert [hit.named for hit in hits[:2]] == [True, False]
    assert hits[1].score == 0.99


def _bytes(*rankings: Ranking) -> int:
    kept = Rankings()
    for ranking in rankings:
        kept.keep(ranking, "")
    return kept.bytes


def test_the_rankings_that_were_used_last_are_kept():
    rankings = Rankings(max_bytes=3 * _bytes(_ranking(10)))
    old, used, new = _ranking(10), _ranking(10), _ranking(10)
    cursors = [cursor(rankings.keep(each, "q"), each, 1) or "" for each in (old, used)]
    assert rankings.at(cursors[0], "q")[1] is old
    assert rankings.at(cursors[1], "q")[1] is used
    rankings.at(cursors[0], "q")
    cursors.append(cursor(rankings.keep(new, "q"), new, 1) or "")
    rankings.keep(_ranking(1), "q")
    with pytest.raises(CursorLost):
        rankings.at(cursors[1], "q")
    assert rankings.at(cursors[0], "q")[1] is old
    assert rankings.at(cursors[2], "q")[1] is new
    with pytest.raises(QueryError, match="another search"):
        rankings.at(cursors[2], "another")
    for made_up in ("", "a", "=", "\udcff", cursors[0] * 2, cursors[0][:-1]):
        with pytest.raises(CursorLost):
            rankings.at(made_up, "q")


@pytest.mark.parametrize("field", ["folded", "parts"])
def test_what_is_folded_counts(field: str) -> None:
    plain = _ranking(3)
    folded = replace(plain, **{field: {1: range(1000)}})
    kept = Rankings(max_bytes=_bytes(folded) - 1)
    cursors = [cursor(kept.keep(plain, ""), plain, 1) or "" for _ in range(9)]
    assert kept.at(cursors[-1], "")[2] == 1
    kept.keep(folded, "")
    with pytest.raises(CursorLost):
        kept.at(cursors[-1], "")


@full_only
def test_memory_reaches_a_plateau_and_is_what_is_said() -> None:
    """However many searches there are, and as `/metrics` has it."""
    numbers = np.random.default_rng(0)

    def ranking(number: int) -> Ranking:
        vector = numbers.random(640).astype(np.float32)
        source = SearchRequest([Term(f"a text of some length, number {number}", vector=vector)])
        ids = numbers.integers(1, 1 << 40, 200)
        folded = {int(each): numbers.integers(1, 1 << 40, 4).tolist() for each in ids[:50]}
        return replace(ranking_of(ids), folded=folded, source=source)

    limit = 2 << 20
    kept = Rankings(limit)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        sizes = []
        for number in range(300):
            kept.keep(ranking(number), f"{number:032}")
            if number % 50 == 49:
                sizes.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert limit * 0.98 < kept.bytes <= limit
    assert max(sizes[2:]) < 1.03 * min(sizes[2:]), sizes
    assert sizes[-1] == pytest.approx(kept.bytes, rel=0.2)


def test_a_ranking_gives_way_to_a_deeper_one_under_the_same_cursor() -> None:
    kept, shallow, deep = Rankings(), _ranking(10), _ranking(30)
    text = cursor(kept.keep(shallow, "q"), shallow, 5) or ""
    key, _, _ = kept.at(text, "q")
    kept.deepen(key, deep)
    kept.deepen(key, shallow)
    assert kept.at(text, "q") == (key, deep, 5)
    assert kept.bytes == _bytes(deep)
    kept.deepen("unknown", deep)
    assert kept.bytes == _bytes(deep)


def test_places_that_were_seen_stay_when_the_library_changes() -> None:
    seen = replace(ranking_of(np.array([5, 3, 9])), folded={3: [7]}, revision=1)
    # Meanwhile 1 has come, 3 has gone, and 7 stands for itself.
    deeper = replace(ranking_of(np.array([1, 5, 7, 9, 2, 4])), folded={2: [8]}, revision=2)
    ranking = seen.continued(deeper)
    assert ranking.ids.tolist() == [5, 3, 9, 1, 2, 4]
    assert ranking.folded == {3: [7], 2: [8]}
    assert ranking.revision == 1


def test_the_parts_of_a_shot_that_was_seen_come_no_second_time() -> None:
    seen = replace(ranking_of(np.array([5, 3])), parts={3: [7]})
    # Meanwhile the best file of the shot is another one, and a second shot has come.
    deeper = replace(ranking_of(np.array([1, 5, 7, 9])), parts={7: [3], 9: [8]})
    ranking = seen.continued(deeper)
    assert ranking.ids.tolist() == [5, 3, 1, 9]
    assert [ranking.part_ids(each) for each in (3, 9)] == [[7], [8]]


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
    sides = [snapped(side) for side in (1, 256, 257, 500, 900, 5000)]
    assert sides == [256, 256, 384, 512, 1024, 1024]
