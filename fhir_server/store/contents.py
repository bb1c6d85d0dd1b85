"""Large content in chunks: written before the version that refers to it, visible with it or not at all.

``bin.files`` has one document a content. While it is ``open`` nothing refers to it; the transaction that stores the
version keeps it. What stays open for an hour belongs to a write that failed, and is swept. Chunks have one size, so
that any range is found by arithmetic. https://hl7.org/fhir/R4/binary.html, docs/decisions/0043-large-content.md
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from fhir_server.store.connection import Connection, failure
from fhir_server.store.content import Content, base64_size, large_texts, new_token, pieces
from fhir_server.store.documents import Change, Stored, Unavailable

#: Bytes of a chunk; a multiple of 3, so that chunks are encoded in base64 one by one.
CHUNK = 1020 * 1024
#: Milliseconds after which content that nothing refers to belongs to no write under way.
ABANDONED = 3_600_000
#: Larger bodies than this are moved out with the smaller texts that they hold.
_LARGE_BODY = 8 << 20
_SMALLEST = 16 * 1024
#: Content of a Binary above this stays a token when its body is filled.
_LARGEST_FILLED = 64 << 20
_SWEPT_AT_ONCE = 100
#: More versions than a resource that holds content can have in one reply.
_ALL = 1_000_000
_SWEEP_SECONDS = 600
_FILES, _CHUNKS = "bin.files", "bin.chunks"

_log = logging.getLogger(__name__)


class Contents:
    """The large content of one database; every call raises Unavailable when it does not answer."""

    def __init__(self, connection: Connection, inline: int) -> None:
        self._connection = connection
        self._files = connection.database[_FILES]
        self._chunks = connection.database[_CHUNKS]
        self._is_ready = False
        #: Up to so many bytes content stays in the body.
        self.inline = inline

    async def write(self, parts: AsyncIterable[bytes]) -> Content:
        """Return the content that the parts make, durable but open; memory holds a chunk or two.

        Whatever ``parts`` raises is passed on, and nothing is left.
        """
        token = new_token()
        size = count = 0
        sha256, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
        buffer = bytearray()
        try:
            await self._open(token)
            async for part in parts:
                buffer += part
                while len(buffer) >= CHUNK:
                    chunk = bytes(buffer[:CHUNK])
                    del buffer[:CHUNK]
                    sha256.update(chunk)
                    sha1.update(chunk)
                    await self._chunks.insert_one({"_id": {"f": token, "n": count}, "d": chunk})
                    size += CHUNK
                    count += 1
            if buffer:
                sha256.update(buffer)
                sha1.update(buffer)
                await self._chunks.insert_one({"_id": {"f": token, "n": count}, "d": bytes(buffer)})
                size += len(buffer)
            await self._renew(token)
        except BaseException as problem:
            with suppress(PyMongoError, Unavailable):
                await self._chunks.delete_many(_every_chunk(token))
                await self.discard([token])
            if isinstance(problem, PyMongoError):
                raise failure(problem) from problem
            raise
        return Content(token, size, sha256.digest(), sha1.digest())

    async def read(self, content: Content, first: int = 0, last: int | None = None) -> AsyncIterator[bytes]:
        """Yield what was written of a content, from byte ``first`` to ``last``, both included."""
        end = content.size - 1 if last is None else last
        for number in range(first // CHUNK, end // CHUNK + 1) if end >= first else ():
            command = {"find": _CHUNKS, "filter": {"_id": {"f": content.token, "n": number}}, "limit": 1}
            rows = await self._connection.find(command)
            if not rows:
                raise Unavailable("A part of the content is missing; it was expunged while it was read.")
            start = number * CHUNK
            yield rows[0]["d"][max(0, first - start) : end + 1 - start]

    async def base64(self, content: Content) -> AsyncIterator[bytes]:
        """Yield the base64 text of a content, as it stands in JSON."""
        async for chunk in self.read(content):
            yield base64.b64encode(chunk)

    async def spliced(self, body: bytes, large: Iterable[Content]) -> AsyncIterator[bytes]:
        """Yield a body whose tokens are replaced by the base64 texts."""
        for piece in pieces(body, large):
            if isinstance(piece, bytes):
                yield piece
            else:
                async for text in self.base64(piece):
                    yield text

    async def filled(self, stored: Stored) -> bytes:
        """Return the whole body of a version; a Binary without its content if that has more than 64 MB."""
        if not stored.large or (stored.type == "Binary" and stored.size > _LARGEST_FILLED):
            return stored.body
        return b"".join([part async for part in self.spliced(stored.body, stored.large)])

    # On the way into the database

    def concerns(self, change: Change) -> bool:
        """Tell whether a change may have to do with large content."""
        return bool(
            len(change.body) > self.inline
            or change.large
            or (change.replaces is not None and change.replaces.large)
        )

    async def moved(self, change: Change) -> tuple[Change, list[Content]]:
        """Return the change with its large content moved out, and what was written for that.

        What the version before holds already is referred to again.
        """
        known = (*change.large, *(change.replaces.large if change.replaces is not None else ()))
        body = change.body
        places = list(large_texts(body, base64_size(self.inline) + 1))
        if len(body) - sum(end - begin for begin, end in places) > _LARGE_BODY:
            places = list(large_texts(body, _SMALLEST))
        made: list[Content] = []
        used: list[Content] = []
        left: list[bytes] = []
        at = 0
        try:
            for begin, end in places:
                content = await self._content(body[begin:end], (*known, *made), made)
                if content is not None:
                    used.append(content)
                    left += (body[at:begin], content.token.encode())
                    at = end
        except BaseException:
            await self.discard(content.token for content in made)
            raise
        body = b"".join([*left, body[at:]]) if left else body
        used += [piece for piece in pieces(body, known) if isinstance(piece, Content)]
        return replace(change, body=body, large=tuple(dict.fromkeys(used))), made

    async def _content(self, text: bytes, known: Iterable[Content], made: list[Content]) -> Content | None:
        """Return the content of a base64 text, adding it to ``made`` if it is new.

        None for a text that encoding its bytes would not make again.
        """
        try:
            data = base64.b64decode(text)
        except binascii.Error:
            return None
        if base64.b64encode(data) != text:
            return None
        digest = hashlib.sha256(data).digest()
        for content in known:
            if content.sha256 == digest:
                return content
        made.append(await self.write(_once(data)))
        return made[-1]

    async def keep(self, changes: Sequence[Change], session: AsyncClientSession) -> None:
        """Keep, in the transaction that stores the versions, what they refer to; raise Unavailable if it is gone."""
        for change in changes:
            if not change.large:
                continue
            owner = f"{change.type}/{change.id}"
            tokens = [content.token for content in change.large]
            mine = {"$or": [{"open": {"$exists": True}}, {"o": owner}]}
            command = {
                "update": _FILES,
                "updates": [
                    {
                        "q": {"_id": {"$in": tokens}, "doomed": {"$exists": False}, **mine},
                        # Counted, so that the database notices whoever removes it at this moment.
                        "u": {"$set": {"o": owner}, "$unset": {"open": ""}, "$inc": {"v": 1}},
                        "multi": True,
                    }
                ],
            }
            reply = await self._connection.command(command, session)
            if reply["n"] != len(tokens):
                raise Unavailable("The content was cleared away before the write ended; send it again.")

    # On the way out

    async def discard(self, tokens: Iterable[str]) -> None:
        """Remove those contents that are open still: the write that brought them came to nothing."""
        for token in tokens:
            await self._remove({"_id": token, "open": {"$exists": True}})

    async def holders(
        self, name: str, condition: Mapping[str, Any], session: AsyncClientSession
    ) -> set[tuple[str, str]]:
        """Return type and id of the resources of which documents of a collection refer to content."""
        command = {
            "find": name,
            "filter": {**condition, "b": {"$exists": True}},
            "projection": {"t": 1, "id": 1},
            "batchSize": _ALL,
        }
        rows = (await self._connection.command(command, session))["cursor"]["firstBatch"]
        return {(row["t"], row["id"]) if "t" in row else (name, row["_id"]) for row in rows}

    async def release(self, holders: Iterable[tuple[str, str]], session: AsyncClientSession) -> None:
        """Open, in the transaction that has removed versions, what is left of them; the next sweep removes it."""
        for type_, id_ in holders:
            owner = f"{type_}/{id_}"
            versions = {"_id": {"$gt": f"{owner}/", "$lt": f"{owner}0"}}  # "0" follows "/"
            used: set[str] = set()
            for name, condition in ((type_, {"_id": id_}), ("history", versions)):
                command = {"find": name, "filter": condition, "projection": {"b.f": 1}, "batchSize": _ALL}
                for row in (await self._connection.command(command, session))["cursor"]["firstBatch"]:
                    used.update(part["f"] for part in row.get("b", ()))
            unused = {"o": owner, "_id": {"$nin": list(used)}}
            await self._files.update_many(unused, {"$set": {"open": 0}}, session=session)

    async def sweep(self, now: int) -> int:
        """Remove what failed writes and purges have left; return how much it was. Any worker may, at any time."""
        total = 0
        while found := await self._sweep(now):
            total += found
        return total

    async def _sweep(self, now: int) -> int:
        condition = {"open": {"$lt": now - ABANDONED}}
        command = {
            "find": _FILES,
            "filter": condition,
            "limit": _SWEPT_AT_ONCE,
            "batchSize": _SWEPT_AT_ONCE + 1,
        }
        rows = await self._connection.find(command)
        for row in rows:
            await self._remove({"_id": row["_id"], "open": {"$exists": True}})
        return len(rows)

    async def follow(self) -> None:
        """Sweep every ten minutes or so, as long as the server runs."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 (spreads the workers)
            try:
                await self.sweep(_now())
            except Unavailable as problem:
                _log.warning("abandoned content could not be looked for: %s", problem)

    async def _remove(self, condition: dict[str, Any]) -> None:
        """Doom the content, if the condition holds, then remove its chunks and at last itself.

        Who is stopped in between leaves it open and doomed, for the next sweep.
        """
        token = condition["_id"]
        try:
            found = await self._files.update_one(condition, {"$set": {"open": 0, "doomed": True}})
            if found.matched_count:
                await self._chunks.delete_many(_every_chunk(token))
                await self._files.delete_one({"_id": token, "doomed": True})
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def _open(self, token: str) -> None:
        if not self._is_ready:
            await self._files.create_index("open", sparse=True)
            await self._files.create_index("o", sparse=True)
            self._is_ready = True
        await self._files.insert_one({"_id": token, "open": _now()})

    async def _renew(self, token: str) -> None:
        """Let the hour begin now; raise Unavailable if a sweep has come in between."""
        condition = {"_id": token, "open": {"$exists": True}, "doomed": {"$exists": False}}
        found = await self._files.update_one(condition, {"$set": {"open": _now()}})
        if not found.matched_count:
            raise Unavailable("The content took so long to arrive that it was cleared away; send it again.")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _every_chunk(token: str) -> dict[str, Any]:
    return {"_id": {"$gt": {"f": token, "n": MinKey()}, "$lt": {"f": token, "n": MaxKey()}}}


async def _once(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(data), CHUNK):
        yield bytes(view[start : start + CHUNK])
