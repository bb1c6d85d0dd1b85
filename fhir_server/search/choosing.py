"""Through which index a query enters the data.

The choice is static and always hinted: mongod's own read 2 466 documents where the right index read 64.
Candidates rank by what they usually leave over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fhir_server.search.combining import And, Or
from fhir_server.search.expression import Equal, Expression, Near, Pattern, Within
from fhir_server.search.indexes import indexes
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.parameters.token import AnySystem
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry

#: Index scans that one ``$in`` may need and still deliver in index order (MongoDB's limit for a merge of
#: scans).
MOST_SCANS = 200


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

    @property
    def is_scan(self) -> bool:
        """Tell whether no criterion has an index: everything is read until the page is full."""
        return self.rank == SCAN.rank


#: Everything, by the time of its last update.
SCAN = Choice("lu", "lu", True, 99)


def criteria(expression: Expression) -> tuple[Expression, ...]:
    """Return the operands that must all match."""
    return expression.operands if isinstance(expression, And) else (expression,)


def choose(query: SearchQuery, registry: Registry) -> tuple[Choice, ...]:
    """Return the ways to run a query, best first; at least one."""
    leaves = criteria(query.expression)
    bound = bounded(leaves)
    if isinstance(bound.get("_id"), Equal):
        return (Choice("_id_", "lu", False, 0),)
    known = keys_of(query.type, registry)
    found = [choice for keys in known if (choice := _through(keys, bound, query.type, registry)) is not None]
    firsts = {"_id", *(keys.fields[0] for keys in known if keys.fields)}
    found += [choice for leaf in leaves if (choice := _through_several(leaf, firsts, query.type)) is not None]
    return tuple(sorted(found, key=lambda choice: choice.rank)) or (SCAN,)


def is_wide(query: SearchQuery) -> bool:
    """Tell whether a criterion has so many values that no index delivers their resources in an order."""
    leaves = criteria(query.expression)
    return any(
        isinstance(leaf, Equal) and leaf.field != "_id" and len(leaf.values) > MOST_SCANS for leaf in leaves
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """An index as the choice sees it: the fields to be bounded, and the order that comes after them."""

    name: str
    fields: tuple[str, ...]
    order: str


@lru_cache(maxsize=1024)
def keys_of(type_: str, registry: Registry) -> tuple[Keys, ...]:
    """Return the indexes of a type."""
    found = []
    for index in indexes(type_, registry):
        fields = tuple(name for name, _ in index.keys)
        order = fields[-1] if fields[-1] in {"s", "lu"} else ""
        found.append(Keys(index.name, fields[:-1] if order else fields, order))
    return tuple(found)


def forget() -> None:
    """Look at the indexes again: they have changed."""
    keys_of.cache_clear()


def _through(keys: Keys, bound: Mapping[str, Expression], type_: str, registry: Registry) -> Choice | None:
    """Return the choice that an index offers, or None when no criterion bounds its first key."""
    if not keys.fields:  # {lu}: only with bounds of its own
        return Choice(keys.name, "lu", True, _LAST_UPDATED) if "lu" in bound else None
    if keys.fields[0] not in bound:
        return None
    leaves = [bound.get(field) for field in keys.fields]
    scans = 1
    for leaf in leaves:
        scans *= len(leaf.values) if isinstance(leaf, Equal) else MOST_SCANS + 1
    if keys.fields[0] == "p":
        # A second key that is equal to something is best, then a beginning, none, one that is not bounded.
        rank = HOME + sum(1 if leaf is None else -2 if isinstance(leaf, Equal) else -1 for leaf in leaves[1:])
    else:
        rank = _rank(bound[keys.fields[0]], keys.fields[0], type_, registry)
    order = keys.order or ("s" if keys.fields[0] == "p" and type_ in MAIN_DATES else "lu")
    return Choice(keys.name, order, bool(keys.order) and scans <= MOST_SCANS, rank)


#: Ranks of criteria (0 is best); a home patient leads over everything but an id.
HOME = 5
_RANKS = {
    "token": 30,
    "reference": 20,
    "uri": 15,
    "quantity": 25,
    "string": 40,
    "date": 50,
    "number": 55,
    "special": 35,
}
IDENTIFIER = 10
_LAST_UPDATED = 60
_SEVERAL_SYSTEMS = 5


def _rank(leaf: Expression, field: str, type_: str, registry: Registry) -> int:
    if field in {"cp", "i._contained"}:
        return _RANKS["reference"]
    name = field.removeprefix("i.").partition(".")[0].removesuffix("-range")
    parameter = registry.parameters(type_).by_name[name]
    if parameter.types == {"Identifier"}:
        return IDENTIFIER
    return _RANKS[parameter.type] + (0 if isinstance(leaf, Equal) else _SEVERAL_SYSTEMS)


def bounded(leaves: Iterable[Expression]) -> dict[str, Expression]:
    """Return the fields that criteria bound, each with its criterion; equalities win."""
    found: dict[str, Expression] = {}
    for leaf in leaves:
        for field in _fields(leaf):
            if field not in found or (isinstance(leaf, Equal) and not isinstance(found[field], Equal)):
                found[field] = leaf
    return found


def _fields(leaf: Expression) -> Collection[str]:
    """Return the fields whose index keys a criterion bounds."""
    if isinstance(leaf, Equal | Near):
        return (leaf.field,)
    if isinstance(leaf, AnySystem | Pattern):
        return (leaf.field,) if leaf.prefix else ()
    if isinstance(leaf, Within):
        # A member that one alternative leaves open bounds nothing.
        members = set.intersection(*({member for member, _, _ in tests} for tests in leaf.alternatives))
        return [f"{leaf.field}.{member}" if member else leaf.field for member in members]
    if isinstance(leaf, Or):
        return set.intersection(*(set(_fields(operand)) for operand in leaf.operands))
    if isinstance(leaf, And):  # inside a disjunction
        return {field for operand in leaf.operands for field in _fields(operand)}
    return ()


def _through_several(leaf: Expression, firsts: Collection[str], type_: str) -> Choice | None:
    """Return the choice of a disjunction whose parts all have an index; mongod combines them."""
    if not isinstance(leaf, Or) or _fields(leaf):
        return None
    if not all(any(field in firsts for field in _fields(operand)) for operand in leaf.operands):
        return None
    is_reference = any(isinstance(operand, Equal) for operand in leaf.operands)
    rank = _RANKS["reference" if is_reference else "quantity"]
    return Choice(None, "s" if type_ in MAIN_DATES else "lu", False, rank)
