"""A server on this machine that answers as the Hugging Face hub does, as far as downloads go."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "76543210fedcba9876543210fedcba9876543210"
COMMITS = {"main": COMMIT, "v1": OLDER, COMMIT: COMMIT, OLDER: OLDER}


@dataclass
class Repository:
    """A model folder as a repository of the hub, and what goes wrong when it is fetched."""

    name: str
    folder: Path
    cut: set[str] = field(default_factory=set)
    """Files whose first answer breaks off in the middle."""
    lost: set[str] = field(default_factory=set)
    """Files whose every answer breaks off in the middle."""
    forged: set[str] = field(default_factory=set)
    """Files that come with other bytes than the listing says."""
    held: set[str] = field(default_factory=set)
    """Files whose answers stop in the middle until `released` is set."""
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path, and where the asked range began, of all requests."""

    @cached_property
    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def fetched(self) -> set[str]:
        """Files of which at least a part was sent."""
        return {path for method, path, _ in self.requests if method == "GET" and path in self.files}

    def begins(self, file: str) -> list[int]:
        """Where each answer for a file began."""
        return [begin for method, path, begin in self.requests if (method, path) == ("GET", file)]

    def entry(self, file: str) -> dict:
        content = self.files[file]
        found = {"size": len(content), "oid": git_sha(content)}
        if file.endswith((".safetensors", ".bin")):
            found["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
        return found

    def info(self, commit: str) -> dict:
        siblings = []
        for file in self.files:
            entry = self.entry(file)
            sibling = {"rfilename": file, "size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                sibling["lfs"] = {**entry["lfs"], "sha256": entry["lfs"]["oid"]}
            siblings.append(sibling)
        return {"id": self.name, "modelId": self.name, "sha": commit, "siblings": siblings}

    def tree(self) -> list[dict]:
        return [{"type": "file", "path": file, **self.entry(file)} for file in self.files]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, repositories: tuple[Repository, ...], *arguments) -> None:
        self.repositories = repositories
        self.repository = repositories[0]
        super().__init__(*arguments)

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        for repository in self.repositories:
            if f"{path}/".removeprefix("api/models/").startswith(f"{repository.name}/"):
                self.repository = repository
        name = self.repository.name
        if path.startswith(f"api/models/{name}"):
            self.describe(path.removeprefix(f"api/models/{name}").strip("/").split("/"))
        elif path.startswith(f"{name}/resolve/"):
            commit, _, file = path.removeprefix(f"{name}/resolve/").partition("/")
            self.send_file(COMMITS[commit], file, body)
        else:
            self.refuse("RepoNotFound")

    def describe(self, words: list[str]) -> None:
        self.repository.requests.append(("GET", "/".join(words), 0))
        commit = COMMITS.get(words[1] if len(words) > 1 else "main")
        if commit is None:
            self.refuse("RevisionNotFound")
            return
        found = self.repository.tree() if words[0] == "tree" else self.repository.info(commit)
        self.start(200, {"Content-Type": "application/json"}, json.dumps(found).encode())

    def send_file(self, commit: str, file: str, body: bool) -> None:
        content, entry = self.repository.files[file], self.repository.entry(file)
        if file in self.repository.forged:
            content = bytes(255 - byte for byte in content)
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.repository.requests.append((self.command, file, begin))
        headers = {
            "ETag": f'"{entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]}"',
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        if file in self.repository.held and body:
            self.start(200, headers, content, body=False)
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.repository.released.wait(60)
            self.wfile.write(content[len(content) // 2 :])
            return
        self.start(206 if begin else 200, headers, content[begin:], body, self.breaks_off(file))

    def breaks_off(self, file: str) -> bool:
        if self.command == "GET" and file in self.repository.cut:
            self.repository.cut.remove(file)
            return True
        return self.command == "GET" and file in self.repository.lost

    def start(self, status, headers, content, body=True, breaks_off=False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if breaks_off else content)
        if breaks_off:
            self.wfile.flush()
            self.close_connection = True

    def refuse(self, code: str) -> None:
        self.start(404, {"X-Error-Code": code, "X-Error-Message": "not here"}, b"")


@contextmanager
def serve(*repositories: Repository) -> Iterator[str]:
    """The address of a hub that has these repositories."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, repositories))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
