"""What a search asks, as typed nodes: each gives the MongoDB filter and answers the same question in memory.

Leaves hold a field of the stored document, an operator and typed values; nothing downstream parses text
again. The in-memory form serves tests and subscriptions and reads a document ``{_id, lu, p, cp, i, x}`` like
the stored one.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Kilometres, as MongoDB's documentation converts distances to radians.
EARTH_RADIUS = 6378.1

Filter = dict[str, Any]
Document = Mapping[str, Any]


class Expression(ABC):
    """A node; ``filter`` and ``matches`` must agree for every document."""

    __slots__ = ()

    @abstractmethod
    def filter(self) -> Filter:
        """Return the MongoDB filter of the node."""

    @abstractmethod
    def matches(self, document: Document) -> bool:
        """Tell whether a document answers the node."""


@dataclass(frozen=True, slots=True)
class Exists(Expression):
    """The field is there."""

    field: str

    def filter(self) -> Filter:
        """Return the existence test."""
        return {self.field: {"$exists": True}}

    def matches(self, document: Document) -> bool:
        """Tell whether the document has the field."""
        return read(document, self.field) is not None


@dataclass(frozen=True, slots=True)
class Equal(Expression):
    """One of the field's values is one of these."""

    field: str
    values: tuple[str, ...]

    def filter(self) -> Filter:
        """Return an equality, or ``$in`` for several values."""
        return {self.field: self.values[0] if len(self.values) == 1 else {"$in": list(self.values)}}

    def matches(self, document: Document) -> bool:
        """Tell whether a value is equal to one of these."""
        return any(value in self.values for value in texts(document, self.field))


@dataclass(frozen=True, slots=True)
class Differs(Expression):
    """One of the field's values is none of these."""

    field: str
    values: tuple[str, ...]

    def filter(self) -> Filter:
        """Return the test of a single value, and of the elements of an array."""
        others = {"$nin": list(self.values)}
        single = {"$exists": True, **others, "$not": {"$type": "array"}}
        return {"$or": [{self.field: {"$elemMatch": others}}, {self.field: single}]}

    def matches(self, document: Document) -> bool:
        """Tell whether a value is none of these."""
        return any(value not in self.values for value in texts(document, self.field))


@dataclass(frozen=True, slots=True)
class Near(Expression):
    """The point of the field is within a distance of a place (degrees, kilometres) on the sphere."""

    field: str
    latitude: float
    longitude: float
    kilometres: float

    def filter(self) -> Filter:
        """Return the circle on the sphere."""
        circle = [[self.longitude, self.latitude], min(self.kilometres / EARTH_RADIUS, math.pi)]
        return {self.field: {"$geoWithin": {"$centerSphere": circle}}}

    def matches(self, document: Document) -> bool:
        """Tell whether the great-circle distance is small enough."""
        point = read(document, self.field)
        if point is None:
            return False
        longitude, latitude = (math.radians(degrees) for degrees in point["coordinates"])
        here = math.radians(self.latitude)
        half = math.sin((latitude - here) / 2) ** 2
        half += (
            math.cos(latitude)
            * math.cos(here)
            * math.sin((longitude - math.radians(self.longitude)) / 2) ** 2
        )
        return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(half))) <= self.kilometres


@dataclass(frozen=True, slots=True)
class Pattern(Expression):
    """One of the field's texts fits a pattern that a parameter type made of escaped text."""

    field: str
    pattern: str
    #: The literal text that every match begins with; an index is read from there.
    prefix: str = ""

    def filter(self) -> Filter:
        """Return the regular expression."""
        return {self.field: {"$regex": self.pattern}}

    def matches(self, document: Document) -> bool:
        """Tell whether a text fits."""
        return any(re.search(self.pattern, text) is not None for text in texts(document, self.field))


@dataclass(frozen=True, slots=True)
class Elements(Expression):
    """One sub-document of an array answers a node whose fields are relative to the sub-document."""

    field: str
    inner: Expression

    def filter(self) -> Filter:
        """Return the inner filter for one and the same element."""
        return {self.field: {"$elemMatch": self.inner.filter()}}

    def matches(self, document: Document) -> bool:
        """Tell whether one element matches."""
        return any(self.inner.matches(element) for element in read(document, self.field) or ())


Test = tuple[str, str, float | str]
"""One comparison on a member of an interval entry: (member, operator, bound); member "" is the entry
itself."""

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, bound: bool(value == bound),
    "$gt": lambda value, bound: bool(value > bound),
    "$gte": lambda value, bound: bool(value >= bound),
    "$lt": lambda value, bound: bool(value < bound),
    "$lte": lambda value, bound: bool(value <= bound),
}


@dataclass(frozen=True, slots=True)
class Within(Expression):
    """One entry of the field passes all tests of one alternative.

    ``repeats`` is the field's stored shape: arrays need ``$elemMatch``, so that one entry passes all tests,
    and
    ``$elemMatch`` never matches a bare sub-document.
    """

    field: str
    repeats: bool
    alternatives: tuple[tuple[Test, ...], ...]

    def filter(self) -> Filter:
        """Return the bounds in the form that the field's shape needs."""
        if not self.repeats:
            filters = [_bounds(tests, f"{self.field}.") for tests in self.alternatives]
            return filters[0] if len(filters) == 1 else {"$or": filters}
        inner = [_bounds(tests, "") for tests in self.alternatives]
        if any("" in one for one in inner):  # plain values: $elemMatch takes operators, which know no $or
            return _any([{self.field: {"$elemMatch": one[""]}} for one in inner])
        return {self.field: {"$elemMatch": _any(inner)}}

    def matches(self, document: Document) -> bool:
        """Tell whether an entry passes."""
        found = read(document, self.field)
        entries = found if isinstance(found, list) else [] if found is None else [found]
        return any(
            all(_passes(entry, test) for test in tests) for entry in entries for tests in self.alternatives
        )

    def bounds(self, low: str, high: str) -> tuple[Any, Any]:
        """Return the least and greatest value of member ``high`` in any match, None where nothing follows.

        ``low`` is the member that is never greater than ``high``. Bounds are inclusive only if the tests are.
        """
        least: list[Any] = []
        greatest: list[Any] = []
        for tests in self.alternatives:
            above = [b for member, op, b in tests if member in {low, high} and op in {"$gte", "$gt", "$eq"}]
            below = [b for member, op, b in tests if member == high and op in {"$lte", "$lt", "$eq"}]
            least.append(max(above) if above else None)
            greatest.append(min(below) if below else None)
        return (
            None if None in least else min(least),
            None if None in greatest else max(greatest),
        )


def _any(filters: list[Filter]) -> Filter:
    return filters[0] if len(filters) == 1 else {"$or": filters}


def _bounds(tests: tuple[Test, ...], prefix: str) -> Filter:
    found: Filter = {}
    for member, operator, bound in tests:
        key = prefix + member if member else prefix.removesuffix(".")
        found.setdefault(key, {})[operator] = bound
    return found


def _passes(entry: Any, test: Test) -> bool:
    member, operator, bound = test
    value = entry.get(member) if member else entry
    return value is not None and _OPERATORS[operator](value, bound)


def read(document: Document, field: str) -> Any:
    """Return the value of a field such as ``i.code`` or ``lu``, or None."""
    head, _, rest = field.partition(".")
    value = document.get(head)
    return value.get(rest) if rest and isinstance(value, Mapping) else value


def texts(document: Document, field: str) -> Iterable[str]:
    """Return the texts of a field that holds one or an array of them."""
    value = read(document, field)
    return value if isinstance(value, list) else () if value is None else (value,)
