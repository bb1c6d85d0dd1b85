"""The collections and their indexes: made with the first write of a type, brought up to date at start.

https://www.mongodb.com/docs/manual/reference/command/createIndexes/
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from fhir_server.search.entries import IndexDescriptor
from fhir_server.store.connection import Connection, failure

#: What every type has besides its own indexes.
COMMON = (
    IndexDescriptor("lu", (("lu", -1),), partial="lu"),
    IndexDescriptor("dl", (("dl", -1),), partial="dl"),
    IndexDescriptor("ck", (("ck", 1),), partial="ck", unique=True),
)
#: Finds who refers to a resource; for servers that refuse deletions of what is referred to.
REFERENCES = IndexDescriptor("rf", (("rf", 1),), partial="rf")
HISTORY = (
    IndexDescriptor("t_lu", (("t", 1), ("lu", -1))),
    IndexDescriptor("lu", (("lu", -1),)),
    IndexDescriptor("p_lu", (("p", 1), ("lu", -1)), partial="p"),
)
_NAMESPACE_EXISTS = 48
_LOOK_AGAIN_SECONDS = 5.0
_INDEX_CONFLICTS = {85, 86}
_log = logging.getLogger(__name__)


class Catalogue:
    """Knows which types exist and which of their indexes are built."""

    def __init__(self, connection: Connection, indexes: Callable[[str], Sequence[IndexDescriptor]]) -> None:
        self._connection = connection
        self._indexes = indexes
        self._built: dict[str, frozenset[str]] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._look_again: dict[str, float] = {}

    def has(self, type_: str) -> bool:
        """Tell whether the type's collection is known to be ready for writes."""
        return type_ in self._built

    def is_built(self, type_: str, index: str) -> bool:
        """Tell whether an index can be hinted at."""
        return index in self._built.get(type_, ())

    async def notice(self, type_: str) -> None:
        """Look, every few seconds at most, whether another worker has made the type's collection."""
        now = time.monotonic()
        if type_ in self._built or now < self._look_again.get(type_, 0.0):
            return
        self._look_again[type_] = now + _LOOK_AGAIN_SECONDS
        descriptors = self._descriptors(type_)
        present = await self._present(type_, descriptors)
        if len(present) == len(descriptors):
            self._built[type_] = present

    async def start(self) -> None:
        """Make ``history``; take stock of what is there; add new indexes in the background, online."""
        await self._make("history", HISTORY)
        for type_ in await self.types():
            descriptors = self._descriptors(type_)
            present = self._built[type_] = await self._present(type_, descriptors)
            missing = sorted({descriptor.name for descriptor in descriptors} - present)
            if missing:
                _log.info("building new indexes of %s: %s", type_, ", ".join(missing))
                self._begin(type_)

    async def ensure(self, type_: str) -> None:
        """Return when the type's collection and its indexes exist; raises Unavailable."""
        if type_ not in self._built:
            # Shielded: a caller that goes away does not interrupt the others who wait.
            await asyncio.shield(self._begin(type_))

    async def make(self, name: str, indexes: Sequence[IndexDescriptor]) -> None:
        """Return when a collection exists that is no type's, with its indexes; raises Unavailable."""
        if name not in self._built:
            await self._make(name, indexes)

    async def refresh(self, type_: str) -> None:
        """Return when all indexes that are described now are built; raises Unavailable."""
        if type_ not in self._built:
            return  # made with the first write
        descriptors = self._descriptors(type_)
        self._built[type_] = await self._present(type_, descriptors)
        if len(self._built[type_]) < len(descriptors):
            await asyncio.shield(self._begin(type_))

    async def types(self) -> tuple[str, ...]:
        """Return the names of the existing types' collections, in order."""
        try:
            names = await self._connection.database.list_collection_names(
                filter={"name": {"$regex": "^[A-Z]"}}, authorizedCollections=True
            )
        except PyMongoError as problem:
            raise failure(problem) from problem
        return tuple(sorted(names))

    async def close(self) -> None:
        """Stop waiting for index builds; the database finishes them on its own."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _descriptors(self, type_: str) -> tuple[IndexDescriptor, ...]:
        """Return the common indexes and the type's own; a type may describe a common one itself."""
        return tuple({index.name: index for index in (*COMMON, *self._indexes(type_))}.values())

    def _begin(self, type_: str) -> asyncio.Task[None]:
        task = self._making.get(type_)
        if task is None:
            task = asyncio.create_task(self._make(type_, self._descriptors(type_)))
            self._making[type_] = task
            task.add_done_callback(lambda done: self._finished(type_, done))
        return task

    def _finished(self, type_: str, task: asyncio.Task[None]) -> None:
        del self._making[type_]
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("the indexes of %s could not be built: %s", type_, problem)

    async def _present(self, type_: str, descriptors: Sequence[IndexDescriptor]) -> frozenset[str]:
        """Return the names of the indexes that exist exactly as described."""
        try:
            found = await self._connection.database[type_].index_information()
        except PyMongoError as problem:
            raise failure(problem) from problem
        return frozenset(
            descriptor.name
            for descriptor in descriptors
            if (index := found.get(descriptor.name)) is not None and _is_as_described(index, descriptor)
        )

    async def _make(self, name: str, descriptors: Sequence[IndexDescriptor]) -> None:
        database = self._connection.database
        try:
            try:
                await database.command(
                    {
                        "create": name,
                        "storageEngine": {"wiredTiger": {"configString": "block_compressor=zstd"}},
                        "writeConcern": {"w": "majority"},
                    }
                )
            except OperationFailure as problem:
                if problem.code != _NAMESPACE_EXISTS:  # another worker was first
                    raise
            await self._index(name, descriptors)
        except PyMongoError as problem:
            raise failure(problem) from problem
        self._built[name] = await self._present(name, descriptors)

    async def _index(self, name: str, descriptors: Sequence[IndexDescriptor]) -> None:
        command = {
            "createIndexes": name,
            "indexes": [specification(descriptor) for descriptor in descriptors],
            "writeConcern": {"w": "majority"},
        }
        try:
            await self._connection.database.command(command)
        except OperationFailure as problem:
            if problem.code not in _INDEX_CONFLICTS:
                raise
            if len(descriptors) > 1:
                for descriptor in descriptors:
                    await self._index(name, (descriptor,))
                return
            _log.error(
                "The index %s of %s has another definition and is left alone: %s. Drop it, then restart.",
                descriptors[0].name,
                name,
                problem.details and problem.details.get("errmsg"),
            )


def specification(descriptor: IndexDescriptor) -> dict[str, Any]:
    """Return the index as createIndexes takes it."""
    made: dict[str, Any] = {"key": dict(descriptor.keys), "name": descriptor.name}
    if descriptor.partial is not None:
        made["partialFilterExpression"] = {descriptor.partial: {"$exists": True}}
    if descriptor.unique:
        made["unique"] = True
    return made


def _is_as_described(index: Mapping[str, Any], descriptor: IndexDescriptor) -> bool:
    wanted = specification(descriptor)
    return (
        [tuple(key) for key in index["key"]] == list(wanted["key"].items())
        and index.get("partialFilterExpression") == wanted.get("partialFilterExpression")
        and bool(index.get("unique")) == descriptor.unique
    )
