"""The stored document and the values that cross the store's boundary.

A resource is its final JSON bytes in one field beside a small derived index; see
docs/decisions/0004-storage.md.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fhir_server.search.entries import IndexEntries
from fhir_server.store.content import Content

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
    that a search plan asked for; ``source`` what a commit needs to replace this version; ``large`` the contents
    whose tokens stand in the body (``Contents.filled`` and ``spliced`` put them back);
    ``patients`` are the ids of the patients that the version is about.
    """

    type: str
    id: str
    version: int
    last_updated: int
    key: int
    method: Method
    body: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    large: tuple[Content, ...] = ()
    patients: tuple[str, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Tell whether this version is a deletion."""
        return self.method is Method.DELETE

    @property
    def size(self) -> int:
        """Bytes of the whole JSON, about."""
        return len(self.body) + sum(content.text_size for content in self.large)


@dataclass(frozen=True, slots=True)
class Change:
    """One write: a new version of one resource.

    ``previous`` is the version number that this change replaces (0: the id must not exist yet, not even
    deleted). ``body`` and ``entries`` are empty for a deletion. ``last_updated`` is milliseconds UTC, equals
    meta.lastUpdated in the body and is later than that of the version before. ``claim`` is the key of a
    conditional create (a hash of type and criteria): two living documents of a type never hold the same one.
    ``replaces`` is the version ``previous`` as ``Store.read`` returned it: it spares the commit a query.
    ``security`` are the access keys of the version (``access.keys``); a deletion keeps those of the version before.
    ``references`` are the ``Type/id`` that the resource
    refers to, kept where deletions of what is referred to are refused. ``large`` are contents whose tokens stand in
    the body; those of ``replaces`` may, too. Other large content is moved out by the commit.
    ``holds`` are the names that the resource holds from now on and no other one may; None leaves them as they are.
    """

    method: Method
    type: str
    id: str
    previous: int
    last_updated: int
    body: bytes = b""
    entries: IndexEntries | None = None
    claim: str | None = None
    replaces: Stored | None = None
    security: Mapping[str, Any] = field(kw_only=True)
    references: tuple[str, ...] = ()
    large: tuple[Content, ...] = ()
    holds: tuple[str, ...] | None = None

    @property
    def version(self) -> int:
        """The version number that the change makes."""
        return self.previous + 1

    @property
    def patients(self) -> tuple[str, ...]:
        """The ids of the patients that the version is about, and those that the one before was about."""
        before = self.replaces.patients if self.replaces is not None else ()
        if self.entries is None or self.entries.patient is None:
            return before
        own = (self.entries.patient, *map(_id_of, self.entries.other_compartments))
        return own if not before or before == own else tuple(dict.fromkeys((*own, *before)))


class VersionConflict(Exception):  # noqa: N818 (the name says what happened)
    """Somebody else wrote first: the resource's version is not ``previous`` any more. Nothing was written."""


class ClaimTaken(Exception):  # noqa: N818
    """Another document holds the ``claim``: a conditional create found out late that it has a match."""


class NameTaken(Exception):  # noqa: N818
    """Another resource holds one of the names of ``Change.holds``. Nothing was written."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Unavailable(Exception):  # noqa: N818
    """The database did not answer in time; a write's outcome is unknown unless the message says otherwise."""


class TimeLimit(Unavailable):
    """A query was stopped at its time limit; a narrower one may succeed."""


class Unsuitable(Exception):  # noqa: N818
    """This database can't serve as a store; the message says why and what to do."""


#: A page of a search or history holds no more than this, unless its first row alone does.
PAGE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a search or a history, in order.

    ``next`` is the cursor of the history page that follows, None on the last page and for searches (whose
    plans carry their own cursor). ``is_cut`` tells that a search page would have been too large: its last row
    belongs to the next page.
    """

    rows: tuple[Stored, ...]
    next: str | None = None
    is_cut: bool = False


def indexed(entries: IndexEntries, id_: str) -> dict[str, Any]:
    """Return the fields of a stored document that index entries make; absent values have no field."""
    made: dict[str, Any] = {}
    if entries.patient is not None:
        made["p"] = entries.patient
    if entries.other_compartments:
        made["cp"] = list(entries.other_compartments)
    if entries.main_date is not None:
        made["s"] = order_key(entries.main_date, id_)
    made["i"] = entries.values
    if entries.raw:
        made["x"] = entries.raw
    return made


def fitting(rows: Sequence[Stored]) -> int:
    """Return how many rows fit on a page, one at least."""
    total = 0
    for number, row in enumerate(rows):
        total += row.size
        if number and total > PAGE_BYTES:
            return number
    return len(rows)


def document(change: Change, token: bytes) -> dict[str, Any]:
    """Return the stored document of a change that is no deletion; absent values have no field."""
    entries = change.entries
    assert entries is not None, "only a deletion has no index entries"
    made: dict[str, Any] = {
        "_id": change.id,
        "v": change.version,
        "lu": order_key(change.last_updated, change.id),
        "w": token,
        "m": change.method.value,
        **indexed(entries, change.id),
    }
    if change.claim is not None:
        made["ck"] = change.claim
    if change.security:
        made["_sec"] = dict(change.security)
    if change.references:
        made["rf"] = list(change.references)
    if change.large:
        made["b"] = [content.document() for content in change.large]
    made["j"] = change.body
    return made


def tombstone(change: Change, token: bytes, previous: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a deletion: in no search index, with the access keys in ``_sec``."""
    security = {**previous.get("_sec", {}), **change.security}
    if "p" in previous:
        security["own"] = previous["p"]
    made = {
        "_id": change.id,
        "v": change.version,
        "dl": order_key(change.last_updated, change.id),
        "w": token,
        "m": Method.DELETE.value,
        "del": True,
    }
    return {**made, "_sec": security} if security else made


#: What a history copy needs of the version that it copies.
HISTORY_FIELDS = {"v": 1, "lu": 1, "dl": 1, "w": 1, "m": 1, "p": 1, "cp": 1, "_sec": 1, "b": 1, "j": 1}


def history_id(type_: str, id_: str, version: int) -> str:
    """Return the ``_id`` of a version in ``history``; text order is version order."""
    return f"{type_}/{id_}/{version:08d}"


def history_copy(type_: str, previous: Mapping[str, Any], superseded: int) -> dict[str, Any]:
    """Return the ``history`` document of a version that is about to be replaced, tombstones included.

    ``superseded`` is the lastUpdated of the version that replaces it.
    """
    id_ = previous["_id"]
    made = {
        "_id": history_id(type_, id_, previous["v"]),
        "t": type_,
        "id": id_,
        "v": previous["v"],
        "lu": previous["dl"] if "dl" in previous else previous["lu"],
        "u": order_key(superseded, id_),
        "w": previous["w"],
        "m": previous["m"],
    }
    security = previous.get("_sec", {})
    patient = previous.get("p", security.get("own"))
    if patient is not None:
        made["p"] = patient
    if security:
        made["_sec"] = security
    if "b" in previous:
        made["b"] = previous["b"]
    if "j" in previous:
        made["j"] = previous["j"]
    return made


#: Access keys that say of a resource, not only of one version, from whom it is hidden.
_HIDING = ("conf", "lab", "mask", "hid")


def hiding_of_history(change: Change, previous: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the update statement that hides or shows all earlier versions as the new one; None: they are as it is."""
    before, now = previous.get("_sec", {}), change.security
    if not now or all(before.get(name) == now.get(name) for name in _HIDING):
        return None
    statement: dict[str, Any] = {"$set": {f"_sec.{name}": now[name] for name in _HIDING if name in now}}
    if absent := {f"_sec.{name}": "" for name in _HIDING if name not in now}:
        statement["$unset"] = absent
    beginning = f"{change.type}/{change.id}"
    copies = {"_id": {"$gt": f"{beginning}/", "$lt": f"{beginning}0"}}  # "0" follows "/"
    return {"q": copies, "u": statement, "multi": True}


#: The fields that ``stored`` reads, of current documents and of history copies.
STORED_FIELDS = {"v": 1, "lu": 1, "dl": 1, "m": 1, "p": 1, "cp": 1, "b": 1, "j": 1}


def stored(
    type_: str, id_: str, document: Mapping[str, Any], fields: Iterable[str] = (), *, is_whole: bool = False
) -> Stored:
    """Return a document as the value for the boundary; ``is_whole`` when it has all HISTORY_FIELDS."""
    key = document["dl"] if "dl" in document else document["lu"]
    return Stored(
        type_,
        id_,
        document["v"],
        key >> TIE_BITS,
        key,
        _METHODS[document["m"]],
        document.get("j", b""),
        {name: document[name] for name in fields if name in document} if fields else {},
        document if is_whole else None,
        tuple(map(Content.of, document["b"])) if "b" in document else (),
        _patients(document),
    )


def _patients(document: Mapping[str, Any]) -> tuple[str, ...]:
    home = document["p"] if "p" in document else document.get("_sec", {}).get("own")
    return () if home is None else (home, *map(_id_of, document.get("cp", ())))


def _id_of(reference: str) -> str:
    return reference.rpartition("/")[2]


_METHODS = {method.value: method for method in Method}
