"""Which versions a history asks for, as filters on the collections that hold them.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.access.policy import of_deletions
from fhir_server.store.documents import STORED_FIELDS, TIE_BITS, Method, history_id

LARGEST_KEY = (1 << 63) - 1
_TIES = (1 << TIE_BITS) - 1

Listed = Sequence[tuple[str, str, int]]
"""Versions by type, id and number; 0 stands for all versions of the resource."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which versions are asked for.

    ``since`` and ``until`` are inclusive milliseconds UTC of lastUpdated. ``at`` are the first and last
    millisecond of a period: versions that were current at some time in it; of deletions those made in it.
    """

    since: int | None = None
    until: int | None = None
    at: tuple[int, int] | None = None
    ascending: bool = False

    @property
    def direction(self) -> int:
        """The direction of order keys in the database's terms."""
        return 1 if self.ascending else -1

    def keys(self) -> tuple[int, int]:
        """Return the smallest and largest order key that a version may have."""
        ends = [moment for moment in (self.until, self.at and self.at[1]) if moment is not None]
        low = 0 if self.since is None else self.since << TIE_BITS
        return low, (min(ends) << TIE_BITS) | _TIES if ends else LARGEST_KEY

    def of_deletions(self, field: str) -> list[dict[str, Any]]:
        """Return the further conditions on current tombstones."""
        return [] if self.at is None else [{field: {"$gte": self.at[0] << TIE_BITS}}]

    def of_superseded(self) -> list[dict[str, Any]]:
        """Return the further conditions on documents of ``history``: ``u`` is when the version was superseded."""
        if self.at is None:
            return []
        begin = self.at[0] << TIE_BITS
        return [
            {"u": {"$gt": begin | _TIES}},
            {"$or": [{"m": {"$ne": Method.DELETE.value}}, {"lu": {"$gte": begin}}]},
        ]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which collections a history reads and what of them: of the resource ``id``, or of those ``listed``.

    ``visible`` has the types that the caller may ask for, each with the filter of what the caller may see;
    ``is_whole`` tells that they are all types there are.
    """

    visible: Mapping[str, Mapping[str, Any]]
    is_whole: bool
    span: Span
    id: str | None = None
    listed: Listed | None = None

    def conditions(self, low: int, high: int) -> list[tuple[str, dict[str, Any]]]:
        """Return (collection, filter) of each source, living and deleted apart; ``history`` comes last."""
        made = []
        for type_, visible in self.visible.items():
            own = self._current(type_)
            for field, further in (
                ("lu", [visible]),
                ("dl", [*self.span.of_deletions("dl"), of_deletions(visible)]),
            ):
                condition = {field: {"$gte": low, "$lte": high}}
                made.append((type_, all_of(own, condition, *further)))
        return [*made, ("history", self.superseded(low, high))]

    def superseded(self, low: int, high: int) -> dict[str, Any]:
        """Return the filter on ``history``."""
        condition: dict[str, Any] = {"lu": {"$gte": low, "$lte": high}}
        return all_of(self._old(), condition, *self.span.of_superseded(), self._visible_old())

    def _current(self, type_: str) -> dict[str, Any]:
        """Return the condition on a type's collection that picks resources."""
        if self.listed is not None:
            return {
                "$or": [
                    {"_id": id_, **({"v": version} if version else {})}
                    for of_type, id_, version in self.listed
                    if of_type == type_
                ]
            }
        return {} if self.id is None else {"_id": self.id}

    def _old(self) -> dict[str, Any]:
        """Return the condition on ``history`` that picks resources."""
        if self.listed is not None:
            return {
                "$or": [
                    {"_id": history_id(type_, id_, version) if version else of_resource(type_, id_)}
                    for type_, id_, version in self.listed
                ]
            }
        if self.id is not None:
            [type_] = self.visible
            return {"_id": of_resource(type_, self.id)}
        return {} if self.is_whole or len(self.visible) > 1 else {"t": next(iter(self.visible))}

    def _visible_old(self) -> dict[str, Any]:
        """Return the condition on ``history`` that leaves what the caller may see."""
        shared: list[tuple[Mapping[str, Any], list[str]]] = []
        for type_, visible in self.visible.items():
            for condition, types in shared:
                if condition == visible:
                    types.append(type_)
                    break
            else:
                shared.append((visible, [type_]))
        if len(shared) == 1 and (self.is_whole or len(self.visible) == 1):
            return dict(shared[0][0])
        return {"$or": [all_of({"t": {"$in": types}}, condition) for condition, types in shared]}

    def sources(self, low: int, high: int, count: int | None) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return (collection, pipeline) of each source; ``history`` comes last."""
        made = []
        for number, (name, condition) in enumerate(self.conditions(low, high)):
            is_old = name == "history"
            field = "dl" if number % 2 and not is_old else "lu"
            fields: dict[str, Any] = {"t": 1, "id": 1}
            if not is_old:
                fields = {"t": {"$literal": name}, "id": "$_id"}
            stages: list[dict[str, Any]] = [
                {"$match": condition},
                {"$sort": {field: self.span.direction}},
                *([] if count is None else [{"$limit": count}]),
                {"$project": {**STORED_FIELDS, **fields, "k": f"${field}"}},
            ]
            made.append((name, stages))
        return made


def of_resource(type_: str, id_: str) -> dict[str, str]:
    """Return the condition on ``_id`` in ``history`` that picks the versions of one resource."""
    return {"$gt": f"{type_}/{id_}/", "$lt": f"{type_}/{id_}0"}  # "0" follows "/"


def all_of(*conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition that all of these hold; empty ones say nothing."""
    parts = [dict(condition) for condition in conditions if condition]
    return parts[0] if len(parts) == 1 else {"$and": parts}
