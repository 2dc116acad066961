"""A real ComfyUI server with the pack in it: start, queue graphs, follow them, fetch pictures, stop.

with Server(python, host, folder) as server:
    result = server.run(graph)          # API format; see tools.serving.graph for workflow files
    result.images[0].name, result.images[0].data
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests

from ..setup.cache import SetupError
from . import pack
from .events import Events


class ServerError(SetupError):
    """The server did not start, died, or refused something; the message says which and shows its log."""


class Refused(ServerError):
    """The server did not accept a graph. `reply` is its whole answer."""

    def __init__(self, reply: dict):
        self.reply = reply
        error = reply.get("error") or {}
        lines = [error.get("message", str(error)) if isinstance(error, dict) else str(error)]
        for node, found in (reply.get("node_errors") or {}).items():
            lines += [
                f"  node {node} ({found.get('class_type')}): {e.get('message')}: {e.get('details')}"
                for e in found.get("errors", [])
            ]
        super().__init__("The server did not accept the graph: " + "\n".join(lines))


@dataclass(frozen=True)
class Image:
    """One saved picture: the id of the node that saved it, its file name, and its bytes."""

    node: str
    name: str
    data: bytes


@dataclass
class Result:
    """How a queued graph ended: "success", "error" or "interrupted"; with its outputs and, for an error, the host's own words."""

    status: str
    images: list[Image] = field(default_factory=list)
    outputs: dict = field(default_factory=dict)
    error: str = ""
    error_node: str = ""


