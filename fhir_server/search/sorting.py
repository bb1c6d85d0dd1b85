"""The total order of a search's matches, and how a page is cut out of it.

Two kinds: an order key of the document (``s``, ``lu``, ``_id``), which an index may deliver; and keys
computed for each document, for every other ``_sort``. In both, resources without a value come last whatever
the direction. https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol, TypeVar

from fhir_server.search.expression import Filter
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.parameters import TYPES, full_text
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry
from fhir_server.search.result_parameters import NAMES, SCORE, SortKey
from fhir_server.search.walked import WalkedIndex, walked_index


class Row(Protocol):
    """What paging reads of a row: id, order key of the last update, fields of the projection."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> int: ...  # noqa: D102
    @property
    def fields(self) -> Mapping[str, Any]: ...  # noqa: D102


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Cut:
    """A place between two rows: after the row with these sort values and this id.

    Without ``id`` it is after all rows with these values.
    """

    values: tuple[Any, ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """The order of one field; rows with equal keys are ordered by id, in a query of their own."""

    field: str
    descending: bool

    def key(self, row: Row) -> Any:
        """Return the row's value of the field, None when it has none."""
        if self.field == "_id":
            return row.id
        return row.key if self.field == "lu" else row.fields.get(self.field)

    def sort(self, *, backwards: bool) -> tuple[tuple[str, int], ...]:
        """Return the sort that an index may deliver."""
        return ((self.field, -1 if self.descending != backwards else 1),)

    def beyond(self, key: Any, *, backwards: bool) -> Filter:
        """Return the rows after the group with this key, or (backwards) that group and the rows before it.

        Rows without a key are not among them: after all others, they are a group of their own.
        """
        if backwards:
            return {self.field: {"$gte" if self.descending else "$lte": key}}
        return {self.field: {"$lt" if self.descending else "$gt": key}}

    def group(self, cut: Cut, *, backwards: bool) -> Filter:
        """Return the rows with the cut's key after its id, or (backwards) up to and including it."""
        [key] = cut.values
        found: Filter = {self.field: {"$exists": False} if key is None else key}
        if backwards:
            found["_id"] = {"$lte": cut.id}
        elif cut.id:
            found["_id"] = {"$gt": cut.id}
        return found


@dataclass(frozen=True, slots=True)
class ComputedOrder:
    """The order of several computed keys, then of the id: (name, expression, descending).

    ``walked`` is an index that delivers it, but for resources without the first key and for ties.
    """

    keys: tuple[tuple[str, Any, bool], ...]
    walked: WalkedIndex | None = None

    @property
    def computed(self) -> dict[str, Any]:
        """The fields to add: ``m0`` tells that the value is missing, ``k0`` is the value, and so on."""
        found: dict[str, Any] = {}
        for name, expression, _ in self.keys:
            found[f"k{name}"] = expression
            found[f"m{name}"] = {"$lte": [expression, None]}
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The computed fields in order of their weight."""
        return tuple(f"{letter}{name}" for name, _, _ in self.keys for letter in "mk")

    def _directions(self) -> list[tuple[str, bool]]:
        return [
            *((f"{letter}{name}", letter == "k" and down) for name, _, down in self.keys for letter in "mk"),
            ("_id", False),
        ]

    def sort(self, *, backwards: bool) -> tuple[tuple[str, int], ...]:
        """Return the sort keys."""
        return tuple((name, -1 if down != backwards else 1) for name, down in self._directions())

    def cut(self, row: Row) -> Cut:
        """Return the place after a row."""
        return Cut(tuple(row.fields.get(name) for name in self.names), row.id)

    def is_tie(self, one: Row, other: Row) -> bool:
        """Tell whether only their ids tell the order of two rows."""
        return all(one.fields.get(name) == other.fields.get(name) for name in self.names)

    def with_ties_by_id(self, rows: Sequence[R]) -> list[R]:
        """Return rows that stand in the order of their keys, with those that have equal keys by their ids."""
        groups = groupby(rows, key=lambda row: tuple(row.fields.get(name) for name in self.names))
        return [row for _, ties in groups for row in sorted(ties, key=lambda row: row.id)]

    def beyond(self, cut: Cut, *, backwards: bool) -> Filter:
        """Return the rows after the cut, or (backwards) up to and including it."""
        values = (*cut.values, cut.id)
        alternatives: list[Filter] = []
        equal: Filter = {}
        for (name, down), value in zip(self._directions(), values, strict=True):
            if value is not None:
                alternatives.append({**equal, name: {"$lt" if down != backwards else "$gt": value}})
            equal = {**equal, name: value}
        if backwards:
            alternatives.append(equal)
        return {"$or": alternatives}


Order = KeyOrder | ComputedOrder

#: The computed field that holds the relevance of a match, where matches are ordered by it.
RELEVANCE = f"k{SCORE}"


def order_of(query: SearchQuery, default: str, registry: Registry) -> Order:
    """Return the order that ``_sort`` asks for; without it, by the order key ``default``, newest first."""
    rules = query.sort
    terms = full_text.terms(query.expression)
    if not rules:
        if not terms:
            return KeyOrder(default, descending=True)
        rules = (SortKey(SCORE, descending=True),)
    first = rules[0]
    if first.name in {"_lastUpdated", "_id"}:  # unique, or as good as: nothing after it can matter
        return KeyOrder({"_lastUpdated": "lu", "_id": "_id"}[first.name], first.descending)
    main = MAIN_DATES.get(query.type, ())
    if len(rules) == 1 and first.descending and main == (first.name,):
        return KeyOrder("s", descending=True)
    if walked := walked_index(query, registry):
        return _walked_order(query, walked, registry)
    keys: list[tuple[str, Any, bool]] = []
    for rule in rules:
        if rule.name == SCORE:
            keys.append((SCORE, full_text.relevance(terms), rule.descending))
            continue
        if rule.name == "_id":
            expressions: tuple[Any, ...] = ("$_id",)
        elif rule.name == "_lastUpdated":
            expressions = ("$lu",)
        else:
            expressions = _expressions(query.type, rule.name, rule.descending, registry)
        keys += [(str(len(keys) + n), e, rule.descending) for n, e in enumerate(expressions)]
    return ComputedOrder(tuple(keys))


def _walked_order(query: SearchQuery, walked: WalkedIndex, registry: Registry) -> ComputedOrder:
    """Return the order of an index: by its field, then by its order key, the other way round."""
    [expression] = _expressions(query.type, query.sort[0].name, walked.descending, registry)
    keys = [("0", expression, walked.descending)]
    if walked.tie:  # without a main date: as if it were before all others
        keys.append(("1", {"$ifNull": [f"${walked.tie}", _BEFORE_ALL]}, not walked.descending))
    return ComputedOrder(tuple(keys), walked)


_BEFORE_ALL = -(1 << 63)


def is_order_of(query: SearchQuery, key: str, registry: Registry) -> bool:
    """Tell whether the matches are ordered by an order key alone, ``s`` or ``lu``."""
    order = order_of(query, key, registry)
    return isinstance(order, KeyOrder) and order.field == key


def with_order(query: SearchQuery, key: str) -> SearchQuery | None:
    """Return the query with its default order as ``_sort``, so that later pages keep it; None when none says it."""
    if query.sort:
        return query
    main = MAIN_DATES.get(query.type, ())
    name = "_lastUpdated" if key == "lu" else main[0] if len(main) == 1 else ""
    if not name:
        return None
    results = replace(query.results, sort=(SortKey(name, descending=True),))
    at = next(n for n, pair in enumerate((*query.self_parameters, ("_count", ""))) if pair[0] in NAMES)
    pairs = (*query.self_parameters[:at], ("_sort", f"-{name}"), *query.self_parameters[at:])
    return replace(query, results=results, self_parameters=pairs)


def _expressions(type_: str, name: str, descending: bool, registry: Registry) -> tuple[Any, ...]:
    parameters = registry.parameters(type_)
    parameter = parameters.by_name[name]
    sort = TYPES[parameter.type].sort
    if not parameter.parts:
        return sort(parameter, descending)
    parts = [sort(parameters.by_name[part], descending) for part in parameter.parts]
    operator = "$max" if descending else "$min"
    return tuple({operator: list(expressions)} for expressions in zip(*parts, strict=True))
