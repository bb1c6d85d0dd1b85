"""Pages over several types: one query for each, merged by the time of the last update.

The total order is (``lu``, type, id). As on pages of one type, a group of rows with equal ``lu`` is not split
unless it alone is larger than the page. https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from fhir_server.outcome import error
from fhir_server.search.choosing import choose
from fhir_server.search.combining import Never
from fhir_server.search.entries import SearchPlan
from fhir_server.search.expression import Filter
from fhir_server.search.paging import Filling, Position
from fhir_server.search.plan import base_filter, distributed
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry
from fhir_server.search.sorting import Cut, KeyOrder


class TypedRow(Protocol):
    """What merging reads of a row."""

    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> int: ...  # noqa: D102


R = TypeVar("R", bound=TypedRow)

#: Before and after every "Type/id".
_FIRST, _LAST = "", "~"


class SystemPager(Filling[R]):
    """Fills one page: run all ``plans()``, hand all their rows to ``add()``, until there are no plans.

    ``rows``, ``next``, ``previous`` and ``total`` are those of ``Pager``; the plans fetch rows without bodies.
    """

    def __init__(
        self, queries: Sequence[SearchQuery], registry: Registry, position: Position | None = None
    ) -> None:
        results = queries[0].results
        for rule in results.sort:
            if rule.name != "_lastUpdated":
                raise error(
                    "not-supported",
                    f"Parameter '_sort': a search over several types is sorted by '_lastUpdated' only, "
                    f"not by '{rule.name}'.",
                    status=400,
                )
        self._order = KeyOrder("lu", descending=results.sort[0].descending if results.sort else True)
        self._count = results.count
        self._parts = []
        for query in queries:
            if not isinstance(query.expression, Never):
                choice = choose(query, registry)[0]
                self._parts.append((query.type, choice, base_filter(query, choice)))
        self._start = position or Position()
        self._at: Position | None = self._start if self._parts else None
        self._found: list[R] = []
        self._more: Cut | None = None

    @property
    def _wanted(self) -> int:
        return self._count - len(self._found)

    def plans(self) -> tuple[SearchPlan, ...]:
        """Return the next queries to run; none when the page is complete."""
        if self._at is None:
            return ()
        cut, backwards = self._at.cut, self._at.backwards
        made = []
        for type_, choice, base in self._parts:
            sort = self._order.sort(backwards=backwards)
            place: list[Filter] = []
            if cut is not None and cut.id is not None:
                inside = _inside(type_, cut, backwards=backwards)
                if inside is None:
                    continue
                place, sort = [inside], (("_id", -1 if backwards else 1),)
            elif cut is not None:
                place = [self._order.beyond(cut.values[0], backwards=backwards)]
            made.append(
                SearchPlan(
                    type_,
                    distributed(choice, [*base, *place]),
                    hint=choice.index,
                    sort=sort,
                    limit=self._wanted + 1,
                    keys_only=True,
                )
            )
        return tuple(made)

    def add(self, rows: Sequence[R]) -> None:
        """Take the rows of all plans of this round, in any order."""
        assert self._at is not None
        cut, backwards, wanted = self._at.cut, self._at.backwards, self._wanted
        sign = -1 if self._order.descending else 1
        ordered = sorted(rows, key=lambda row: (sign * row.key, row.type, row.id), reverse=backwards)
        if cut is not None and cut.id is not None:
            self._add_group(cut.values[0], ordered, wanted)
            return
        if len(ordered) <= wanted:
            self._found += ordered
            self._end(None)
            return
        boundary = ordered[wanted].key
        whole = [row for row in ordered[:wanted] if row.key != boundary]
        self._found += whole
        if not self._found:  # a group that is larger than the page
            self._at = Position(Cut((boundary,), _LAST if backwards else _FIRST), backwards)
        elif backwards:
            self._end(Cut((boundary,)))
        else:
            self._end(Cut((whole[-1].key,)) if whole else cut)

    def _add_group(self, key: int, ordered: list[R], wanted: int) -> None:
        """Take rows with one key in order of type and id, then go on beyond the group."""
        assert self._at is not None
        backwards = self._at.backwards
        self._found += ordered[:wanted]
        if len(ordered) > wanted:
            last = ordered[wanted] if backwards or not wanted else ordered[wanted - 1]
            self._end(Cut((key,), f"{last.type}/{last.id}"))
        elif backwards:
            self._at = Position(Cut((key + (1 if self._order.descending else -1),)), backwards=True)
        else:
            self._at = Position(Cut((key,)))

    def _end(self, more: Cut | None) -> None:
        self._more = more
        self._at = None


def _inside(type_: str, cut: Cut, *, backwards: bool) -> Filter | None:
    """Return the condition on rows of a type behind a place in a group (backwards: up to it); None: no rows."""
    assert cut.id is not None
    named, _, id_ = cut.id.partition("/")
    found: Filter = {"lu": cut.values[0]}
    if type_ == named:
        found["_id"] = {"$lte" if backwards else "$gt": id_}
        return found
    return found if (type_ < named) == backwards else None
