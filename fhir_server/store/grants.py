"""What the development authorization server remembers: clients, codes, grants. Secrets only as their SHA-256.

https://www.rfc-editor.org/rfc/rfc9700
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError

from fhir_server.store.connection import Connection, failure

_NAME = "oauth"


class Grants:
    """One collection of entries by kind and secret; each ends by itself. Every call raises Unavailable."""

    def __init__(self, connection: Connection) -> None:
        self._entries = connection.database[_NAME]
        self._is_ready = False

    async def put(self, kind: str, secret: str, fields: Mapping[str, Any], seconds: float) -> bool:
        """Keep an entry for so long; False when there is one already."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        try:
            if not self._is_ready:
                await self._entries.create_index("until", expireAfterSeconds=0)
                self._is_ready = True
            await self._entries.insert_one(
                {"_id": _id(kind, secret), "entry": kind, "until": until, "used": False, **fields}
            )
        except DuplicateKeyError:
            return False
        except PyMongoError as problem:
            raise failure(problem) from problem
        return True

    async def find(self, kind: str, secret: str) -> dict[str, Any] | None:
        """Return an entry that hasn't ended."""
        try:
            return await self._entries.find_one({"_id": _id(kind, secret), **_living()})
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def take(self, kind: str, secret: str) -> dict[str, Any] | None:
        """Return an entry as it was before, and mark it as used: ``used`` is False for one caller only."""
        try:
            found: dict[str, Any] | None = await self._entries.find_one_and_update(
                {"_id": _id(kind, secret), **_living()}, {"$set": {"used": True}}
            )
        except PyMongoError as problem:
            raise failure(problem) from problem
        return found

    async def change(self, kind: str, secret: str, fields: Mapping[str, Any]) -> None:
        """Set fields of an entry, if there is one."""
        try:
            await self._entries.update_one({"_id": _id(kind, secret)}, {"$set": dict(fields)})
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def count(self, kind: str, secret: str, name: str) -> dict[str, Any] | None:
        """Add one to a number of an entry and return the entry as it is then; None if it has ended."""
        try:
            found: dict[str, Any] | None = await self._entries.find_one_and_update(
                {"_id": _id(kind, secret), **_living()}, {"$inc": {name: 1}}, return_document=True
            )
        except PyMongoError as problem:
            raise failure(problem) from problem
        return found

    async def all(self, kind: str, **where: str) -> list[dict[str, Any]]:
        """Return the entries of a kind with these fields that haven't ended, a thousand at most."""
        try:
            return await self._entries.find({"entry": kind, **where, **_living()}).sort("_id").to_list(1000)
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def end(self, kind: str, **where: str) -> None:
        """Remove the entries of a kind with these fields."""
        try:
            await self._entries.delete_many({"entry": kind, **where})
        except PyMongoError as problem:
            raise failure(problem) from problem


def _id(kind: str, secret: str) -> str:
    return f"{kind}:{hashlib.sha256(secret.encode()).hexdigest()}"


def _living() -> dict[str, Any]:
    return {"until": {"$gt": datetime.fromtimestamp(time.time(), UTC)}}
