"""From an expression to one MongoDB query: which index leads, what the hint is, which bounds follow.

The choice is static and always hinted: mongod's own read 2 466 documents where the right index read 64.
Candidates rank by what they usually leave over; ``alternatives`` names the others, so that capped counts can
refine the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.search.entries import IndexDescriptor, SearchPlan
from fhir_server.search.expression import And, Equal, Expression, Filter, Never, Or, Pattern, Within
from fhir_server.search.indexes import indexes
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.parameters.date import TIE_BITS
from fhir_server.search.parameters.token import AnySystem
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry

#: Index scans that one ``$in`` may need and still deliver in index order (MongoDB's limit for a merge of
#: scans).
MOST_SCANS = 200

_TIES = (1 << TIE_BITS) - 1


@dataclass(frozen=True, slots=True)
class Choice:
    """How a query enters the data.

    ``index`` is None when mongod must combine several (a disjunction with an index for each part). ``order``
    is the order key that comes with it, ``s`` or ``lu``; ``is_ordered`` tells that the index delivers it
    without a sort.
    """

    index: str | None
    order: str
    is_ordered: bool
    rank: int


def criteria(expression: Expression) -> tuple[Expression, ...]:
    """Return the operands that must all match."""
    return expression.operands if isinstance(expression, And) else (expression,)


def choose(query: SearchQuery, registry: Registry) -> tuple[Choice, ...]:
    """Return the ways to run a query, best first; at least one."""
    leaves = criteria(query.expression)
    known = indexes(query.type, registry)
    if any(isinstance(leaf, Equal) and leaf.field == "_id" for leaf in leaves):
        return (Choice("_id_", "lu", False, 0),)
    found = [
        choice for index in known if (choice := _through(index, leaves, query.type, registry)) is not None
    ]
    found += [choice for leaf in leaves if (choice := _through_several(leaf, known, query.type)) is not None]
    return tuple(sorted(found, key=lambda choice: choice.rank)) or (Choice("lu", "lu", True, 99),)


def _through(
    index: IndexDescriptor, leaves: Sequence[Expression], type_: str, registry: Registry
) -> Choice | None:
    """Return the choice that an index offers, or None when no criterion bounds its first key."""
    fields = [name for name, _ in index.keys]
    order = fields[-1] if fields[-1] in {"s", "lu"} else ""
    bounded = fields[:-1] if order else fields
    if not bounded:  # {lu}: only with bounds of its own
        return Choice(index.name, "lu", True, _LAST_UPDATED) if _bounding(leaves, "lu") else None
    ranks = [
        _rank(leaf, field, registry, type_) for field in bounded for leaf in _bounding(leaves, field)[:1]
    ]
    if not _bounding(leaves, bounded[0]) or not ranks:
        return None
    firsts = [_bounding(leaves, field) for field in bounded]
    is_complete = all(firsts)
    scans = 1
    for first in firsts:
        scans *= len(first[0].values) if first and isinstance(first[0], Equal) else MOST_SCANS + 1
    rank = ranks[0]
    if bounded[0] == "p":
        # A second key that is equal to something is best, then a beginning, none, one that is not bounded.
        seconds = [isinstance(first[0], Equal) for first in firsts[1:] if first]
        rank = _HOME + (len(firsts) > 1 and not is_complete) - sum(2 if equal else 1 for equal in seconds)
    own_order = order or ("s" if bounded[0] == "p" and type_ in MAIN_DATES else "lu")
    return Choice(index.name, own_order, bool(order) and scans <= MOST_SCANS, rank)


#: Ranks of criteria (0 is best); a home patient leads over everything but an id.
_HOME = 5
_RANKS = {"token": 30, "reference": 20, "uri": 15, "quantity": 25, "string": 40, "date": 50, "number": 55}
_IDENTIFIER = 10
_LAST_UPDATED = 60
_SEVERAL_SYSTEMS = 5


def _rank(leaf: Expression, field: str, registry: Registry, type_: str) -> int:
    if field == "p":
        return _HOME
    if field == "cp":
        return _RANKS["reference"]
    name = field.removeprefix("i.").partition(".")[0].removesuffix("-range")
    parameter = registry.parameters(type_).by_name.get(name)
    if parameter is None:
        return _RANKS["number"]
    if parameter.types == {"Identifier"}:
        return _IDENTIFIER
    return _RANKS[parameter.type] + (0 if isinstance(leaf, Equal) else _SEVERAL_SYSTEMS)


def _bounding(leaves: Sequence[Expression], field: str) -> list[Any]:
    """Return the criteria that bound an index key, equalities first."""
    equal = [leaf for leaf in leaves if isinstance(leaf, Equal) and leaf.field == field]
    return equal + [leaf for leaf in leaves if leaf not in equal and _is_bound(leaf, field)]


def _is_bound(leaf: Expression, field: str) -> bool:
    if isinstance(leaf, AnySystem | Pattern):
        return leaf.field == field and bool(leaf.prefix)
    if isinstance(leaf, Within):
        return _bounds_member(leaf, field)
    return isinstance(leaf, Or) and all(_bounding((operand,), field) for operand in leaf.operands)


def _bounds_member(leaf: Within, field: str) -> bool:
    """Tell whether every alternative of an interval bounds the member that an index key names."""
    if leaf.field == field:
        return len(leaf.alternatives) == 1 and not leaf.repeats
    if not field.startswith(leaf.field + "."):
        return False
    member = field[len(leaf.field) + 1 :]
    return all(any(name == member for name, _, _ in tests) for tests in leaf.alternatives)


def _through_several(leaf: Expression, known: Sequence[IndexDescriptor], type_: str) -> Choice | None:
    """Return the choice of a disjunction whose parts all have an index; mongod combines them."""
    if not isinstance(leaf, Or) or len({getattr(operand, "field", "") for operand in leaf.operands}) == 1:
        return None
    for operand in leaf.operands:
        if not any(_bounding((operand,), index.keys[0][0]) for index in known):
            return None
    is_reference = any(isinstance(operand, Equal) for operand in leaf.operands)
    rank = _RANKS["reference" if is_reference else "quantity"]
    return Choice(None, "s" if type_ in MAIN_DATES else "lu", False, rank)


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


def base_filter(query: SearchQuery, choice: Choice) -> list[Filter]:
    """Return the conditions of a query that do not depend on the page; deletions never pass."""
    found = [query.expression.filter()] if query.expression != And(()) else []
    leaves = criteria(query.expression)
    needs_update = choice.index == "lu" and not any(_bounding(leaves, "lu"))
    if needs_update or not any(_excludes_deletions(leaf) for leaf in leaves):
        found.append({"lu": {"$exists": True}})
    if choice.order == "s":
        found += order_bounds(query)
    return found


def _excludes_deletions(leaf: Expression) -> bool:
    """Tell whether a criterion needs a field that a deletion does not have."""
    if isinstance(leaf, Or):
        return all(_excludes_deletions(operand) for operand in leaf.operands)
    field = getattr(leaf, "field", "_id")
    return field != "_id" and isinstance(leaf, Equal | Pattern | Within | AnySystem)


def combined(filters: Sequence[Filter]) -> Filter:
    """Return the conjunction of filters."""
    merged: Filter = {}
    for one in filters:
        if merged.keys() & one.keys():
            return {"$and": list(filters)}
        merged.update(one)
    return merged


def count_plan(query: SearchQuery, registry: Registry) -> SearchPlan:
    """Return the plan that counts all matches (``Bundle.total``)."""
    choice = choose(query, registry)[0]
    return SearchPlan(
        query.type,
        combined(base_filter(query, choice)),
        hint=choice.index,
        never=isinstance(query.expression, Never),
    )
