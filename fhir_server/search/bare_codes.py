"""A code without its system, ``code=8302-2``: once its systems are known, an index delivers the matches in order.

Without them every match is read and sorted, which for a code of a whole population is far too much.
https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fhir_server.search.choosing import Choice, bounded, criteria, keys_of
from fhir_server.search.combining import Never, Or, all_of, any_of
from fhir_server.search.entries import SearchPlan
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.parameters.token import AnySystem
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry


@dataclass(frozen=True, slots=True)
class BareCodes:
    """A criterion with codes of any system, and the plan whose index has the entries of ``field`` to look at."""

    criterion: Expression
    field: str
    codes: tuple[str, ...]
    plan: SearchPlan


def bare_codes(query: SearchQuery, choice: Choice, registry: Registry) -> BareCodes | None:
    """Return the bare codes that keep the choice's index from delivering its order; None: nothing does."""
    keys = next((keys for keys in keys_of(query.type, registry) if keys.name == choice.index), None)
    if keys is None or not keys.order or choice.is_ordered:
        return None
    bound = bounded(criteria(query.expression))
    *before, last = [(field, bound[field]) for field in keys.fields if field in bound] or [("", Never())]
    field, criterion = last
    codes = _codes(criterion)
    if not codes or not all(isinstance(leaf, Equal) and len(leaf.values) == 1 for _, leaf in before):
        return None
    conditions = {key: value for _, leaf in before for key, value in leaf.filter().items()}
    return BareCodes(criterion, field, codes, SearchPlan(query.type, conditions, hint=keys.name))


def _codes(criterion: Expression) -> tuple[str, ...]:
    """Return the codes of a criterion whose alternatives are codes, some of them without system; else none."""
    operands = criterion.operands if isinstance(criterion, Or) else (criterion,)
    if not all(isinstance(operand, AnySystem | Equal) for operand in operands):
        return ()
    return tuple(operand.code for operand in operands if isinstance(operand, AnySystem))


def with_systems(query: SearchQuery, bare: BareCodes, entries: Iterable[str]) -> SearchQuery:
    """Return the query for these entries in place of the bare codes: all that begin with one of the codes."""
    wanted = tuple(sorted(entry for entry in entries if entry.rpartition("|")[0] in bare.codes))
    operands = bare.criterion.operands if isinstance(bare.criterion, Or) else ()
    exact = [operand for operand in operands if isinstance(operand, Equal)]
    known = any_of([*exact, *([Equal(bare.field, wanted)] if wanted else [Never()])])
    rest = [leaf for leaf in criteria(query.expression) if leaf != bare.criterion]
    return replace(query, expression=all_of([known, *rest]))
