"""Pages by key, not by number: a cut in the order of the matches, and the queries from there.

Rows that do not change during a scan appear exactly once, and a page deep in the list costs no more than the
first (https://hl7.org/fhir/R4/http.html#paging). A page never splits a group of rows with equal order keys
unless the group alone is larger than the page; R4 allows pages shorter than asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Generic, TypeVar

from fhir_server.outcome import error
from fhir_server.search.choosing import Choice, choose
from fhir_server.search.combining import Never
from fhir_server.search.entries import SearchPlan
from fhir_server.search.expression import Filter
from fhir_server.search.plan import base_filter, combined, distributed
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry
from fhir_server.search.sorting import ComputedOrder, Cut, KeyOrder, Row, order_of

F = TypeVar("F")
R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page is: after the cut, or (``backwards``) before it; no cut is the beginning, or the end."""

    cut: Cut | None = None
    backwards: bool = False

    @property
    def is_end(self) -> bool:
        """Tell whether the page is the last one, read from the end."""
        return self.backwards and (self.cut is None or self.cut == _END)


#: Greater than every id: FHIR ids hold letters, digits, hyphens and full stops.
_LAST_ID = "~"
#: After the rows that have no value to be ordered by, which come last.
_END = Cut((None,), _LAST_ID)


class Filling(Generic[F]):
    """The page that a pager fills: what was found from where it started, and whether there is more."""

    _start: Position
    _at: Position | None
    _found: list[F]
    _more: Cut | None

    @property
    def rows(self) -> tuple[F, ...]:
        """The rows of the page in order."""
        return tuple(reversed(self._found)) if self._start.backwards else tuple(self._found)

    @property
    def next(self) -> Position | None:
        """The position of the next page."""
        if self._start.backwards:
            return None if self._start.is_end else Position(self._start.cut)
        return Position(self._more) if self._more else None

    @property
    def previous(self) -> Position | None:
        """The position of the previous page."""
        if not self._start.backwards:
            return Position(self._start.cut, backwards=True) if self._start.cut else None
        return Position(self._more, backwards=True) if self._more else None

    @property
    def total(self) -> int | None:
        """The number of all matches when the first page is also the last, else None."""
        whole = self._start == Position() and self._more is None and self._at is None
        return len(self._found) if whole else None


class _Step(Enum):
    """What is asked for a page in a computed order."""

    #: All matches, sorted.
    SORT = auto()
    #: Those that have a value, by an index that has their order.
    WALK = auto()
    #: After them those without a value, sorted.
    VALUELESS = auto()


