"""Runs on ComfyUI servers: one thread a server, items from one queue. A server that goes away is asked again until it answers."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import requests

from ..serving.server import Refused, Result, Server, ServerError
from .errors import PlanError, StoppedError
from .items import PICTURES, READING, SCORE, Builder, Item

LOST = (requests.RequestException, OSError)
RETRY, PATIENCE, LONGEST = 3.0, 600.0, 3600.0  # seconds: between two tries, without any server, for one run
FORGOTTEN = 2.0  # seconds between two questions whether a server still knows a run
IN_A_ROW = 5  # runs that fail one after the other before it is taken for more than bad luck


class Remote(Server):
    """A server that somebody else runs, by its address."""

    def __init__(self, address: str):
        super().__init__(Path(), Path(), Path())
        address = address if "://" in address else f"http://{address}"
        self._url, self._usual = address.rstrip("/"), 0.0

    @property
    def url(self) -> str:
        return self._url

    def answers(self) -> bool:
        return self._answers()

    def wait(self, prompt_id: str, timeout: float = LONGEST, progress=None) -> Result:
        """As the server's, but it is first asked when most of the usual time has gone by: asking costs the processor that samples.

        Raises ConnectionError where the server does not know the run any more, as after it was started anew.
        """
        began, asked, lost = time.monotonic(), 0.0, False
        time.sleep(0.8 * self._usual)
        while True:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry and entry.get("status"):
                self._usual = (self._usual + time.monotonic() - began) / 2
                return self._result(entry)
            if lost:
                raise ConnectionError(f"{self.url} was started anew and has forgotten the run")
            if time.monotonic() - began > timeout:
                raise ServerError(f"The graph did not end within {timeout:.0f} s. {self.log_tail()}")
            if time.monotonic() - asked > FORGOTTEN:
                asked, waiting = time.monotonic(), self.get("/queue")
                lost = not any(prompt_id in run for side in ("queue_running", "queue_pending") for run in waiting[side])
            if not lost:  # else it may have ended in this moment: its history is asked once more
                time.sleep(min(0.5, max(0.02, 0.02 * self._usual)))

    def log_tail(self, lines: int = 25) -> str:
        return f"See the log of {self.url}."


@dataclass(frozen=True)
class Outcome:
    """What a run gave: the ``line`` for the results, and its ``pictures`` as files; or the ``error`` it ended with."""

    item: Item
    line: dict = field(default_factory=dict)
    pictures: tuple[bytes, ...] = ()
    error: str = ""


def perform(server: Server, item: Item, graph: dict, names: dict[str, str]) -> Outcome:
    """Run one item. ``names``: score node -> detector. Raises Refused for a graph that the server does not take, LOST where it is gone."""
    number = server.queue(graph)
    result = server.wait(number, LONGEST)
    entry = server.get(f"/history/{number}").get(number, {})
    server.post("/history", {"delete": [number]})
    if result.status == "interrupted":
        return Outcome(item, error="somebody interrupted it")
    if result.status != "success":
        node = graph.get(result.error_node, {}).get("class_type", "a node")
        return Outcome(item, error=f"{node}: {result.error or 'no message'}")
    pictures = tuple(image.data for image in result.images if image.node == PICTURES)
    scores, rules = {}, {}
    for key, name in names.items():
        scores[name], rules[name] = result.outputs[key]["scores"], result.outputs[key]["rule"][0]
        if len(scores[name]) != len(pictures):
            return Outcome(item, error=f"{len(pictures)} pictures came, and {len(scores[name])} scores")
    line = {
        "id": item.id, "arm": item.arm, "prompt": item.place, "call": item.call, "seed": item.seed, "scores": scores, "rules": rules,
        "seconds": _seconds(entry), **_cost(result.outputs), "server": server.url,
    }  # fmt: skip
    return Outcome(item, line, pictures)


def _seconds(entry: dict) -> float:
    """From the start of execution to its end, by the server's own clock."""
    times = {event: data.get("timestamp") for event, data in entry.get("status", {}).get("messages", [])}
    began, ended = times.get("execution_start"), times.get("execution_success")
    return round((ended - began) / 1000, 3) if began and ended else 0.0


def _cost(outputs: dict) -> dict[str, float]:
    """What the meters before the samplers counted: ``rows`` of the model, seconds of ``sampling``, bytes of ``memory`` at most."""
    read = [found for key, found in outputs.items() if key.startswith(READING)]
    return {
        "rows": sum(one["rows"][0] for one in read),
        "sampling": round(sum(one["seconds"][0] for one in read), 3),
        "memory": max((one["memory"][0] for one in read), default=0),
    }


def names_of(builder: Builder, place: int) -> dict[str, str]:
    return {f"{SCORE}{number}": detector.name for number, detector in builder.looking(place)}


class Worker:
    """Runs items on one server, from this process."""

    def __init__(self, address: str):
        self.server = Remote(address)

    def perform(self, item: Item, graph: dict, names: dict[str, str]) -> Outcome:
        """Raises PlanError for a graph that the server does not take, and ConnectionError where it is gone: both can be sent on."""
        try:
            return perform(self.server, item, graph, names)
        except Refused as error:
            raise PlanError(str(error)) from None
        except (*LOST, ServerError) as error:
            raise ConnectionError(str(error)) from None

    def answers(self) -> bool:
        return self.server.answers()