class Server:
    """See the module's text. `arguments` go to ComfyUI as they are; `with_pack=False` gives the host alone."""

    def __init__(
        self,
        python: Path,
        host: Path,
        folder: Path,
        port: int | None = None,
        arguments: tuple[str, ...] = ("--cpu",),
        with_pack: bool = True,
        listen: str = "127.0.0.1",
    ):
        self.python, self.host, self.folder, self.listen = Path(python), Path(host), Path(folder).resolve(), listen
        self.port, self.arguments, self.with_pack = port, arguments, with_pack
        self.log_file = self.folder / "server.log"
        self.process: subprocess.Popen | None = None
        self.events: Events | None = None
        self.client_id = uuid.uuid4().hex
        self.on_event: Callable[[str, dict], None] | None = None
        self.progress: tuple[int, int] = (0, 0)
        self._session = requests.Session()
        self._session.trust_env = False  # never through a proxy: it is this machine

    # Starting and stopping

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{self._address()}:{self.port}"

    def _address(self) -> str:
        """Where the server is reached from this machine."""
        return "127.0.0.1" if self.listen in ("0.0.0.0", "::", "0.0.0.0,::") else self.listen.split(",")[0]

    def start(self, timeout: float = 300) -> None:
        """Start the server and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port() if self.port is None else self.port
        need_port(self.listen, self.port)
        (self.folder / "models").mkdir(exist_ok=True)
        (self.folder / "custom_nodes").mkdir(exist_ok=True)
        if self.with_pack:
            pack.place(self.folder / "custom_nodes")
        command = [
            self.python,
            self.host / "main.py",
            "--base-directory",
            self.folder,
            "--listen",
            self.listen,
            "--port",
            str(self.port),
            "--disable-auto-launch",
            "--disable-api-nodes",
            "--database-url",
            f"sqlite:///{(self.folder / 'comfyui.db').as_posix()}",
            *self.arguments,
        ]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [os.fspath(part) for part in command],
                cwd=self.host,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_host_environment(),
            )
        waited = time.monotonic() + timeout
        while not self._answers():
            if self.process.poll() is not None:
                raise ServerError(f"ComfyUI ended while starting. {self.log_tail()}")
            if time.monotonic() > waited:
                raise ServerError(f"ComfyUI did not answer within {timeout:.0f} s. {self.log_tail()}")
            time.sleep(0.2)
        self.events = Events(self.url, self.client_id, self._hear)

    def stop(self) -> None:
        """End the server and wait until it is gone."""
        if self.events:
            self.events.close()
            self.events = None
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _answers(self) -> bool:
        try:
            self.get("/system_stats", timeout=5)
            return True
        except (OSError, ValueError):
            return False

    def log(self) -> str:
        """All the server has printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines: int = 25) -> str:
        tail = "\n".join("    " + line for line in self.log().splitlines()[-lines:])
        return f"The end of its log ({self.log_file}):\n{tail}"

    # Talking to it

    def get(self, path: str, timeout: float = 60):
        """GET a JSON answer."""
        return json.loads(self.fetch(path, timeout))

    def fetch(self, path: str, timeout: float = 60) -> bytes:
        """GET raw bytes."""
        reply = self._session.get(self.url + path, timeout=timeout)
        reply.raise_for_status()
        return reply.content

    def post(self, path: str, body: dict, timeout: float = 60):
        """POST JSON; the answer parsed, or an empty dict where there is none."""
        reply = self._session.post(self.url + path, json=body, timeout=timeout)
        reply.raise_for_status()
        return reply.json() if reply.content.strip() else {}

    def object_info(self) -> dict:
        """Every node the server knows, as the front end sees it."""
        return self.get("/object_info")

    def queue(self, graph: dict, workflow: dict | None = None) -> str:
        """Queue an API-format graph and return its id; raises `Refused` with the server's reasons."""
        extra = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
        try:
            reply = self.post("/prompt", {"prompt": graph, "client_id": self.client_id, "extra_data": extra})
        except requests.HTTPError as error:
            try:
                reply = error.response.json()
            except ValueError:
                reply = {"error": {"message": str(error)}}
            raise Refused(reply) from error
        if reply.get("node_errors"):  # accepted, but a branch was dropped: we want all of it or nothing
            self.post("/queue", {"delete": [reply["prompt_id"]]})
            self.interrupt()
            raise Refused(reply)
        return reply["prompt_id"]

    def interrupt(self) -> None:
        """Stop the graph that is running."""
        self.post("/interrupt", {})

    def wait(self, prompt_id: str, timeout: float = 600, progress: Callable[[int, int], None] | None = None) -> Result:
        """Wait for a queued graph to end. `progress(value, maximum)` is called while a sampler runs."""
        until, shown = time.monotonic() + timeout, None
        while True:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry and entry.get("status"):
                return self._result(entry)
            if self.process and self.process.poll() is not None:
                raise ServerError(f"ComfyUI ended while running a graph. {self.log_tail()}")
            if time.monotonic() > until:
                raise ServerError(f"The graph did not end within {timeout:.0f} s. {self.log_tail()}")
            if progress and self.progress != shown:
                shown = self.progress
                progress(*shown)
            time.sleep(0.05)

    def run(
        self,
        graph: dict,
        timeout: float = 600,
        progress: Callable[[int, int], None] | None = None,
        workflow: dict | None = None,
    ) -> Result:
        """Queue a graph and wait for its end. An error in a node is in the result, not raised."""
        return self.wait(self.queue(graph, workflow), timeout, progress)

    def _result(self, entry: dict) -> Result:
        status, outputs = entry["status"], entry.get("outputs", {})
        kind = "success" if status.get("status_str") == "success" else "error"
        message, node = "", ""
        for event, data in status.get("messages", []):
            if event == "execution_interrupted":
                kind = "interrupted"
            if event == "execution_error":
                message, node = data.get("exception_message", "").strip(), str(data.get("node_id", ""))
        pictures = [
            (node_id, picture)
            for node_id, output in outputs.items()
            for picture in output.get("images", [])
            if "filename" in picture
        ]
        images = [
            Image(node_id, picture["filename"], self.fetch("/view?" + urllib.parse.urlencode(picture)))
            for node_id, picture in pictures
        ]
        return Result(kind, images, outputs, message, node)

    def _hear(self, kind: str, data: dict) -> None:
        if kind == "progress":
            self.progress = (int(data.get("value", 0)), int(data.get("max", 0)))
        elif kind == "execution_start":
            self.progress = (0, 0)
        if self.on_event:
            self.on_event(kind, data)


def _host_environment() -> dict[str, str]:
    """The host runs without our test libraries on its path: it is to see what it would see at a user's."""
    libraries = os.environ.get("CONCEPT_GUARDS_TEST_LIBRARIES")
    kept = dict(os.environ)
    paths = [place for place in kept.pop("PYTHONPATH", "").split(os.pathsep) if place and place != libraries]
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need_port(listen: str, port: int) -> None:
    """Say so before the host does, in its own long way, if the port is taken or not allowed."""
    with socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.split(",")[0], port))
        except OSError as error:
            raise ServerError(
                f"Port {port} cannot be used ({error.strerror or error}). Is another ComfyUI running there?\n"
                f"Choose another one: --port {port + 1 if port < 65535 else 8188}"
            ) from error


def prepared_server(folder: Path, **options) -> Server:
    """A server for code that already runs in the prepared environment (see `run.py`): its Python and its host."""
    return Server(Path(sys.executable), Path(os.environ["CONCEPT_GUARDS_HOST"]), folder, **options)
