"""Serves a model with NVIDIA Triton, through pytriton in an environment of its own.

pytriton 0.7 needs NumPy 1 in the process that Triton starts, and imgsearch needs NumPy 2. So it is
installed into a virtual environment beside ours, whose packages are looked up after our own, and in
which that process runs. The model runs in this process, so its weights are loaded once.
"""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from imgsearch.encoders.model_protocol import (
    CARD,
    IMAGE,
    MAX_BATCH,
    TEXT,
    column,
    describe,
    served_name,
    tensors,
)
from imgsearch.errors import ImgSearchError, ModelServerError
from imgsearch.vectors import Embeddings, Pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgsearch.ports import Encoder

PYTRITON = "nvidia-pytriton==0.7.0"
QUEUE_MICROSECONDS = {CARD: 0, TEXT: 0, IMAGE: 2000}
"""How long an input of each part waits for others, to share a batch with them."""
MAX_PIXELS = 250_000_000
POLL_SECONDS = 0.5
SOCKET_FOLDER = "/tmp"  # noqa: S108 - a new folder in it; TMPDIR may be too long for a socket
Rows = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Listening:
    """The address of a server, its ports, and the environment with pytriton."""

    host: str
    http_port: int
    grpc_port: int
    pytriton: str

    @property
    def urls(self) -> tuple[str, str]:
        """Over gRPC, and over HTTP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"triton://{host}:{self.grpc_port}", f"triton+http://{host}:{self.http_port}"


def default_environment() -> str:
    """Where pytriton is expected: in our own environment's folder."""
    return os.path.join(sys.prefix, "pytriton")


def serve(encoder: Encoder, where: Listening, ready: Callable[[], None], log: TextIO) -> None:
    """Serve a model until KeyboardInterrupt; `ready` is called when it can be used.

    Triton's output goes to `log`.

    Raises
    ------
    ModelServerError
        pytriton is not installed, a port is in use, or the server has stopped.
    """
    for port in (where.http_port, where.grpc_port):
        _require_free(where.host, port)
    _import_pytriton(where.pytriton)
    from pytriton.triton import Triton, TritonConfig

    model = ServedParts(encoder)
    model.warm_up()
    config = TritonConfig(
        http_address=where.host,
        http_port=where.http_port,
        grpc_address=where.host,
        grpc_port=where.grpc_port,
        allow_metrics=False,
        exit_on_error=True,
    )
    stdout = sys.stdout
    # pytriton prints Triton's output from a thread of its own.
    with (
        tempfile.TemporaryDirectory(prefix="imgsearch-", dir=SOCKET_FOLDER) as folder,
        redirect_stdout(log),
    ):
        triton = Triton(config=config, workspace=os.path.join(folder, "w"))
        try:
            _start(triton, model)
            with redirect_stdout(stdout):
                ready()
            while triton.is_alive():
                time.sleep(POLL_SECONDS)
        finally:
            triton.stop()
    raise ModelServerError("the server has stopped", "Its output is shown with -v.")


