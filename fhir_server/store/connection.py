"""The connection to MongoDB: what the server must be, how commands are sent, which failures are outages."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from fhir_server.store.documents import TimeLimit, Unavailable, Unsuitable
from fhir_server.store.mongod_binary import VERSION_FLOOR
from fhir_server.store.retrying import Retrying

#: Acknowledged means: on a majority of the members, and on their disks.
MAJORITY = {"w": "majority", "j": True, "wtimeout": 10_000}
#: Version of the layout of documents and collections.
SCHEMA_VERSION = 1
#: Server errors that say nothing about the command itself: a member stops, steps down, or lost its network.
_OUTAGE_CODES = frozenset((6, 7, 64, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436))
_SECRET_BYTES = 32
#: How often the members of the replica set are asked how they are, milliseconds.
HEARTBEAT_MS = 1000


class Connection:
    """One AsyncMongoClient and one database of it."""

    def __init__(
        self, client: AsyncMongoClient[dict[str, Any]], database: str, limit_ms: int, timeout_s: float
    ) -> None:
        self.timeout_s = timeout_s
        self.client = client
        self.database: AsyncDatabase[dict[str, Any]] = client[database]
        self.limit_ms = limit_ms

    @classmethod
    async def open(cls, uri: str, database: str, *, timeout_s: float, limit_ms: int) -> Connection:
        """Return a checked connection.

        Raises Unavailable when no server answers within ``timeout_s``, Unsuitable when it can't serve as a
        store.
        """
        milliseconds = int(timeout_s * 1000)
        try:
            client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                uri,
                w="majority",
                journal=True,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                # A member that is stopped closes no connection: only a heartbeat that stays out tells.
                heartbeatFrequencyMS=HEARTBEAT_MS,
                appname="fhir-server",
            )
        except (ConfigurationError, InvalidURI) as problem:
            raise Unsuitable(f"The MongoDB connection string can't be used: {problem}") from problem
        connection = cls(client, database, limit_ms, timeout_s)
        try:
            await connection.check()
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Disconnect."""
        await self.client.close()
        # The driver's transports close their sockets in the loop's next rounds, and the loop may end with us.
        for _ in range(3):
            await asyncio.sleep(0)

    async def check(self) -> None:
        """Refuse servers that can't keep the store's promises, and data of another layout."""
        try:
            hello = await self.client.admin.command("hello")
            if "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise Unsuitable(
                    "This MongoDB runs alone, without a replica set; transactions, so a complete history, "
                    "need one. A single member is enough: start mongod with --replSet fhir and run "
                    "rs.initiate() once."
                )
            version = (await self.client.admin.command("buildInfo"))["versionArray"]
            if tuple(version[:2]) < VERSION_FLOOR:
                found = ".".join(map(str, version[:3]))
                raise Unsuitable(
                    f"MongoDB {found} is too old: 6.0 is the oldest that works, 7.0 or newer is better."
                )
            await self._check_schema()
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def _check_schema(self) -> None:
        meta = self.database["meta"]
        found = await meta.find_one({"_id": "schema"})
        if found is None:
            found = await self._settle("schema", {"version": SCHEMA_VERSION})
        if found["version"] != SCHEMA_VERSION:
            raise Unsuitable(
                f"The database '{self.database.name}' has layout {found['version']}, this program reads "
                f"layout {SCHEMA_VERSION}. Use the program that wrote it, or another database name."
            )

    async def secret(self, name: str) -> bytes:
        """Return 32 random bytes that stay the same for this database; made by whoever asks first."""
        try:
            found = await self.database["meta"].find_one({"_id": f"secret:{name}"})
            if found is None:
                found = await self._settle(f"secret:{name}", {"value": secrets.token_bytes(_SECRET_BYTES)})
        except PyMongoError as problem:
            raise failure(problem) from problem
        return bytes(found["value"])

    async def counted(self, name: str) -> int:
        """Return a shared counter; 0 before it was counted up."""
        try:
            found = await self.database["meta"].find_one({"_id": f"counter:{name}"})
        except PyMongoError as problem:
            raise failure(problem) from problem
        return int(found["value"]) if found is not None else 0

    async def count_up(self, name: str) -> None:
        """Count a shared counter up by one."""
        try:
            await self.database["meta"].update_one(
                {"_id": f"counter:{name}"}, {"$inc": {"value": 1}}, upsert=True
            )
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def _settle(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Write a document of ``meta`` unless another worker was first; return the one that counts."""
        meta = self.database["meta"]
        with contextlib.suppress(DuplicateKeyError):
            await meta.insert_one({"_id": name, **fields})
        settled = await meta.find_one({"_id": name})
        assert settled is not None
        return settled

    async def command(
        self, command: Mapping[str, Any], session: AsyncClientSession | None = None
    ) -> dict[str, Any]:
        """Send a command with the time limit; raises the driver's exceptions."""
        return await self.database.command({**command, "maxTimeMS": self.limit_ms}, session=session)

    async def query(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command that only reads, again after an outage; raises Unavailable or TimeLimit."""
        retrying = Retrying(self.timeout_s)
        while True:
            try:
                return await self.command(command)
            except PyMongoError as problem:
                is_passing = is_outage(problem) and not isinstance(problem, ExecutionTimeout)
                if not is_passing or not await retrying.wait():
                    raise failure(problem) from problem

    async def find(self, command: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all documents of a find or aggregate command; raises Unavailable or TimeLimit.

        One plain command is a fifth cheaper than the driver's cursor. Only a reply above 16 MB needs the
        cursor.
        """
        rows, is_cut = await self.find_page(command)
        if not is_cut:
            return rows
        del rows
        try:
            timed = {**command, "maxTimeMS": self.limit_ms}
            return await (await self.database.cursor_command(timed)).to_list()
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def find_page(self, command: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """Return the documents of a find or aggregate command as far as one reply of 16 MB holds them.

        The second value tells whether there are more; at least one document is returned if there is any.
        Raises Unavailable or TimeLimit.
        """
        cursor = (await self.query(command))["cursor"]
        rows: list[dict[str, Any]] = cursor["firstBatch"]
        if cursor["id"] == 0:
            return rows, False
        collection = cursor["ns"].split(".", 1)[1]
        await self.query({"killCursors": collection, "cursors": [cursor["id"]]})
        return rows, True

    async def find_page_and_next(self, command: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """Return what ``find_page`` does, and where the reply was cut the document that follows, as the last one."""
        rows, is_cut = await self.find_page(command)
        if not is_cut:
            return rows, False
        count = len(rows)
        rows = []
        try:
            timed = {**command, "maxTimeMS": self.limit_ms}
            async with await self.database.cursor_command(timed) as cursor:
                cursor.batch_size(1)
                while len(rows) <= count and cursor.alive:
                    rows += await cursor.to_list(count + 1 - len(rows))
        except PyMongoError as problem:
            raise failure(problem) from problem
        return rows, len(rows) > count

    async def ping(self) -> bool:
        """Tell whether a primary answers."""
        try:
            hello = await self.client.admin.command({"hello": 1, "maxTimeMS": 1000})
        except PyMongoError:
            return False
        return bool(hello.get("isWritablePrimary"))


def is_outage(problem: BaseException) -> bool:
    """Tell whether a driver exception means that the database is away, not that the command is wrong."""
    if isinstance(problem, (ConnectionFailure, ExecutionTimeout, WTimeoutError)):
        return True
    return isinstance(problem, OperationFailure) and problem.code in _OUTAGE_CODES


def failure(problem: PyMongoError) -> Exception:
    """Return what to raise for a driver exception of a read: Unavailable, TimeLimit, or itself (a defect)."""
    if isinstance(problem, ExecutionTimeout):
        return TimeLimit("The database did not finish the query within its time limit.")
    if is_outage(problem):
        return Unavailable("The database does not answer at the moment; try again in a few seconds.")
    return problem
