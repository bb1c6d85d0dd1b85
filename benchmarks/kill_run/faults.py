"""What is done to a running server: one function for each fault, and what mends it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from kill_run.replica_set import ReplicaSet

Mend = Callable[[], None]


@dataclass
class Site:
    """What runs: the server's process, and the replica set unless the server has its own mongod."""

    server: int
    restart: Callable[[], int]
    replicas: ReplicaSet | None = None

    def children(self) -> dict[str, psutil.Process]:
        """Return the server's processes by role: one worker of it, its mongod."""
        found = {}
        for child in psutil.Process(self.server).children(recursive=True):
            if "mongod" in child.name():
                found["mongod"] = child
            elif "spawn_main" in " ".join(child.cmdline()):
                found["worker"] = child
        return found


def _nothing() -> None:
    pass


def worker(site: Site) -> Mend:
    """Kill -9 a worker; the supervisor replaces it."""
    site.children()["worker"].kill()
    return _nothing


def server(site: Site) -> Mend:
    """Kill -9 the whole server and start it again."""
    process = psutil.Process(site.server)
    everything = [process, *site.children().values()] if site.replicas else [process]
    for victim in everything:
        victim.kill()
    site.server = site.restart()
    return _nothing


def mongod(site: Site) -> Mend:
    """Kill -9 the embedded mongod; the supervisor starts it again."""
    site.children()["mongod"].kill()
    return _nothing


def primary(site: Site) -> Mend:
    """Kill -9 the primary."""
    return _killed(site, 1)


def majority(site: Site) -> Mend:
    """Kill -9 the primary and one secondary: no writes until they are back, five seconds later."""
    mend = _killed(site, 2)
    time.sleep(5)
    mend()
    return _nothing


def primary_and_worker(site: Site) -> Mend:
    """Kill -9 the primary and a worker in the same moment."""
    mend = primary(site)
    worker(site)
    return mend


def paused_primary(site: Site) -> Mend:
    """Stop the primary (SIGSTOP): it answers nobody and closes no connection; later it wakes up, deposed."""
    assert site.replicas is not None
    return _paused(site.replicas.primary())


def paused_secondary(site: Site) -> Mend:
    """Stop a secondary."""
    assert site.replicas is not None
    return _paused(site.replicas.secondary())


def _paused(member) -> Mend:
    member.send(signal.SIGSTOP)
    return lambda: member.send(signal.SIGCONT)


def _killed(site: Site, count: int) -> Mend:
    assert site.replicas is not None
    first = site.replicas.primary()
    victims = [first, *(m for m in site.replicas.members if m is not first)][:count]
    for member in victims:
        member.send(signal.SIGKILL)

    def mend() -> None:
        for member in victims:
            member.start()

    return mend


#: By the name on the command line; in the order in which they are run. The server's own mongod has fewer.
OF_REPLICA_SET = {
    "primary": primary,
    "worker": worker,
    "paused-primary": paused_primary,
    "paused-secondary": paused_secondary,
    "primary-and-worker": primary_and_worker,
    "server": server,
    "majority": majority,
}
OF_EMBEDDED = {"worker": worker, "server": server, "mongod": mongod}
