"""Connections to a KServe v2 server, such as NVIDIA Triton: over gRPC and over HTTP.

Both wait for an answer at most until a limit, and meanwhile ask every second whether the server is
alive, so that a server that hangs is noticed long before a slow one would be given up.
HTTP is Python's own client: tritonclient's cannot be interrupted, and needs gevent. The body is
that of the protocol's binary tensor data extension.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from imgsearch.errors import EncoderError, MissingExtra, ModelServerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]
else:
    Tensors = Any

TIMEOUT_SECONDS = 4.0
"""For texts and for connecting, unless the URL has `?timeout=`."""
PICTURES_TIMEOUT_SECONDS = 300.0
"""For a request of pictures, as long as the server is alive."""
PULSE_SECONDS, MAX_PULSE_SECONDS = 1.0, 3.0
"""The server is asked each second whether it is alive, and has three to answer, or `timeout`."""
MAX_ANSWER_BYTES = 64 << 20
PORTS = {"triton": 8001, "triton+http": 8000}
"""Schemes of URLs, gRPC and HTTP, and the default ports."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_TOKEN = "TRITON_TOKEN"  # noqa: S105 - the name of a variable
_BYTES = "BYTES"


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of triton://host:8001 or triton+http://host:8000, with ?timeout= and ?secure=.

    Attributes
    ----------
    text : str
        The URL without its options, for messages.
    timeout : float
        Seconds for texts, and for connecting.
    secure : bool
        True for TLS, with the certificates that the system trusts.
    headers : mapping
        The token in TRITON_TOKEN, if there is one.
    """

    scheme: str
    host: str
    port: int
    timeout: float
    secure: bool
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def pulse_timeout(self) -> float:
        return min(self.timeout, MAX_PULSE_SECONDS)

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str) -> Address:
    """The address of a model server.

    Raises
    ------
    ModelServerError
        The URL is not valid, has a password, or would send a token without TLS.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        timeout = float(options.pop("timeout", TIMEOUT_SECONDS))
        secure = {"true": True, "false": False}[options.pop("secure", "false")]
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        valid = host and not options and 0 < timeout <= 86_400 and parts.path in ("", "/")
        if not valid or parts.username is not None:
            raise ValueError(url)
    except (ValueError, KeyError):  # the message has parts of the URL
        raise ModelServerError(
            "the URL of the model server is not valid",
            f"Write triton://host:8001 or triton+http://host:8000; the options are timeout and"
            f" secure, and put a token into {_TOKEN}.",
        ) from None
    token = os.environ.get(_TOKEN, "")
    if token and not secure and host not in _LOCAL_HOSTS:
        raise ModelServerError(
            f"the token in {_TOKEN} would be sent to {host} without encryption",
            "Add ?secure=true to the URL of the model server, or remove the variable.",
        )
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return Address(parts.scheme, host, port, timeout, secure, headers)


class Connection(Protocol):
    """A connection to a server, for requests from any thread."""

    @property
    def address(self) -> Address: ...

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[str], seconds: float
    ) -> dict[str, NDArray[Any]]:
        """The outputs of a model.

        Raises
        ------
        ModelServerError
            The server is down, hangs, does not have the model, or sends what is not an answer.
        EncoderError
            The model failed on these inputs.
        """


def connect(url: str) -> Connection:
    """The connection of a URL, opened at its first request."""
    address = parse(url)
    return HttpConnection(address) if address.scheme == "triton+http" else GrpcConnection(address)


