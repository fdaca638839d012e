"""A Ray cluster: its address, its machines, the connection to it, and its errors in sentences."""

from __future__ import annotations

import atexit
import logging
import os
import re
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from imgsearch.errors import EncoderError, MissingExtra

# Three attempts to connect, each a second; Ray reads these when it is imported.
os.environ.setdefault("RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S", "1")
os.environ.setdefault("RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S", "1")
# A call after the connection is lost would start a cluster on this machine.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
_grace = os.environ.setdefault("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "5")
try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingExtra("encoding on Ray", "ray") from error

# Ray is imported only here
__all__ = ["Node", "Place", "RayError", "answer", "brief", "connect", "lost_connection", "ray"]

logger = logging.getLogger("imgsearch.ray")

DEFAULT_PORT = 10001
AUTO = "auto"
PROBE_SECONDS = 3.0
"""Time for a first connection to the port of a cluster."""
CONNECT_SECONDS = 60.0
"""Time to connect, in which the head starts a server for this process."""
ANSWER_SECONDS = 30.0 + (int(_grace) if _grace.isdecimal() else 0)
"""Time for a call of Ray, in which its client may connect again."""
DISCONNECT_SECONDS = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """The setting `encoders`, parsed.

    Attributes
    ----------
    address : str
        Where Ray is reached; `AUTO` for the cluster that this machine is part of.
    cpus, gpus : float
        Resources of one actor; 0 for the defaults.
    """

    address: str
    cpus: float = 0
    gpus: float = 0

    @classmethod
    def parse(cls, where: str) -> Place:
        """Read `ray` or `ray://host:port`, with `?cpus=N&gpus=N`; EncoderError if it is neither."""
        try:
            parts = urlsplit(where)
            options = {name: float(value) for name, value in parse_qsl(parts.query, True, True)}
            cpus, gpus = options.pop("cpus", 0.0), options.pop("gpus", 0.0)
            if options or parts.username or not (0 <= cpus < 1e4 and 0 <= gpus < 1e4):
                raise ValueError(where)
            if parts.scheme == "" and parts.path == "ray":
                return cls(AUTO, cpus, gpus)
            host, port = parts.hostname, parts.port or DEFAULT_PORT
            if parts.scheme != "ray" or not host or parts.path.strip("/"):
                raise ValueError(where)
            host = f"[{host}]" if ":" in host else host
            return cls(f"ray://{host}:{port}", cpus, gpus)
        except ValueError:
            raise EncoderError(
                "the setting encoders is not a valid address of a Ray cluster",
                "Write ray://host:10001, or ray for the cluster that this machine is part of;"
                " ?cpus=4&gpus=1 at the end sets the resources of an actor.",
            ) from None

    def __str__(self) -> str:
        return "the Ray cluster of this machine" if self.address == AUTO else self.address


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, and the resources of an actor on it."""

    id: str
    name: str
    actors: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, row: Mapping[str, Any], place: Place, device: str) -> Node:
        """A node from a row of `ray.nodes()`.

        An actor takes one GPU if the model may use it, and its share of the processor; without a
        GPU, all of the processor.
        """
        resources = row["Resources"]
        all_cpus, all_gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
        uses_gpu = device == "auto" or device.startswith("cuda")
        gpus = place.gpus or float(device.startswith("cuda") or (all_gpus > 0 and uses_gpu))
        by_gpu = int(all_gpus / gpus) if gpus else 0
        cpus = place.cpus or max(1.0, all_cpus // max(1, by_gpu))
        by_cpu = int(all_cpus / cpus)
        actors = min(by_cpu, by_gpu) if gpus else by_cpu
        name = f"{row['NodeManagerHostname']} ({row['NodeID'][:6]})"
        return cls(row["NodeID"], name, actors, cpus, gpus)

    def options(self) -> dict[str, Any]:
        """Options of an actor, which Ray never restarts: its place could be taken meanwhile."""
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(self.id, soft=False),
        }


def connect(place: Place) -> Callable[[], None]:
    """Connect this process to a cluster, unless it is connected; returns what disconnects it.

    Raises
    ------
    EncoderError
        Nothing answers there, or Ray or Python has another version.
    """
    try:
        if answer(ray.is_initialized):  # by the program that uses imgsearch
            return lambda: None
        address = _current_cluster() if place.address == AUTO else place.address
        _probe(address)
        ray._private.worker.print_to_stdstream = _log_message
        options = {"log_to_driver": False, "logging_level": logging.ERROR}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is in the error, too
            answer(partial(ray.init, address=address, **options), CONNECT_SECONDS)
    except Exception as error:  # of many kinds: OSError of the probe, RayError, ConnectionError
        _disconnect()
        raise _unreachable(place, error) from error
    return _disconnect


def answer(call: Callable[[], T], seconds: float = ANSWER_SECONDS) -> T:
    """The result of a call of Ray, whose client has waits without a limit.

    The call runs in a thread that does not keep the process alive, and whose handlers of signals
    Ray does not replace. A reference to a pending result must get its number within the call, as
    `ObjectRef.hex` does: its destructor waits for it, too.

    Raises
    ------
    ConnectionError
        The call has failed, or has no result after `seconds`.
    RayError
        As the call.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except RayError as error:
            result.set_exception(error)
        except BaseException as error:  # of many kinds: Exception itself, RuntimeError, gRPC's
            lost = ConnectionError(str(error) or type(error).__name__)
            lost.__cause__ = error
            result.set_exception(lost)

    threading.Thread(target=run, name="ray", daemon=True).start()
    wait([result], seconds)
    if not result.done():
        raise ConnectionError(f"it does not answer within {seconds:g} s")
    return result.result()


def _log_message(data: Mapping[str, Any], **_: Any) -> None:
    """Log what Ray has to say of the cluster, such as the death of a node.

    It takes the place of the function that prints it to the standard output, where it would be in
    the midst of JSON. `log_to_driver` leaves these messages as they are.
    """
    for line in data["lines"]:
        logger.info("%s: %s", data["pid"], line)


def _disconnect() -> None:
    """Disconnect; if that fails, the connection is left to the end of the process."""
    try:
        answer(ray.shutdown, DISCONNECT_SECONDS)
    except (ConnectionError, RayError):
        atexit.unregister(ray.shutdown)  # the end would wait for it


@contextmanager
def lost_connection(place: Place) -> Iterator[None]:
    """Within it, errors of Ray are an `EncoderError` with the address."""
    try:
        yield
    except (ConnectionError, RayError) as error:
        raise EncoderError(
            f"the connection to {place} is lost: {brief(error)}",
            "What is committed is kept. Check the head of the cluster, then run it again.",
        ) from error


def _current_cluster() -> str:
    """The address of the cluster that this machine is part of.

    Ray itself would go on to look for servers among all processes, and to wait for one of another
    network.
    """
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    path = os.path.join(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # noqa: S108
    try:
        with open(path, encoding="ascii") as file:
            return file.read(256).strip()
    except (OSError, ValueError):
        raise ConnectionError("no cluster was found, and RAY_ADDRESS is not set") from None


def _probe(address: str) -> None:
    """Connect to the port, which fails faster than Ray does."""
    parts = urlsplit(address if "://" in address else f"gcs://{address}")
    socket.create_connection((parts.hostname, parts.port or DEFAULT_PORT), PROBE_SECONDS).close()


def _unreachable(place: Place, error: Exception) -> EncoderError:
    text = " ".join(str(error).split())[:400] or type(error).__name__
    hint = (
        "Check that 'ray start --head' runs there, and the address: the port of Ray Client is"
        " 10001 unless --ray-client-server-port says otherwise."
    )
    if place.address == AUTO:
        hint = (
            "Make this machine part of a cluster: ray start --address=HEAD:6379 --num-cpus=0,"
            " or set RAY_ADDRESS; or name the head: --encoders ray://HEAD:10001"
        )
    if "version" in text.lower():
        hint = (
            f"Install the same versions on all machines; here is Ray {ray.__version__}. The"
            " tested version is in constraints.txt: pip install -c constraints.txt '.[cpu,ray]'"
        )
    return EncoderError(f"{place} cannot be used: {text}", hint)


def brief(error: BaseException) -> str:
    """The first line of an error of Ray, whose texts go on with tracebacks and advice."""
    if isinstance(error, RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}"
    if details := re.search(r'details = "(.+)"', str(error)):  # of gRPC, among lines of others
        return details[1][:300]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\s+", " ", lines[0])[:300] if lines else type(error).__name__
