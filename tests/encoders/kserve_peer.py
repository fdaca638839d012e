"""A small KServe v2 server, by HTTP and gRPC, that answers as a test says: also wrongly, or never.

It runs in a process of its own. The mode says what is wrong, and can be changed by writing another
one into the file `mode`. The vectors are those of `tests.encoders.kserve_peer.vector`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from imgsearch.encoders.model_protocol import describe
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import EmbeddingSpace

MODEL = "builtin"
DIMENSION = 8
BATCH = 4
SPACE = EmbeddingSpace(MODEL, "of a peer", "64 pixels", DIMENSION)


SEEN: list[str] = []
"""The requests for pictures, in the mode "dies later"."""


class Model:
    """What a description needs of an encoder."""

    space = SPACE
    card = ModelCard(MODEL, "A model of a test.", dimension=DIMENSION)
    input_size = InputSize(short=64)


def vector(text: bytes) -> np.ndarray:
    """A unit vector that follows from the bytes."""
    raw = np.random.default_rng(list(text[:64])).standard_normal(DIMENSION)
    return (raw / np.linalg.norm(raw)).astype(np.float32)


def answer(part: str, items: list[bytes], mode: str) -> dict[str, tuple[str, list[int], bytes]]:
    """The outputs: datatype, shape, and content."""
    if part == "card":
        model = Model()
        if mode == "another model":
            model.space = replace(SPACE, model="somebody-else")
        card = describe(model, BATCH)
        if mode == "no card":
            card = b'{"version": 1, "space": []}'
        return {"CARD": ("BYTES", [1, 1], _texts([card]))}
    if mode == "dies later" and part == "image":
        SEEN.append(part)
        if len(SEEN) > 5:
            os._exit(1)
    rows = np.stack([vector(each) for each in items])
    key = SPACE.key.encode()
    if mode == "another space":
        key = b"0123456789ab"
    if mode == "wrong shape":
        rows = rows[:, :-1]
    if mode == "too few":
        rows = rows[:-1]
    if mode == "not numbers":
        rows = np.full_like(rows, np.nan)
    if mode == "not unit":
        rows = rows * 3
    reason = b"this picture is too odd" if mode == "a bad picture" else b""
    found = {
        "VECTOR": ("FP32", list(rows.shape), rows.tobytes()),
        "SPACE": ("BYTES", [len(items), 1], _texts([key] * len(items))),
        "ERROR": ("BYTES", [len(items), 1], _texts([reason] * len(items))),
    }
    if mode == "no vectors":
        del found["VECTOR"]
    if mode == "half a tensor":
        kind, shape, data = found["VECTOR"]
        found["VECTOR"] = (kind, shape, data[: len(data) // 2])
    if mode == "half a text":
        kind, shape, data = found["SPACE"]
        found["SPACE"] = (kind, shape, data[:-3])
    return found


def _texts(items: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(each)) + each for each in items)


def _items(data: bytes) -> list[bytes]:
    items, start = [], 0
    while start < len(data):
        (size,) = struct.unpack_from("<I", data, start)
        items.append(data[start + 4 : start + 4 + size])
        start += 4 + size
    return items


class Handler(BaseHTTPRequestHandler):
    """KServe v2 by HTTP."""

    protocol_version = "HTTP/1.1"
    mode_file: Path

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.mode_file.read_text() == "hung":
            time.sleep(60)
        self._send(b"{}")

    def do_POST(self):
        mode = self.mode_file.read_text()
        length = int(self.headers["Inference-Header-Content-Length"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        header, binary = json.loads(body[:length]), body[length:]
        part = self.path.split("/")[3].rsplit("-", 1)[1]
        if mode == "hung" or (mode == "hung model" and part != "card"):
            time.sleep(60)
        if mode == "fails":
            self._send(b'{"error": "the network is out of order"}', status=500)
            return
        first = header["inputs"][0]["parameters"]["binary_data_size"]
        items = [b""] if part == "card" else _items(binary[:first])
        found = answer(part, items, mode)
        outputs, parts = [], []
        for name, (kind, shape, data) in found.items():
            parts.append(data)
            size = {"binary_data_size": len(data)}
            outputs.append({"name": name, "datatype": kind, "shape": shape, "parameters": size})
        head = json.dumps({"model_name": part, "outputs": outputs}).encode()
        if mode == "not JSON":
            head = b"<html>" + head
        whole = b"".join([head, *parts])
        promised = len(whole) + 10 if mode == "half an answer" else len(whole)
        if mode == "a drip":
            self._send(whole[:5], len(head), promised)
            while True:
                self.wfile.write(b" ")
                time.sleep(0.5)
        self._send(whole, len(head), promised)
        if mode == "half an answer":
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, body, header_length=None, promised=None, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(promised or len(body)))
        if header_length is not None:
            self.send_header("Inference-Header-Content-Length", str(header_length))
        self.end_headers()
        self.wfile.write(body)


def grpc_server(mode_file: Path, port: int):
    """KServe v2 by gRPC."""
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ServerLive(self, request, context):
            if mode_file.read_text() == "hung":
                time.sleep(60)
            return service_pb2.ServerLiveResponse(live=True)

        def ModelInfer(self, request, context):
            mode = mode_file.read_text()
            part = request.model_name.rsplit("-", 1)[1]
            if mode == "hung" or (mode == "hung model" and part != "card"):
                time.sleep(60)
            if mode == "fails":
                context.abort(grpc.StatusCode.INTERNAL, "the network is out of order")
            items = [b""] if part == "card" else _items(request.raw_input_contents[0])
            reply = service_pb2.ModelInferResponse(model_name=request.model_name)
            for name, (kind, shape, data) in answer(part, items, mode).items():
                reply.outputs.add(name=name, datatype=kind, shape=shape)
                reply.raw_output_contents.append(data)
            if mode == "half an answer":
                del reply.raw_output_contents[-2:]
            return reply

    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    return server


class Peer:
    """A peer in another process."""

    def __init__(self, folder: Path, ports: tuple[int, int] | None = None) -> None:
        self.mode_file = folder / "mode"
        self.ports = ports or (free_port(), free_port())
        self.process: subprocess.Popen[str] | None = None
        self.become("well")
        self.start()

    @property
    def urls(self) -> dict[str, str]:
        grpc, http = self.ports
        return {"grpc": f"triton://127.0.0.1:{grpc}", "http": f"triton+http://127.0.0.1:{http}"}

    def become(self, mode: str) -> None:
        part = self.mode_file.with_suffix(".part")
        part.write_text(mode)
        part.rename(self.mode_file)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.mode_file), *map(str, self.ports)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()


@contextmanager
def running(folder: Path):
    """A peer that answers well at first."""
    peer = Peer(folder)
    try:
        yield peer
    finally:
        peer.kill()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def main() -> None:
    mode_file, grpc_port, http_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    Handler.mode_file = mode_file
    server = grpc_server(mode_file, grpc_port)
    http = ThreadingHTTPServer(("127.0.0.1", http_port), Handler)
    http.daemon_threads = True
    print("ready", flush=True)
    http.serve_forever()
    server.stop(0)


if __name__ == "__main__":
    main()