class GrpcConnection:
    """KServe v2 over gRPC, with tritonclient."""

    def __init__(self, address: Address) -> None:
        try:
            import tritonclient.grpc as client
            from tritonclient.utils import InferenceServerException
        except ImportError as error:
            raise MissingExtra("a model behind Triton", "triton") from error
        self.address, self._grpc, self._failure = address, client, InferenceServerException
        self._client = client.InferenceServerClient(
            address.netloc,
            ssl=address.secure,
            # gRPC has certificates of its own; a private authority is in those of the system.
            root_certificates=ssl.get_default_verify_paths().cafile if address.secure else None,
            channel_args=[
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 2000),  # a server that is back is used at once
                ("grpc.use_local_subchannel_pool", 1),  # no waiting for a former connection
                ("grpc.enable_http_proxy", 0),
            ],
        )

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[str], seconds: float
    ) -> dict[str, NDArray[Any]]:
        """The outputs of a model; see `Connection`."""
        request = {
            "model_name": model,
            "inputs": [self._input(name, array) for name, array in inputs.items()],
            "outputs": [self._grpc.InferRequestedOutput(name) for name in outputs],
            "client_timeout": seconds,
            "headers": dict(self.address.headers),
        }
        try:
            patient = seconds > PULSE_SECONDS + MAX_PULSE_SECONDS
            result = self._patiently(request) if patient else self._client.infer(**request)
        except self._failure as error:
            raise self._translated(error) from None
        try:
            return {name: _present(result.as_numpy(name), name) for name in outputs}
        except Exception as fault:  # the client decodes what a server sends with few checks
            raise invalid(self.address, str(fault)) from None

    def _patiently(self, request: dict[str, Any]) -> Any:
        """The result of a request, for which the server is asked each second whether it lives."""
        answers: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        call = self._client.async_infer(
            callback=lambda result, error: answers.put((result, error)), **request
        )
        try:
            result, error = self._answer(answers)
        finally:
            call.cancel()
        if error is not None:
            raise error
        return result

    def _answer(self, answers: queue.SimpleQueue[tuple[Any, Any]]) -> tuple[Any, Any]:
        while True:
            with suppress(queue.Empty):
                return answers.get(timeout=PULSE_SECONDS)
            try:
                self._client.is_server_live(
                    client_timeout=self.address.pulse_timeout, headers=dict(self.address.headers)
                )
            except self._failure:
                with suppress(queue.Empty):
                    return answers.get_nowait()
                raise

    def _input(self, name: str, array: NDArray[Any]) -> Any:
        tensor = self._grpc.InferInput(name, list(array.shape), _datatype(array))
        tensor.set_data_from_numpy(array)
        return tensor

    def _translated(self, error: Any) -> EncoderError:
        status = str(error.status() or "").removeprefix("StatusCode.")
        return failure(self.address, _GRPC.get(status, ""), str(error.message() or status))


_GRPC = {
    "UNAVAILABLE": "down",
    "DEADLINE_EXCEEDED": "slow",
    "CANCELLED": "down",
    "NOT_FOUND": "absent",
    "UNAUTHENTICATED": "refused",
    "PERMISSION_DENIED": "refused",
    "UNIMPLEMENTED": "foreign",
    "UNKNOWN": "foreign",
}


