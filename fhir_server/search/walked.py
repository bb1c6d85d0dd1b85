"""Sorts that an index walks: the matches of a page are read in their order, and no others.

A search within a patient, or one without any indexed criterion, can be read along an index whose next key is the
parameter that it is sorted by. What such an index does not tell (resources without a value, ties) is left to a sort.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.search.choosing import HOME, bounded, choose, criteria, keys_of
from fhir_server.search.expression import Equal, Filter
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.parameters import string
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

_PLAIN = frozenset({"token", "reference", "uri", "string", "date"})


@dataclass(frozen=True, slots=True)
class WalkedIndex:
    """An index in the order of a field, with the order key that comes after it ("" for none)."""

    name: str
    field: str
    tie: str
    descending: bool

    @property
    def sort(self) -> tuple[tuple[str, int], ...]:
        """The sort that the index delivers: its order keys run against its other fields.

        Not backwards: of several values, the other end of the index meets another one first.
        """
        step = -1 if self.descending else 1
        return ((self.field, step), (self.tie, -step)) if self.tie else ((self.field, step),)

    def present(self, *, is_present: bool) -> Filter:
        """Return the condition on resources that have a value (it leaves the order alone), or have none."""
        return {self.field: {"$exists": is_present}}


def walked_index(query: SearchQuery, registry: Registry) -> WalkedIndex | None:
    """Return the index that delivers the order of ``_sort``; None when all matches are to be sorted.

    Where the criteria leave little over, they lead, and what they find is sorted.
    """
    rules = query.sort
    if not rules or rules[0].name not in registry.parameters(query.type).by_name:
        return None
    field = _field(registry.parameters(query.type).by_name[rules[0].name], descending=rules[0].descending)
    before = _before(query, registry)
    if not field or before is None:
        return None
    for keys in keys_of(query.type, registry):
        if keys.fields[: len(before) + 1] == (*before, field):
            tie = keys.order if len(keys.fields) == len(before) + 1 else ""
            if len(rules) == 1 or (tie == "s" and _is_newest_first(query)):
                return WalkedIndex(keys.name, field, tie, rules[0].descending)
    return None


def _before(query: SearchQuery, registry: Registry) -> tuple[str, ...] | None:
    """Return the keys that a walked index has first: the patient, or none; None when other criteria lead."""
    choice = choose(query, registry)[0]
    if choice.is_scan:
        return ()
    home = bounded(criteria(query.expression)).get("p")
    is_led_by_home = HOME <= choice.rank <= HOME + 1 and isinstance(home, Equal) and len(home.values) == 1
    return ("p",) if is_led_by_home else None


def _is_newest_first(query: SearchQuery) -> bool:
    """Tell whether the second of two sort keys is the index's own: the main date, newest first."""
    first, second, *rest = query.sort
    is_main = MAIN_DATES.get(query.type, ()) == (second.name,)
    return is_main and second.descending and not first.descending and not rest


def _field(parameter: Parameter, *, descending: bool) -> str:
    """Return the field whose least (or greatest) value a resource is sorted by, "" when it is more than a field."""
    if parameter.type not in _PLAIN or parameter.parts or parameter.at_home or not parameter.is_stored:
        return ""
    if parameter.type == "date":
        return "" if descending else f"{parameter.field}.l"
    if parameter.type == "string" and string.has_suffixes(parameter):
        return ""
    return parameter.field