class Waiting:
    """Runs that wait for a server. A server goes on with runs like the one before, and leaves those of another one to that one."""

    def __init__(self, likeness: Callable[[Item], tuple]):
        self._likeness, self._lock = likeness, threading.Condition()
        self._items: dict[tuple, deque[Item]] = {}
        self._last: dict[str, tuple] = {}  # address -> what its last run was like

    def put(self, item: Item) -> None:
        with self._lock:
            self._items.setdefault(self._likeness(item), deque()).append(item)
            self._lock.notify()

    def get(self, address: str, timeout: float) -> Item | None:
        """The next run for a server; None where there is none for so many seconds."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._items, timeout):
                return None
            taken = {like for other, like in self._last.items() if other != address}
            like = self._last.get(address)
            if like not in self._items:
                like = next((one for one in self._items if one not in taken), next(iter(self._items)))
            self._last[address] = like
            item = self._items[like].popleft()
            if not self._items[like]:
                del self._items[like]
            return item

    def leave(self, address: str) -> None:
        """A server that is gone keeps nothing for itself."""
        with self._lock:
            self._last.pop(address, None)


class Crew:
    """Threads over servers. ``on_outcome`` is called in the caller's thread, one outcome at a time."""

    def __init__(self, builder: Builder, addresses: Callable[[], Iterable[str]]):
        self.builder, self.addresses = builder, addresses
        self.waiting = Waiting(builder.likeness if builder else lambda item: ())
        self.finished: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.threads: dict[str, threading.Thread] = {}
        self.away: dict[str, str] = {}  # address -> why

    def run(self, items: list[Item], on_outcome: Callable[[Outcome], None]) -> None:
        """Every item once, on whatever server is free; one that fails is tried once more. Raises StoppedError or PlanError."""
        tries: dict[str, int] = {}
        for item in items:
            self.waiting.put(item)
        left, row, succeeded, heard = len(items), 0, False, time.monotonic()
        try:
            while left:
                self._enlist()
                try:
                    outcome = self.finished.get(timeout=RETRY)
                except queue.Empty:
                    if len(self.away) == len(self.threads) and time.monotonic() - heard > PATIENCE:
                        raise StoppedError(_nobody(self.away)) from None
                    continue
                heard = time.monotonic()
                if isinstance(outcome, BaseException):
                    raise outcome
                if outcome.error:
                    row += 1
                    if not succeeded or row >= IN_A_ROW:
                        raise StoppedError(
                            f"{'The first run' if not succeeded else f'{row} runs in a row'} failed: {outcome.error}\n"
                            "Mend that and run the same command again; it goes on."
                        )
                    tries[outcome.item.id] = tries.get(outcome.item.id, 0) + 1
                    if tries[outcome.item.id] < 2:
                        self.waiting.put(outcome.item)
                        continue
                else:
                    row, succeeded = 0, True
                left -= 1
                on_outcome(outcome)
        finally:
            self.stop.set()
            for thread in self.threads.values():
                thread.join(2)

    def _enlist(self) -> None:
        """A thread for every address that has none yet."""
        for address in self.addresses():
            if address not in self.threads:
                self.threads[address] = threading.Thread(target=self._work, args=(address,), daemon=True)
                self.threads[address].start()

    def _worker(self, address: str):
        """What runs items on one server."""
        return Worker(address)

    def _work(self, address: str) -> None:
        worker = self._worker(address)
        while not self.stop.is_set():
            item = self.waiting.get(address, 0.5)
            if item is None:
                continue
            try:
                graph = self.builder.graph(item.arm, item.place, item.call)
                self.finished.put(worker.perform(item, graph, names_of(self.builder, item.place)))
                self.away.pop(address, None)
            except ConnectionError as error:
                self.waiting.leave(address)
                self.waiting.put(item)
                self.away[address] = str(error)
                self._until_it_answers(worker)
            except BaseException as error:  # a fault of ours must not leave the caller waiting
                self.finished.put(error)
                return

    def _until_it_answers(self, worker) -> None:
        while not self.stop.wait(RETRY):
            if worker.answers():
                return


def _nobody(away: dict[str, str]) -> str:
    lines = "\n".join(f"  {address}: {why.splitlines()[0][:200]}" for address, why in away.items())
    return f"No server has answered for {PATIENCE / 60:.0f} minutes:\n{lines}\nStart one and run the same command again; it goes on."


def reach(addresses: Iterable[str]) -> list[tuple[str, dict]]:
    """(address, system stats) of every server. Raises PlanError for one that does not answer."""
    found = []
    for address in addresses:
        try:
            found.append((address, Remote(address).get("/system_stats", timeout=10)))
        except (*LOST, ValueError) as error:
            why = "nothing listens there" if isinstance(error, requests.ConnectionError) else str(error)[:200]
            raise PlanError(
                f"--server {address} does not answer ({why}). Start ComfyUI there with --listen, or leave it out."
            ) from error
    return found
