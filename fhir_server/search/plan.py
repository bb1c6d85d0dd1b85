"""From a query and its choice of an index to one MongoDB query: filter, bounds that follow, order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.search.choosing import IDENTIFIER, Choice, bounded, choose, criteria, keys_of
from fhir_server.search.combining import And, Never, Or
from fhir_server.search.entries import SearchPlan
from fhir_server.search.expression import Elements, Equal, Expression, Filter, Near, Pattern, Within
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.parameters.date import TIE_BITS
from fhir_server.search.parameters.token import AnySystem
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry
from fhir_server.search.result_parameters import ResultParameters

_TIES = (1 << TIE_BITS) - 1

#: A choice of at most so many rows is good enough, and counts go no further than the cap.
FEW = 100
COUNT_CAP = 1_001
_MOST_RIVALS = 3


def rivals(query: SearchQuery, registry: Registry) -> tuple[tuple[Choice, SearchPlan], ...]:
    """Return the choices worth counting, best guess first, each with the plan that counts what its index reads.

    None for a known patient or identifier, and where there is one choice only. All have the same order, so that
    the pages of one search agree whichever leads.
    """
    choices = choose(query, registry)
    if choices[0].rank <= IDENTIFIER:
        return ()
    same = [choice for choice in choices if choice.order == choices[0].order and choice.index is not None]
    if len(same) < 2:
        return ()
    bound = bounded(criteria(query.expression))
    known = {keys.name: keys for keys in keys_of(query.type, registry)}
    found = []
    for choice in same[:_MOST_RIVALS]:
        leaves = {field: bound[field] for field in known[choice.index or ""].fields if field in bound}
        filters = [leaf.filter() for leaf in dict.fromkeys(leaves.values())]
        if filters:
            found.append((choice, SearchPlan(query.type, combined(filters), hint=choice.index)))
    return tuple(found) if len(found) > 1 else ()


def order_bounds(query: SearchQuery) -> list[Filter]:
    """Return the bounds on ``s`` that follow from criteria on the type's main date."""
    names = MAIN_DATES.get(query.type, ())
    found: list[Filter] = []
    for leaf in criteria(query.expression):
        if names and isinstance(leaf, Within) and leaf.field == f"i.{names[0]}" and not leaf.repeats:
            least, greatest = leaf.bounds("l", "h")
            bounds = {}
            if least is not None:
                bounds["$gte"] = least << TIE_BITS
            if greatest is not None:
                bounds["$lte"] = greatest << TIE_BITS | _TIES
            if bounds:
                found.append({"s": bounds})
    return found


def interval_bounds(query: SearchQuery, choice: Choice) -> list[Filter]:
    """Return the upper bounds of an index on the beginnings of intervals: what ends in time has begun in time."""
    found: list[Filter] = []
    for leaf in criteria(query.expression):
        if isinstance(leaf, Within) and not leaf.repeats and choice.index:
            beginning = f"{leaf.field}.l"
            _, greatest = leaf.bounds("l", "h")
            if greatest is not None and f"i.{choice.index}_".startswith(f"{beginning}_"):
                found.append({beginning: {"$lte": greatest}})
    return found


def base_filter(query: SearchQuery, choice: Choice) -> list[Filter]:
    """Return the conditions of a query that do not depend on the page; deletions never pass."""
    found = [query.expression.filter()] if query.expression != And(()) else []
    leaves = criteria(query.expression)
    needs_update = choice.index == "lu" and "lu" not in bounded(leaves)
    if needs_update or not any(_excludes_deletions(leaf) for leaf in leaves):
        found.append({"lu": {"$exists": True}})
    if choice.order == "s":
        found += order_bounds(query)
    return found + interval_bounds(query, choice)


def _excludes_deletions(leaf: Expression) -> bool:
    """Tell whether a criterion needs a field that a deletion does not have."""
    if isinstance(leaf, Or):
        return all(_excludes_deletions(operand) for operand in leaf.operands)
    if isinstance(leaf, And):
        return any(_excludes_deletions(operand) for operand in leaf.operands)
    field = getattr(leaf, "field", "_id")
    return field != "_id" and isinstance(leaf, Equal | Near | Pattern | Within | AnySystem | Elements)


def combined(filters: Sequence[Filter]) -> Filter:
    """Return the conjunction of filters."""
    merged: Filter = {}
    for one in filters:
        if merged.keys() & one.keys():
            return {"$and": list(filters)}
        merged.update(one)
    return merged


def distributed(choice: Choice, filters: Sequence[Filter]) -> Filter:
    """Return the conjunction; in a disjunction over several indexes, each part gets all other conditions.

    Only then does mongod merge the parts in the order of their indexes; else it reads and sorts them all.
    """
    whole = combined(filters)
    if choice.index is not None or "$or" not in whole or len(whole) == 1:
        return whole
    rest = {key: value for key, value in whole.items() if key != "$or"}
    return {"$or": [combined([part, rest]) for part in whole["$or"]]}


def count_plan(query: SearchQuery, registry: Registry) -> SearchPlan:
    """Return the plan that counts all matches (``Bundle.total``)."""
    choice = choose(query, registry)[0]
    return SearchPlan(
        query.type,
        combined(base_filter(query, choice)),
        hint=choice.index,
        never=isinstance(query.expression, Never),
    )


def keys_plan(type_: str, expression: Expression, registry: Registry, limit: int) -> SearchPlan:
    """Return the plan of an inner search, whose matches are wanted in no order; ``limit`` may be 0."""
    query = SearchQuery(type_, expression, ResultParameters(), (), ())
    return replace(count_plan(query, registry), limit=limit)
