"""Batches for actors: sizes, batches of dead actors, and the picture that kills them."""

from __future__ import annotations

from imgsearch.indexing.ray_batches import MIN_BATCH_FILES, Batch, BatchQueue
from imgsearch.records import ImageFile


def files(count: int) -> list[ImageFile]:
    return [ImageFile("/photos", f"{number}.png", 1, 1) for number in range(count)]


def names(batches: list[Batch]) -> list[str]:
    return [file.path for batch in batches for file in batch.files]


def drained(queue: BatchQueue, size: int = 128, actors: int = 4) -> list[Batch]:
    batches = []
    while (batch := queue.next("a", {"a"}, size, actors)) is not None:
        batches.append(batch)
    assert queue.empty
    return batches


def test_each_file_is_in_one_batch_and_the_last_batches_are_small():
    batches = drained(BatchQueue(files(3000)))
    assert names(batches) == [file.path for file in files(3000)]
    assert len(batches[0].files) == 128 and len(batches[-1].files) <= MIN_BATCH_FILES
    assert len(batches[-4].files) < 32


def test_few_files_are_shared_by_all_actors():
    assert len(drained(BatchQueue(files(64)), actors=4)) == 8
    assert len(drained(BatchQueue(files(3)), actors=4)) == 1
    assert drained(BatchQueue([])) == []


def test_a_list_of_files_is_read_as_it_is_needed():
    taken = []
    queue = BatchQueue(taken.append(file) or file for file in files(100_000))
    assert queue.next("a", {"a"}, 16, 2) is not None
    assert len(taken) == 64


def test_a_failed_batch_goes_to_another_node_if_there_is_one():
    queue = BatchQueue(files(8))
    batch = queue.next("a", {"a", "b"}, 8, 1)
    assert queue.put_failed(batch, "a") is None
    assert queue.next("a", {"a", "b"}, 8, 1) is None and not queue.empty
    assert queue.next("b", {"a", "b"}, 8, 1) is batch
    assert queue.put_failed(Batch(files(1)), "a") is None
    assert queue.next("a", {"a"}, 8, 1) is not None, "there is no other node"


def test_batches_that_waited_are_not_suspected():
    queue = BatchQueue(files(16))
    first, second = (queue.next("a", {"a"}, 8, 1) for _ in range(2))
    queue.put_back([second])
    queue.put_failed(first, "a")
    assert queue.next("a", {"a"}, 8, 1) is second and second.failures == 0


def test_a_fatal_file_is_found_by_division_and_all_others_are_encoded():
    for nodes in ({"a"}, {"a", "b", "c"}):
        queue, done, fatal, in_a_row, worst = BatchQueue(files(200)), [], [], 0, 0
        turns = 0
        while not queue.empty:
            node = sorted(nodes)[turns % len(nodes)]
            turns += 1
            batch = queue.next(node, nodes, 128, 1)
            if batch is None:
                continue
            if {"5.png", "77.png"} & set(names([batch])):
                in_a_row += 1
                if (file := queue.put_failed(batch, node)) is not None:
                    fatal.append(file.path)
                    in_a_row = 0
            else:
                done += names([batch])
                in_a_row = 0
            worst = max(worst, in_a_row)
        assert sorted(fatal) == ["5.png", "77.png"]
        assert sorted([*done, *fatal]) == sorted(file.path for file in files(200))
        assert worst < 8