class HttpConnection:
    """KServe v2 over HTTP, with the binary tensor data extension."""

    def __init__(self, address: Address) -> None:
        try:
            import tritonclient.utils as _  # noqa: F401 - the encoding of texts
        except ImportError as error:
            raise MissingExtra("a model behind Triton", "triton") from error
        self.address = address
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[str], seconds: float
    ) -> dict[str, NDArray[Any]]:
        """The outputs of a model; see `Connection`."""
        body, length = _request_body(inputs, outputs)
        headers = {"Inference-Header-Content-Length": str(length), **self.address.headers}
        until = time.monotonic() + seconds
        try:
            with suppress(queue.Empty, ConnectionError):  # the server may have closed an idle one
                idle = self._idle.get_nowait()
                return self._ask(idle, model, body, headers, outputs, until)
            return self._ask(self._open(), model, body, headers, outputs, until)
        except TimeoutError as error:
            raise failure(self.address, "slow", str(error)) from None
        except OSError as error:
            raise failure(self.address, "down", error.strerror or str(error)) from None
        except (http.client.HTTPException, ValueError) as error:
            raise invalid(self.address, str(error) or type(error).__name__) from None

    def _open(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        seconds = min(self.address.timeout, TIMEOUT_SECONDS)
        if self.address.secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
        return http.client.HTTPConnection(host, port, timeout=seconds)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        model: str,
        body: bytes,
        headers: Mapping[str, str],
        outputs: Sequence[str],
        until: float,
    ) -> dict[str, NDArray[Any]]:
        """Send a request and read the answer, at the latest until a time of the monotonic clock."""
        answering: Future[_Answer] = Future()

        def work() -> None:
            try:
                if connection.sock is None:
                    connection.connect()
                connection.sock.settimeout(None)  # from here on, `_shut` ends it
                connection.request("POST", f"/v2/models/{model}/infer", body, dict(headers))
                answering.set_result(_Answer(connection, until))
            except Exception as error:
                answering.set_exception(error)

        threading.Thread(target=work, name="imgsearch-http", daemon=True).start()
        try:
            answer = self._awaited(answering, until)
        except BaseException:
            _shut(connection.sock)
            connection.close()
            raise
        if answer.status != 200:
            connection.close()
            raise failure(self.address, _http_kind(answer.status), answer.reason)
        found = _response_tensors(answer.body, answer.header_length, outputs)
        if answer.reusable:
            self._idle.put(connection)
        else:
            connection.close()
        return found

    def _awaited(self, answering: Future[_Answer], until: float) -> _Answer:
        """The answer, while the server is alive; large requests take long to send as well."""
        while not wait([answering], max(0.0, min(PULSE_SECONDS, until - time.monotonic()))).done:
            if time.monotonic() >= until:
                raise TimeoutError("no answer in time")
            self._require_alive()
        return answering.result()

    def _require_alive(self) -> None:
        seconds = self.address.pulse_timeout
        with closing(self._open()) as connection:
            connection.timeout = seconds
            connection.request("GET", "/v2/health/live", headers=dict(self.address.headers))
            _Answer(connection, time.monotonic() + seconds)


class _Answer:
    """The whole answer to a request, read until a time of the monotonic clock."""

    def __init__(self, connection: http.client.HTTPConnection, until: float) -> None:
        seconds = max(0.1, until - time.monotonic())
        # A server that sends a byte now and then never runs into the timeout of a socket.
        watch = threading.Timer(seconds, _shut, [connection.sock])
        watch.daemon = True
        watch.start()
        try:
            response = connection.getresponse()
            self.status = response.status
            self.body = response.read(MAX_ANSWER_BYTES + 1)
            short = response.length or 0
        except (OSError, http.client.HTTPException):
            if time.monotonic() >= until:
                raise TimeoutError("no complete answer in time") from None
            raise
        finally:
            watch.cancel()
        if time.monotonic() >= until and short:
            raise TimeoutError("no complete answer in time")
        if len(self.body) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
        if short:
            raise ConnectionError("the connection was closed in the middle of an answer")
        self.header_length = response.getheader("Inference-Header-Content-Length")
        self.reusable = not response.will_close

    @property
    def reason(self) -> str:
        """The message of an error."""
        text = self.body[:2000].decode("utf-8", "replace")
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            text = str(json.loads(self.body)["error"])
        return f"HTTP {self.status}: {text}"


def _shut(sock: socket.socket) -> None:
    with suppress(OSError, AttributeError):
        sock.shutdown(socket.SHUT_RDWR)


def _http_kind(status: int) -> str:
    kinds = {401: "refused", 403: "refused", 404: "absent", 405: "foreign", 413: "large"}
    kinds |= {415: "foreign", 422: "foreign"}  # the server has no binary tensor data
    return kinds.get(status, "down" if status in (502, 503, 504) else "")


