"""The same over a Ray cluster: one actor a server, somewhere in the cluster; one task a run. Ray is imported here alone, and only if asked.

The driver's threads stay, and wait for the actors instead of the servers: so what is retried, what is given to another server and what is
written where is the same. An actor whose machine dies is started anew elsewhere; runs have ids, so making one twice does no harm.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from .. import PROJECT
from .errors import PlanError
from .items import Builder, Item
from .servers import Crew, Outcome, Worker


class RayCrew(Crew):
    """``cluster``: as for ray.init: "auto", an address; or "local" for one on this machine."""

    def __init__(self, builder: Builder, addresses: Callable[[], Iterable[str]], cluster: str):
        super().__init__(builder, addresses)
        try:
            import ray
        except ImportError as error:
            raise PlanError(
                f"--ray: Ray is not installed ({error}). Install it: pip install 'ray>=2.60' (Apache-2.0)."
            ) from error
        self.ray = ray
        _knock(cluster)
        modules = [str(PROJECT / name) for name in ("tools", "guards")]
        try:
            ray.init(
                address=None if cluster == "local" else cluster,
                runtime_env={"py_modules": modules},
                log_to_driver=False,
                **({"include_dashboard": False} if cluster == "local" else {}),
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise PlanError(
                f"--ray {cluster}: no cluster answers there ({error}). Start one: ray start --head."
            ) from error

    def run(self, items: list[Item], on_outcome: Callable[[Outcome], None]) -> None:
        try:
            super().run(items, on_outcome)
        finally:
            self.ray.shutdown()

    def _worker(self, address: str):
        return _Far(self.ray, address)


def _knock(cluster: str) -> None:
    """Raise PlanError where nobody listens at an address: Ray itself would try for minutes."""
    place = urlsplit(cluster if "://" in cluster else f"//{cluster}")
    if place.port is None:  # auto, local
        return
    try:
        socket.create_connection((place.hostname, place.port), 10).close()
    except OSError as error:
        raise PlanError(f"--ray {cluster}: no cluster answers there ({error}). Start one: ray start --head.") from error


class _Far:
    """A Worker in an actor."""

    def __init__(self, ray, address: str):
        self.ray = ray
        kind = ray.remote(max_restarts=-1, max_task_retries=3, num_cpus=0)(Worker)
        self.actor = kind.remote(address)

    def perform(self, item: Item, graph: dict, names: dict[str, str]) -> Outcome:
        return self._get(self.actor.perform.remote(item, graph, names))

    def answers(self) -> bool:
        try:
            return self._get(self.actor.answers.remote())
        except OSError:
            return False

    def _get(self, reference):
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error  # as the server said it: refused, or gone
        except self.ray.exceptions.RayError as error:
            raise ConnectionError(f"Ray lost the actor: {error}") from error