class Pager(Filling[R]):
    """Fills one page: ask ``plan()`` and hand the rows to ``add()`` until there is no plan.

    Then ``rows`` is the page in order, ``next``, ``previous`` and ``last`` are the positions of other pages (None:
    there is none, or it is not cheap), and ``total`` the number of matches if the page is known to hold all of them.
    """

    def __init__(
        self,
        query: SearchQuery,
        registry: Registry,
        position: Position | None = None,
        choice: Choice | None = None,
    ) -> None:
        self._query = query
        self._choice: Choice = choice or choose(query, registry)[0]
        self._order = order_of(query, self._choice.order, registry)
        if query.sort and self._choice.index == "lu" and isinstance(self._order, KeyOrder):
            self._choice = _index_of_order(self._order, self._choice)
        self._base: Sequence[Filter] = base_filter(query, self._choice)
        self._start = position or Position()
        _check(self._start, self._order)
        self._at: Position | None = None if isinstance(query.expression, Never) else self._start
        self._found: list[R] = []
        self._more: Cut | None = None
        self._step = _first_step(self._order, self._start)

    @property
    def is_streamed(self) -> bool:
        """Tell whether an index delivers the rows in their order, from either end."""
        order, choice = self._order, self._choice
        if not isinstance(order, KeyOrder):
            return False
        return (
            choice.index == "_id_"
            if order.field == "_id"
            else (choice.is_ordered and order.field == choice.order)
        )

    @property
    def last(self) -> Position | None:
        """The position of the last page, if this is not it and an index leads there."""
        if self.next is None or not self.is_streamed:
            return None
        return self.end

    @property
    def end(self) -> Position:
        """The position of the last page, whatever leads there."""
        has_missing = isinstance(self._order, KeyOrder) and self._order.field == "s"
        return Position(_END if has_missing else None, backwards=True)

    @property
    def _wanted(self) -> int:
        return self._query.results.count - len(self._found)

    def plan(self) -> SearchPlan | None:
        """Return the next query to run, or None when the page is complete."""
        if self._at is None:
            return None
        backwards, cut = self._at.backwards, self._at.cut
        order = self._order
        common = SearchPlan(self._query.type, {}, hint=self._choice.index, limit=self._wanted + 1)
        if isinstance(order, ComputedOrder):
            after = (
                order.beyond(cut, backwards=backwards) if cut and self._step is not _Step.VALUELESS else {}
            )
            made = replace(common, projection=order.names, computed=order.computed, after=after)
            if order.walked is None or self._step is _Step.SORT:
                filters, sort = self._base, order.sort(backwards=backwards)
                return replace(made, filter=distributed(self._choice, filters), sort=sort)
            walks = self._step is _Step.WALK
            filters = [*self._base, order.walked.present(is_present=walks)]
            made = replace(made, filter=combined(filters), sorts_first=walks)
            if walks:
                return replace(made, hint=order.walked.name, sort=order.walked.sort)
            return replace(made, sort=order.sort(backwards=backwards))
        sort = order.sort(backwards=backwards)
        place: list[Filter] = []
        if cut and cut.id is not None:
            place = [order.group(cut, backwards=backwards)]
            sort = (("_id", -1 if backwards else 1),)
        elif cut:
            place = [order.beyond(cut.values[0], backwards=backwards)]
        elif backwards:
            place = [{order.field: {"$exists": True}}]
        projection = ("s",) if order.field == "s" else ()
        return replace(
            common, filter=distributed(self._choice, [*self._base, *place]), sort=sort, projection=projection
        )

    def add(self, rows: Sequence[R], *, is_cut: bool = False) -> None:
        """Take the rows of the last plan, in its order.

        ``is_cut`` tells that they are fewer than there are because the page is large enough, and that the last of
        them is the first one of the next page.
        """
        assert self._at is not None
        order, cut = self._order, self._at.cut
        wanted = len(rows) - 1 if is_cut else self._wanted
        if isinstance(order, ComputedOrder):
            self._add_computed(order, rows, wanted)
        elif cut and cut.id is not None:
            self._add_group(order, cut, rows, wanted)
        else:
            self._add_range(order, rows, wanted)

    def _add_computed(self, order: ComputedOrder, rows: Sequence[R], wanted: int) -> None:
        """Take rows in the order of computed keys; what an index could not tell about it is asked once more."""
        assert self._at is not None
        is_full = len(rows) > wanted
        if self._step is _Step.WALK:
            if is_full and order.is_tie(rows[wanted - 1], rows[wanted]):
                self._step = _Step.SORT
                return
            rows = order.with_ties_by_id(rows)
        self._take(rows[:wanted])
        if is_full:
            self._end(order.cut(rows[wanted] if self._at.backwards else self._found[-1]))
        elif self._step is _Step.WALK:
            self._step = _Step.VALUELESS
        else:
            self._end(None)

    def _add_range(self, order: KeyOrder, rows: Sequence[R], wanted: int) -> None:
        """Take rows up to a change of the key; a group that fills the page is read again in order of id."""
        assert self._at is not None
        cut, backwards = self._at.cut, self._at.backwards
        if len(rows) <= wanted:
            self._take(rows)
            # Behind a cut, rows without a key are still to come; from the beginning, they are among the rows.
            self._go_on(Cut((None,), "") if cut and order.field == "s" and not backwards else None)
            return
        boundary = order.key(rows[wanted])
        whole = [row for row in rows[:wanted] if order.key(row) != boundary]
        self._take(whole)
        if not self._found:
            self._go_on(Cut((boundary,), _LAST_ID if backwards else ""))
        elif backwards:
            self._end(Cut((boundary,)))
        else:
            self._end(Cut((order.key(whole[-1]),)) if whole else cut)

    def _add_group(self, order: KeyOrder, cut: Cut, rows: Sequence[R], wanted: int) -> None:
        """Take rows with one key in order of id, then go on beyond the group."""
        assert self._at is not None
        backwards = self._at.backwards
        [key] = cut.values
        self._take(rows[:wanted])
        if len(rows) > wanted:
            last = rows[wanted].id if backwards else rows[wanted - 1].id if wanted else cut.id
            self._end(Cut((key,), last))
        elif not backwards:
            self._go_on(None if key is None else Cut((key,)))
        elif key is None:  # all rows that have a key
            self._at = Position(None, backwards=True)
        else:
            self._go_on(Cut((key + 1 if order.descending else key - 1,)))

    def _go_on(self, cut: Cut | None) -> None:
        """Read further from a cut to fill the page; without one, the matches end here."""
        self._end(None)
        if cut is not None:
            self._at = Position(cut, self._start.backwards)

    def _take(self, rows: Sequence[R]) -> None:
        self._found += rows

    def _end(self, more: Cut | None) -> None:
        self._more = more
        self._at = None


def _check(position: Position, order: ComputedOrder | KeyOrder) -> None:
    """Refuse a position that another version of the server made for another order."""
    width = len(order.names) if isinstance(order, ComputedOrder) else 1
    if position.cut is not None and len(position.cut.values) != width:
        raise error("not-found", "This page has expired; start the search again.", status=410)


def _first_step(order: ComputedOrder | KeyOrder, start: Position) -> _Step:
    """Return how a page begins: back, or among the resources without a value, there is nothing to walk along."""
    is_walked = isinstance(order, ComputedOrder) and order.walked is not None and not start.backwards
    has_value = start.cut is None or start.cut.values[0] is False
    return _Step.WALK if is_walked and has_value else _Step.SORT


def _index_of_order(order: KeyOrder, choice: Choice) -> Choice:
    """Return the choice of a search without indexed criteria that is sorted by id: the id's own index."""
    return replace(choice, index="_id_") if order.field == "_id" else choice