class ServedParts:
    """The computations of a served model, for batches of requests of several clients.

    One input that fails gets a reason in place of a vector, and does not disturb the others.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._one_at_a_time = threading.Lock()
        self.name, self.dimension = encoder.space.model, encoder.space.dimension
        self.batch = max(1, min(MAX_BATCH, getattr(encoder, "batch_size", 32)))
        self.description = describe(encoder, self.batch)

    def warm_up(self) -> None:
        """Load the weights, so that the first request does not wait for them."""
        self._encoder.encode_texts(["a photo"])
        self._encoder.encode_images([np.zeros((64, 64, 3), np.uint8)])

    def answer(self, part: str, inputs: Mapping[str, NDArray[Any]]) -> Rows:
        """The outputs of a part for inputs of shape (n, width), by their names in
        `model_protocol.tensors`; each output has n rows."""
        if part == CARD:
            return {"CARD": column([self.description] * len(inputs["ASK"]))}
        if part == TEXT:
            return self.texts(inputs["TEXT"][:, 0].tolist(), inputs["INSTRUCTION"][:, 0].tolist())
        return self.images(inputs["PIXELS"][:, 0].tolist(), inputs["SHAPE"].tolist())

    def texts(self, texts: Sequence[bytes], instructions: Sequence[bytes]) -> Rows:
        """Rows of texts, those with one instruction together."""
        rows, reasons = self._empty(len(texts))
        for instruction in dict.fromkeys(instructions):
            group = [place for place, each in enumerate(instructions) if each == instruction]
            words = [texts[place].decode("utf-8", "replace") for place in group]
            asked = instruction.decode("utf-8", "replace") or None
            encode = partial(self._encoder.encode_texts, instruction=asked)
            self._fill(rows, reasons, group, words, encode)
        return self._answer(rows, reasons)

    def images(self, pixels: Sequence[bytes], shapes: Sequence[Sequence[int]]) -> Rows:
        """Rows of pictures."""
        rows, reasons = self._empty(len(pixels))
        images: list[Pixels] = []
        places = []
        for place, (data, (height, width)) in enumerate(zip(pixels, shapes, strict=True)):
            if min(height, width) < 1 or height * width > MAX_PIXELS:
                reasons[place] = b"the size of the picture is out of range"
            elif len(data) != int(height) * int(width) * 3:
                reasons[place] = b"the pixels do not fit the size of the picture"
            else:
                images.append(np.frombuffer(data, np.uint8).reshape(height, width, 3))
                places.append(place)
        self._fill(rows, reasons, places, images, self._encoder.encode_images)
        return self._answer(rows, reasons)

    def _fill(
        self,
        rows: Embeddings,
        reasons: list[bytes],
        places: Sequence[int],
        inputs: Sequence[Any],
        encode: Callable[[Sequence[Any]], Embeddings],
    ) -> None:
        """Encode the inputs of some rows together, or one by one if that fails."""
        if not places:
            return
        try:
            with self._one_at_a_time:
                rows[list(places)] = encode(inputs)
        except Exception as error:  # whatever a model raises is about these inputs
            if len(places) == 1:
                reasons[places[0]] = str(error).encode("utf-8", "replace")[:1000] or b"unknown"
                return
            for place, one in zip(places, inputs, strict=True):
                self._fill(rows, reasons, [place], [one], encode)

    def _empty(self, count: int) -> tuple[Embeddings, list[bytes]]:
        return np.zeros((count, self.dimension), np.float32), [b""] * count

    def _answer(self, rows: Embeddings, reasons: list[bytes]) -> Rows:
        keys = column([self._encoder.space.key.encode()] * len(rows))
        return {"VECTOR": rows, "SPACE": keys, "ERROR": column(reasons)}


def _start(triton: Any, model: ServedParts) -> None:
    """Start Triton and load the parts of a model, or raise `ModelServerError`."""
    try:
        _bind(triton, model)
        triton.run()
    except Exception as error:  # of pytriton, of its client, or of the system
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ModelServerError(
            f"Triton did not start: {reason}",
            "Its output is shown with -v. It needs the shared library of this Python"
            f" ({sysconfig.get_config_var('LDLIBRARY')}) and some 200 MB in /dev/shm.",
        ) from error


def _bind(triton: Any, model: ServedParts) -> None:
    from pytriton.decorators import batch
    from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor

    for part, delay in QUEUE_MICROSECONDS.items():
        inputs, outputs = (
            [Tensor(name=name, dtype=dtype, shape=(width,)) for name, dtype, width in each]
            for each in tensors(part, model.dimension)
        )
        batcher = DynamicBatcher(max_queue_delay_microseconds=delay)
        triton.bind(
            served_name(model.name, part),
            batch(partial(_answer, model, part)),
            inputs,
            outputs,
            config=ModelConfig(max_batch_size=model.batch, batcher=batcher),
            strict=True,
        )


def _answer(model: ServedParts, part: str, **inputs: Any) -> Rows:
    return model.answer(part, inputs)


def _require_free(host: str, port: int) -> None:
    """Raise if a port is in use; Triton would exit much later, without a reason."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(address)
    except OSError as error:
        raise ModelServerError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            "Choose others: imgsearch serve-model --http-port PORT --grpc-port PORT",
        ) from None


def _import_pytriton(folder: str) -> None:
    """Make pytriton importable from an environment, in which Triton starts Python, too."""
    places = Path(sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder}))
    if not (places / "pytriton").is_dir():
        raise ModelServerError(
            "serving a model needs pytriton in an environment of its own",
            f"Run: {sys.executable} -m venv {folder} && {folder}/bin/pip install {PYTRITON};"
            " or name the environment with --pytriton DIR.",
        )
    sys.path.append(str(places))  # behind ours: NumPy, gRPC and others are there as well
    libraries = [sysconfig.get_config_var("LIBDIR"), str(places / "nvidia_pytriton.libs")]
    known = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, [*libraries, known]))
    try:
        import pytriton.server.triton_server as starter
    except ImportError as error:
        raise ImgSearchError(
            f"pytriton in {folder} cannot be loaded: {error}", f"Install it again: {PYTRITON}"
        ) from error
    starter.get_triton_python_backend_python_env = lambda: Path(folder)
