"""Encodes files on the machines of a Ray cluster: `--encoders ray://head:10001`, or `ray`.

Each actor is a whole `LocalPool`: decoder processes and a model. Lists of `ImageFile` travel out,
`Encoded` and `Skipped` come back; this process stays the only one that writes (ADR 43).

A node must see the files that are seen here. Its results count only for files that it has with the
same size, and one file of each root is compared by its hash; a node that lacks a file is no longer
used, so an empty mount point cannot make pictures absent.

An actor works on its oldest batch, so that batch alone is suspected if the actor dies; the others
were waiting. A suspected batch goes to another node if there is one. After its second failure it is
divided, until a single file is left and becomes a `Skipped`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from imgsearch.errors import EncoderError
from imgsearch.indexing.ray_batches import BATCHES_AHEAD, MIN_BATCH_FILES, Batch, BatchQueue
from imgsearch.indexing.ray_cluster import (
    ANSWER_SECONDS,
    DISCONNECT_SECONDS,
    Node,
    Place,
    RayError,
    answer,
    brief,
    connect,
    lost_connection,
    ray,
)
from imgsearch.indexing.ray_worker import (
    Encodings,
    Job,
    Refusal,
    Worker,
    obstacle,
    portable,
    signature,
)
from imgsearch.ports import EncoderPool
from imgsearch.records import Encoded, ImageFile, Known, Skipped
from imgsearch.settings import Settings
from imgsearch.sources.guarded_files import digest_file, is_here
from imgsearch.vectors import EmbeddingSpace

logger = logging.getLogger("imgsearch.ray")

POLL_SECONDS = 5.0
RECRUIT_SECONDS = 10.0
"""Interval at which machines that have joined the cluster are looked for."""
REPORT_SECONDS = 10.0
START_SECONDS = 300.0
"""Time for the first actor to load its model."""
SURVEY_SECONDS = 60.0
BATCH_WINDOWS = 4
"""Calls of the model per batch. Decoding overlaps with encoding only within a batch."""
MAX_BATCH_FILES = 512
MAX_FAILURES_IN_A_ROW = 8
"""Deaths without a finished batch between them after which an actor is not started again."""


@dataclass(eq=False, slots=True)
class Slot:
    """The place of an actor on a node, and the actor that is there now.

    Attributes
    ----------
    starting : ObjectRef or None
        Pending result of `Worker.start`.
    window : int
        Pictures per call of the model; 0 before it is loaded.
    flight : deque of (ObjectRef, Batch)
        Batches of the actor, oldest first.
    failures : int
        Deaths since the last finished batch.
    """

    node: Node
    actor: Any = None
    starting: Any = None
    window: int = 0
    flight: deque[tuple[Any, Batch]] = field(default_factory=deque)
    failures: int = 0

    def start(self, job: Job, witnesses: Mapping[str, Known]) -> None:
        """Put a new actor into this place."""

        def start() -> tuple[Any, Any]:
            actor = ray.remote(Worker).options(**self.node.options()).remote(job)
            return actor, _numbered(actor.start.remote(witnesses))

        self.actor, self.starting = answer(start)
        self.window = 0

    def stop(self) -> list[Batch]:
        """End the actor; returns its batches, oldest first."""
        answer(lambda: ray.kill(self.actor))
        batches = [batch for _, batch in self.flight]
        self.flight.clear()
        self.starting, self.window = None, 0
        return batches

    @property
    def pending(self) -> Any:
        """The next result of the actor, or None."""
        return self.starting or (self.flight[0][0] if self.flight else None)


class RayPool:
    """An `EncoderPool` on the machines of a Ray cluster.

    Machines that join the cluster during a run are used as well.

    Parameters
    ----------
    settings : Settings
        `encoders` is the address. Places and passwords in them stay here.
    space : EmbeddingSpace
        Nodes whose model has another one are not used.
    local : EncoderPool
        Describes files, on this machine.
    note : callable
        Gets notes for the user: machines that are not used, and why.

    Raises
    ------
    EncoderError
        The address is not valid.
    """

    def __init__(
        self,
        settings: Settings,
        space: EmbeddingSpace,
        local: EncoderPool,
        note: Callable[[str], None],
    ) -> None:
        self._place = Place.parse(settings.encoders)
        self._settings, self._space, self._local, self._note = settings, space, local, note
        self._disconnect: Callable[[], None] | None = None
        self._slots: list[Slot] = []
        self._known: set[str] = set()
        self._reasons: list[str] = []
        self._witnesses: dict[str, Known] = {}
        self._encoded: Counter[str] = Counter()
        self._recruited = self._reported = 0.0

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        """Encode files; yields one result per file, in any order.

        Raises
        ------
        EncoderError
            The cluster cannot be reached, or none of its machines can encode.
        """
        waiting = iter(files)
        first = list(islice(waiting, MIN_BATCH_FILES))
        if not first:
            return
        if self._disconnect is None:
            self._disconnect = connect(self._place)
        for slot in self._slots:  # of a call that was not read to its end
            slot.flight.clear()
        self._witness(first)
        with lost_connection(self._place):
            yield from self._encode(BatchQueue(chain(first, waiting)))

    def _encode(self, queue: BatchQueue) -> Iterator[Encoded | Skipped]:
        ready = time.monotonic()
        while not queue.empty or any(slot.flight for slot in self._slots):
            self._recruit()
            if any(slot.window for slot in self._slots):
                ready = time.monotonic()
            self._require_actors(time.monotonic() - ready)
            self._assign(queue)
            for slot in self._wait():
                yield from self._receive(slot, queue)
            self._report()

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        """The hash and metadata of each file, read on this machine."""
        return self._local.describe_files(files)

    def close(self) -> None:
        """End the actors, and the connection if it was opened here."""
        self._report(at_end=True)
        actors = [slot.actor for slot in self._slots]
        with suppress(ConnectionError, RayError):  # the connection is lost, which was reported
            answer(lambda: [ray.kill(actor) for actor in actors], DISCONNECT_SECONDS)
        self._slots = []
        if self._disconnect is not None:
            self._disconnect()
        self._disconnect = None
        self._local.close()

    def _job(self, node: Node) -> Job:
        return Job(portable(self._settings, node.cpus), self._space, signature(self._settings))

    # Nodes

    def _recruit(self) -> None:
        """Start actors on machines that are new."""
        now = time.monotonic()
        if self._recruited and now - self._recruited < RECRUIT_SECONDS:
            return
        self._recruited = now
        for row in answer(ray.nodes):
            if row["Alive"] and row["NodeID"] not in self._known:
                self._known.add(row["NodeID"])
                node = Node.of(row, self._place, self._settings.device)
                for _ in range(node.actors):
                    self._slots.append(slot := Slot(node))
                    slot.start(self._job(node), self._witnesses)

    def _is_alive(self, node: Node) -> bool:
        return any(row["Alive"] and row["NodeID"] == node.id for row in answer(ray.nodes))

    def _refuse(self, node: Node, reason: str, queue: BatchQueue) -> None:
        """Stop using a node, and return its batches to the queue."""
        self._note(f"{node.name} of {self._place} is not used: {reason}")
        self._reasons.append(f"{node.name}: {reason}")
        for slot in [slot for slot in self._slots if slot.node.id == node.id]:
            queue.put_back(slot.stop())
            self._slots.remove(slot)

    def _require_actors(self, seconds: float) -> None:
        """Raise `EncoderError` without actors, or if none has been ready for some time."""
        if not self._slots:
            reasons = "; ".join(self._reasons) or "no machine has a free processor for an actor"
            raise EncoderError(
                f"no machine of {self._place} can encode: {reasons}",
                "What is committed is kept. Folders must be mounted under the same paths, and"
                " imgsearch installed in the same version; 'ray status' lists the machines.",
            )
        if seconds > START_SECONDS:
            raise EncoderError(
                f"no actor on {self._place} was ready within {START_SECONDS:.0f} s",
                "'ray status' on the cluster lists what is free: an actor without a GPU needs all"
                " processors of its machine, unless ?cpus=N is in the address.",
            )

    # Batches

    def _witness(self, files: Sequence[ImageFile]) -> None:
        """Hash one file of each root that is new, the smallest one that can be read."""
        for file in sorted(files, key=lambda file: (not file.size, file.size)):
            if file.root not in self._witnesses:
                known = digest_file(file)
                if isinstance(known, Known):
                    self._witnesses[file.root] = known

    def _assign(self, queue: BatchQueue) -> None:
        nodes = {slot.node.id for slot in self._slots}
        for ahead in range(BATCHES_AHEAD):
            for slot in self._slots:
                if not slot.window or len(slot.flight) > ahead:
                    continue
                size = min(slot.window * BATCH_WINDOWS, MAX_BATCH_FILES)
                batch = queue.next(slot.node.id, nodes, size, len(self._slots))
                if batch is not None:
                    self._send(slot, batch)

    def _send(self, slot: Slot, batch: Batch) -> None:
        self._witness(batch.files)
        roots = {file.root for file in batch.files}
        witnesses = {root: each for root, each in self._witnesses.items() if root in roots}
        ref = answer(lambda: _numbered(slot.actor.encode.remote(batch.files, witnesses)))
        slot.flight.append((ref, batch))

    def _wait(self) -> list[Slot]:
        """The actors that have a result, or have died."""
        pending = {slot.pending: slot for slot in self._slots if slot.pending is not None}
        if not pending:
            return []
        done, _ = answer(lambda: ray.wait(list(pending), num_returns=1, timeout=POLL_SECONDS))
        return [pending[ref] for ref in done]

    def _receive(self, slot: Slot, queue: BatchQueue) -> Iterator[Encoded | Skipped]:
        try:
            reply = answer(lambda: ray.get(slot.pending))
        except RayError as error:
            yield from self._failed(slot, error, queue)
            return
        if isinstance(reply, Refusal):
            self._refused(slot, reply, queue)
        elif slot.starting is not None:
            slot.starting, slot.window = None, reply
            logger.info("%s: an actor is ready", slot.node.name)
        else:
            yield from self._accepted(slot, reply, queue)

    def _accepted(
        self, slot: Slot, encodings: Encodings, queue: BatchQueue
    ) -> Iterator[Encoded | Skipped]:
        """The results of a batch, unless its node lacks a file that is here."""
        batch = slot.flight[0][1]
        files = {file.location: file for file in batch.files}
        for location in encodings.differing:
            if is_here(files[location]):
                reason = f"{location.absolute} is missing or different there"
                self._refuse(slot.node, reason, queue)
                return
        slot.flight.popleft()
        slot.failures = 0
        self._encoded[slot.node.name] += len(batch.files)
        for result in encodings.results:
            location = result.file.location
            seen = location not in encodings.differing  # else it has changed since the scan
            yield replace(result, file=files[location]) if seen else result

    def _refused(self, slot: Slot, refusal: Refusal, queue: BatchQueue) -> None:
        """Refuse the node, unless the witness has changed here as well."""
        witness = self._witnesses.get(refusal.root)
        if witness is not None:
            now = digest_file(witness.file)
            if not isinstance(now, Known) or now.content_hash != witness.content_hash:
                del self._witnesses[refusal.root]
                queue.put_back(slot.stop())
                slot.start(self._job(slot.node), self._witnesses)
                return
        self._refuse(slot.node, refusal.reason, queue)

    def _failed(
        self, slot: Slot, error: RayError, queue: BatchQueue
    ) -> Iterator[Encoded | Skipped]:
        """Start a dead actor again, and hand its batches to others."""
        slot.failures += 1
        batches = slot.stop()
        suspects = batches[:1]  # what it was working on; none if it was still starting
        queue.put_back(batches[1:])
        logger.info("%s: an actor has failed: %s", slot.node.name, brief(error))
        for batch in suspects:
            file = queue.put_failed(batch, slot.node.id)
            if file is not None:
                slot.failures = 0
                reason = f"the process that encoded it failed twice: {brief(error)}"
                yield Skipped(file, reason, transient=True)
        if not self._is_alive(slot.node):
            self._refuse(slot.node, "it has left the cluster", queue)
        elif slot.failures >= MAX_FAILURES_IN_A_ROW:
            self._refuse(slot.node, f"its actors fail again and again: {brief(error)}", queue)
        else:
            slot.start(self._job(slot.node), self._witnesses)

    def _report(self, at_end: bool = False) -> None:
        """Log the progress of each node, for -v."""
        now = time.monotonic()
        if not self._encoded or not (at_end or now - self._reported > REPORT_SECONDS):
            return
        self._reported = now
        for name, count in sorted(self._encoded.items()):
            logger.info("%s: %d pictures", name, count)

    # Checks

    @classmethod
    def survey(
        cls, settings: Settings, space: EmbeddingSpace | None, known: Sequence[Known]
    ) -> Iterator[tuple[str, str]]:
        """Check the machines of a cluster, without loading the model.

        Parameters
        ----------
        known : sequence of Known
            A file of each root, with its hash.

        Yields
        ------
        machine, reason
            The reason why it cannot be used, or "".

        Raises
        ------
        EncoderError
            The cluster cannot be reached, or does not answer.
        """
        place = Place.parse(settings.encoders)
        disconnect = connect(place)
        try:
            with lost_connection(place):
                witnesses = {each.file.root: each for each in known}
                rows = [row for row in answer(ray.nodes) if row["Alive"]]
                nodes = [Node.of(row, place, settings.device) for row in rows]
                asked = []
                for node in (node for node in nodes if node.actors):
                    job = Job(portable(settings, node.cpus), space, signature(settings))
                    asked.append((node, _check(node, job, witnesses)))
                for node, ref in asked:
                    yield _named(node), _reason(ref)
        finally:
            disconnect()


def _named(node: Node) -> str:
    gpus = f", {node.gpus:g} GPU" if node.gpus else ""
    return f"{node.name}: {node.actors} x {node.cpus:g} CPU{gpus}"


def _numbered(ref: Any) -> Any:
    """A reference that has its number (see `answer`)."""
    ref.hex()
    return ref


def _check(node: Node, job: Job, witnesses: Mapping[str, Known]) -> Any:
    """The pending result of `obstacle` on a node."""
    strategy = node.options()["scheduling_strategy"]
    options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": strategy}
    return answer(lambda: _numbered(ray.remote(obstacle).options(**options).remote(job, witnesses)))


def _reason(ref: Any) -> str:
    try:
        refusal = answer(
            lambda: ray.get(ref, timeout=SURVEY_SECONDS), SURVEY_SECONDS + ANSWER_SECONDS
        )
    except RayError as error:
        return brief(error)
    return refusal.reason if refusal else ""