def failure(address: Address, kind: str, message: str) -> EncoderError:
    """The error for a failed request: of the server, or of the model if no `kind` is known."""
    text = " ".join(message.split())[:300]
    for secret in address.headers.values():
        text = text.replace(secret.removeprefix("Bearer "), "***")
    if re.search(r"unknown model|model.{0,80}not found", text, re.IGNORECASE):
        kind = "absent"
    if not kind:
        return EncoderError(f"the model at {address.text} failed: {text}", "See the server's log.")
    return ModelServerError(f"{address.text} cannot be used: {text or kind}", _HINTS[kind])


def invalid(address: Address, message: str) -> ModelServerError:
    """The error for an answer that is not one of imgsearch's model servers."""
    text = " ".join(message.split())[:300]
    return ModelServerError(
        f"{address.text} sent an answer that is not valid: {text}", _HINTS["foreign"]
    )


_START = "imgsearch serve-model NAME"
_HINTS = {
    "down": f"Check that the server is running and the address is right; to start it: {_START}",
    "slow": "Check that the server is running and not overloaded. If it is slow, allow more"
    " seconds: ?timeout=60 at the end of the URL.",
    "absent": f"Start the server with this model: {_START}",
    "refused": f"Check the token: it is read from {_TOKEN}.",
    "foreign": f"Check that the URL is that of a server started with '{_START}', of the same"
    " version of imgsearch; triton:// is for gRPC, triton+http:// for HTTP.",
    "large": "Raise the limit on the size of requests in the proxy before the server.",
}


def _datatype(array: NDArray[Any]) -> str:
    return {"i": "INT32", "f": "FP32", "O": _BYTES}[array.dtype.kind]


def _present(array: NDArray[Any] | None, name: str) -> NDArray[Any]:
    if array is None:
        raise ValueError(f"there is no output {name}")
    return array


def _request_body(inputs: Tensors, outputs: Sequence[str]) -> tuple[bytes, int]:
    """The body of a request, and the length of the JSON at its beginning."""
    from tritonclient.utils import serialize_byte_tensor

    parts, tensors = [], []
    for name, array in inputs.items():
        texts = array.dtype.kind == "O"
        part = serialize_byte_tensor(array).item() if texts else array.tobytes()
        parts.append(part)
        size = {"binary_data_size": len(part)}
        described = {"name": name, "shape": array.shape, "datatype": _datatype(array)}
        tensors.append({**described, "parameters": size})
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    header = json.dumps({"inputs": tensors, "outputs": wanted}).encode()
    return b"".join([header, *parts]), len(header)


def _response_tensors(
    body: bytes, header_length: str | None, outputs: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """The outputs in the body of an answer; ValueError if it is not valid."""
    length = len(body) if header_length is None else int(header_length)
    try:
        header = json.loads(body[:length])
        tensors = {tensor["name"]: tensor for tensor in header["outputs"]}
        start, found = length, {}
        for name, tensor in tensors.items():
            size = tensor.get("parameters", {}).get("binary_data_size", 0)
            found[name] = _tensor(tensor, body[start : start + size], size)
            start += size
        return {name: found[name] for name in outputs}
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _tensor(tensor: dict[str, Any], part: bytes, size: int) -> NDArray[Any]:
    """A tensor from its bytes, or from JSON where a server has no binary extension."""
    from tritonclient.utils import deserialize_bytes_tensor

    texts, shape = tensor["datatype"] == _BYTES, tensor["shape"]
    if len(part) != size:
        raise ValueError("the answer is cut off")
    if not size and texts:
        items = [str(each).encode() for each in tensor.get("data", [])]
        return np.array(items, object).reshape(shape)
    if not size:
        return np.array(tensor.get("data", []), np.float32).reshape(shape)
    if texts:
        import struct

        try:
            return np.asarray(deserialize_bytes_tensor(part), object).reshape(shape)
        except struct.error as error:
            raise ValueError(str(error)) from None
    return np.frombuffer(part, np.dtype("<f4")).reshape(shape)
