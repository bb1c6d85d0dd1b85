"""Three members of a replica set on this machine, each a process that can be killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench import free_port
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fhir_server.store import launcher
from fhir_server.store.mongod_binary import find_binary

NAME = "kill"


class Member:
    """One mongod."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, on the data that it left."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), "watch"),
                *(find_binary(None).path, "--replSet", NAME, "--port", str(self.port)),
                *("--bind_ip", "127.0.0.1", "--nounixsocket", "--dbpath", str(self.folder)),
                *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "990", "--quiet"),
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            ],
            stdout=(self.folder.parent / f"{self.folder.name}.log").open("ab"),
            stderr=subprocess.STDOUT,
        )

    def send(self, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL the process is gone."""
        assert self.process is not None
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.wait()

    def state(self) -> str:
        """Return primary, secondary, or "" for neither (or no answer within a second)."""
        try:
            with MongoClient(self.host, directConnection=True, serverSelectionTimeoutMS=1000) as client:
                hello = client.admin.command("hello")
        except PyMongoError:
            return ""
        if hello.get("isWritablePrimary"):
            return "primary"
        return "secondary" if hello.get("secondary") else ""


class ReplicaSet:
    """The members; the URI names them all."""

    def __init__(self, folder: Path, members: int = 3) -> None:
        self.members = [Member(folder / f"member-{number}") for number in range(members)]
        self.uri = f"mongodb://{','.join(member.host for member in self.members)}/?replicaSet={NAME}"

    def start(self) -> None:
        """Start all members and return when there is a primary."""
        for member in self.members:
            member.start()
        config = {
            "_id": NAME,
            "members": [{"_id": number, "host": member.host} for number, member in enumerate(self.members)],
            "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500},
        }
        with MongoClient(self.members[0].host, directConnection=True) as client:
            client.admin.command({"replSetInitiate": config})
        self.until_whole()

    def primary(self) -> Member:
        """Return the primary, waiting for one."""
        return self._until(lambda: next((m for m in self.members if m.state() == "primary"), None))

    def secondary(self) -> Member:
        """Return a secondary."""
        return self._until(lambda: next((m for m in self.members if m.state() == "secondary"), None))

    def until_whole(self) -> None:
        """Return when one member is primary and all others are secondaries."""
        self._until(
            lambda: (
                sorted(m.state() for m in self.members)
                == ["primary", *["secondary"] * (len(self.members) - 1)]
            )
        )

    @staticmethod
    def _until(look, seconds: float = 90):
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise SystemExit("the replica set did not come to rest")
            time.sleep(0.1)
        return found

    def stop(self) -> None:
        """Stop all members."""
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                member.send(signal.SIGCONT)
                member.send(signal.SIGKILL)
