"""Receipts: what was done under an Idempotency-Key, so that a repeated request is answered and not done again.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. Each commit under a key notes its changes
in the receipt, in its own transaction and only while its token stands there: an attempt that was given up can never
write after a later one took over, and what was written is never written again. MongoDB drops receipts after a day.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError

from fhir_server.store.connection import Connection, failure
from fhir_server.store.documents import Change, Unavailable

#: Receipts are kept for so long, seconds.
KEPT_SECONDS = 24 * 3600
#: An attempt that has not ended after so many seconds is taken to be dead.
LEASE_SECONDS = 90
#: Larger answers are not kept.
LARGEST_ANSWER = 12 << 20
_NAME = "receipts"


class State(Enum):
    """What is known of a key."""

    OURS = "this attempt may go ahead"
    RUNNING = "another attempt is under way"
    ANSWERED = "there is an answer"
    INTERRUPTED = "changes were made, but the answer was lost"
    OTHER = "the key belongs to another request"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A key as ``Receipts.open`` found it; ``changes`` are the ``Type/id/_history/version`` made under it."""

    key: str
    state: State
    token: bytes = b""
    answer: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()


class Receipts:
    """The collection of receipts; every method raises Unavailable when the database does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._receipts = connection.database[_NAME]
        self._is_ready = False

    async def open(self, key: str, fingerprint: bytes) -> Receipt:
        """Return the receipt of a key; it is OURS for one attempt at a time."""
        try:
            if not self._is_ready:
                await self._receipts.create_index("at", expireAfterSeconds=KEPT_SECONDS)
                self._is_ready = True
            while True:
                token = os.urandom(8)
                lease = {"k": token, "until": time.time() + LEASE_SECONDS}
                try:
                    await self._receipts.insert_one(
                        {"_id": key, "f": fingerprint, "at": datetime.now(UTC), **lease}
                    )
                except DuplicateKeyError:
                    found = await self._receipts.find_one({"_id": key})
                    if found is None:
                        continue
                    known = _known(key, fingerprint, found)
                    if known is not None:
                        return known
                    # Given up by its attempt: whoever replaces the token is the next.
                    taken = await self._receipts.update_one(
                        {"_id": key, "k": found["k"], "c": {"$exists": False}}, {"$set": lease}
                    )
                    if taken.modified_count == 0:
                        continue
                return Receipt(key, State.OURS, token)
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def note(self, receipt: Receipt, changes: Sequence[Change], session: AsyncClientSession) -> None:
        """Note the changes of a transaction in it; raise Unavailable when a later attempt has taken over."""
        made = [f"{change.type}/{change.id}/_history/{change.version}" for change in changes]
        command = {
            "update": _NAME,
            "updates": [
                {
                    "q": {"_id": receipt.key, "k": receipt.token},
                    "u": {"$push": {"c": {"$each": made}}},
                }
            ],
        }
        reply = await self._connection.command(command, session)
        if reply["n"] != 1:
            raise Unavailable(
                "Another attempt with the same Idempotency-Key took over; this one wrote nothing."
            )

    async def finish(self, receipt: Receipt, answer: Mapping[str, Any]) -> None:
        """Keep the answer for those who repeat the request."""
        await self._change(receipt, {"$set": {"r": dict(answer)}})

    async def give_up(self, receipt: Receipt, *, is_refused: bool) -> None:
        """Let the next attempt go ahead at once; ``is_refused`` when surely nothing was done, so the key is free."""
        try:
            if is_refused:
                await self._receipts.delete_one(
                    {"_id": receipt.key, "k": receipt.token, "c": {"$exists": False}}
                )
                return
        except PyMongoError as problem:
            raise failure(problem) from problem
        await self._change(receipt, {"$set": {"until": 0.0}})

    async def _change(self, receipt: Receipt, update: Mapping[str, Any]) -> None:
        try:
            await self._receipts.update_one({"_id": receipt.key, "k": receipt.token}, update)
        except PyMongoError as problem:
            raise failure(problem) from problem


def _known(key: str, fingerprint: bytes, found: Mapping[str, Any]) -> Receipt | None:
    """Return the receipt as it is, or None when the next attempt may take it over."""
    if found["f"] != fingerprint:
        return Receipt(key, State.OTHER)
    if "r" in found:
        return Receipt(key, State.ANSWERED, answer=found["r"])
    if found["until"] > time.time():
        return Receipt(key, State.RUNNING)
    if "c" in found:
        return Receipt(key, State.INTERRUPTED, changes=tuple(found["c"]))
    return None
