"""The stored document and the values that cross the store's boundary.

A resource is its final JSON bytes in one field beside a small derived index; see
docs/decisions/0004-storage.md.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fhir_server.search.entries import IndexEntries

#: Order keys are milliseconds shifted left by this, plus tie bits from the id: practically unique int64.
TIE_BITS = 15


def order_key(milliseconds: int, id_: str) -> int:
    """Return the int64 order key of a moment for a resource id (storage of ``lu`` and ``s``)."""
    return (milliseconds << TIE_BITS) | (binascii.crc32(id_.encode()) & ((1 << TIE_BITS) - 1))


def milliseconds(key: int) -> int:
    """Return the milliseconds UTC in an order key."""
    return key >> TIE_BITS


class Method(StrEnum):
    """What made a version (Bundle.entry.request.method of a history entry)."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource as the store holds it.

    ``body`` is the final JSON (empty for a deletion); ``version`` the integer behind meta.versionId and the
    ETag; ``last_updated`` milliseconds UTC; ``key`` the order key of last_updated; ``fields`` further fields
    that a search plan asked for.
    """

    type: str
    id: str
    version: int
    last_updated: int
    key: int
    method: Method
    body: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def is_deleted(self) -> bool:
        """Tell whether this version is a deletion."""
        return self.method is Method.DELETE


@dataclass(frozen=True, slots=True)
class Change:
    """One write: a new version of one resource.

    ``previous`` is the version number that this change replaces (0: the id must not exist yet, not even
    deleted). ``body`` and ``entries`` are empty for a deletion. ``last_updated`` is milliseconds UTC and
    equals meta.lastUpdated in the body.
    """

    method: Method
    type: str
    id: str
    previous: int
    last_updated: int
    body: bytes = b""
    entries: IndexEntries | None = None

    @property
    def version(self) -> int:
        """The version number that the change makes."""
        return self.previous + 1


class VersionConflict(Exception):  # noqa: N818 (the name says what happened)
    """Somebody else wrote first: the resource's version is not ``previous`` any more. Nothing was written."""


class Unavailable(Exception):  # noqa: N818
    """The database did not answer in time; a write's outcome is unknown unless the message says otherwise."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a search or a history, in order."""

    rows: tuple[Stored, ...]
