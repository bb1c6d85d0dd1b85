"""Slices: which items of a list belong to which, how many there may be, and in which order.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.messages import say
from fhir_server.validation.discriminator_paths import Surroundings
from fhir_server.validation.discriminators import Predicate, predicate
from fhir_server.validation.handlers import never
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.cardinality import indexed, list_of
from fhir_server.validation.schema import ElementSchema, ElementType, Slicing

#: The name of the slice of all that is in no other one.
DEFAULT = "@default"
#: Makes the handler of one item of a slice, of the type that is looked at.
ItemHandler = Callable[[ElementSchema, ElementType | None], Handler]
#: The items of a list with their indexes.
Items = Sequence[tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice, ready to be used.

    ``matches`` is None if its items can't be told apart: then it is not checked. ``item`` checks one of its items,
    ``covers`` says that it checks all that the element without slices demands, ``group`` are its re-slices.
    """

    schema: ElementSchema
    matches: Predicate | None
    item: Handler
    covers: bool
    group: Group | None


@dataclass(frozen=True, slots=True)
class Group:
    """The slices of one element."""

    name: str
    slicing: Slicing
    slices: tuple[Slice, ...]

    def check(self, items: Items, parent: dict[str, Any], run: Run) -> tuple[Findings, frozenset[int]]:
        """Return the findings of items in their slices, and the indexes of items that need no other check.

        Paths of findings on items start with their index.
        """
        found: Findings = []
        covered: set[int] = set()
        members: list[list[tuple[int, Any]]] = [[] for _ in self.slices]
        places: list[int] = []
        slices = self.slices
        for index, item in items:
            place = -1
            for number, slice_ in enumerate(slices):
                if slice_.matches is not None and slice_.matches(item, run):
                    place = number
                    break
            places.append(place)
            if place < 0:
                continue
            slice_ = slices[place]
            members[place].append((index, item))
            problem = slice_.item(item, parent, run)
            if problem is not None:
                found += indexed(problem, index)
            if slice_.covers:
                covered.add(index)
        if -1 in places and self.slicing.rules != "open":
            found += self._unsliced([i for i, _ in items], places, run)
        if self.slicing.is_ordered:
            found += self._order([i for i, _ in items], places, run)
        for slice_, mine in zip(slices, members, strict=True):
            found += self._count(slice_, len(mine), run)
            if slice_.group is not None and mine:
                found += slice_.group.check(mine, parent, run)[0]
        return found, frozenset(covered)

    def _count(self, slice_: Slice, count: int, run: Run) -> Findings:
        schema = slice_.schema
        name = f"{self.name}:{schema.slice_name}"
        if slice_.matches is None:
            if schema.minimum == 0:
                return []
            text = say(
                "Whether {name} is there isn't checked: its definition doesn't tell how to know it.",
                name=name,
            )
            return run.warning("incomplete", text, "slice@")
        if count < schema.minimum:
            text = say(
                "There must be at least {minimum} {name}, not {count}.",
                minimum=schema.minimum,
                name=name,
                count=count,
            )
            return run.error("required", text, f"slice-{schema.slice_name}@")
        if count > schema.maximum > 0:  # those of a prohibited slice were each refused already
            text = say(
                "There must be at most {maximum} {name}, not {count}.",
                maximum=schema.maximum,
                name=name,
                count=count,
            )
            return run.error("structure", text, f"slice-{schema.slice_name}@")
        return []

    def _unsliced(self, indexes: list[int], places: list[int], run: Run) -> Findings:
        names = ", ".join(s.schema.slice_name for s in self.slices)
        found: Findings = []
        if self.slicing.rules == "closed":
            for index, place in zip(indexes, places, strict=True):
                if place < 0:
                    text = say(
                        "The item belongs to no slice of {name}, and there may be no others: {names}.",
                        name=self.name,
                        names=names,
                    )
                    found += indexed(run.error("structure", text, "slice@"), index)
            return found
        last = max((n for n, place in enumerate(places) if place >= 0), default=-1)
        for number, place in enumerate(places[:last]):
            if place < 0:
                text = say(
                    "The item belongs to no slice of {name} ({names}), so it must come after those that do.",
                    name=self.name,
                    names=names,
                )
                found += indexed(run.error("structure", text, "slice@"), indexes[number])
        return found

    def _order(self, indexes: list[int], places: list[int], run: Run) -> Findings:
        highest = -1
        for index, place in zip(indexes, places, strict=True):
            if place < 0:
                continue
            if place < highest:
                names = ", ".join(s.schema.slice_name for s in self.slices)
                text = say(
                    "The items of {name} must come in the order of its slices: {names}.",
                    name=self.name,
                    names=names,
                )
                return indexed(run.error("structure", text, "slice-order@"), index)
            highest = place
        return []


def group_of(
    element: ElementSchema, type_: ElementType | None, item: ItemHandler, around: Surroundings
) -> Group:
    """Return the slices of an element, as far as they are about items of one type (None: defined inline)."""
    assert element.slicing is not None
    covers = not element.node and element.facets is None and not (type_ is not None and type_.profiles)
    slices = []
    for inner in element.slicing.slices:
        own = next((t for t in inner.types if type_ is not None and t.code == type_.code), None)
        if type_ is not None and own is None and inner.types:
            # A slice of a choice for another type: nothing of this type belongs to it.
            if inner.minimum or not element.is_choice:
                slices.append(Slice(inner, lambda *_: False, never, covers=False, group=None))
            continue
        slices.append(
            Slice(
                inner,
                _predicate(element, inner, around),
                item(inner, own),
                covers and not inner.is_prohibited,
                group_of(inner, own, item, around) if inner.slicing is not None else None,
            )
        )
    slices.sort(key=lambda s: s.schema.slice_name == DEFAULT)
    return Group(element.name, element.slicing, tuple(slices))


def _predicate(element: ElementSchema, inner: ElementSchema, around: Surroundings) -> Predicate | None:
    assert element.slicing is not None
    assert inner.element is not None
    if inner.slice_name == DEFAULT:
        return _always
    discriminators = element.slicing.discriminators
    if element.is_choice:
        discriminators = tuple(d for d in discriminators if d != ("type", "$this"))
        if not discriminators:
            return _always
    return predicate(inner.element, discriminators, around)


def _always(*_: object) -> bool:
    return True


def sliced_list(group: Group, generic: Handler, siblings: str, schema: ElementSchema, limit: int) -> Handler:
    """Return the handler of a repeated element with slices; ``siblings`` is the key of primitives' siblings."""
    minimum = schema.minimum

    def handler(values: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        if type(values) is not list or not values or not minimum <= len(values) <= limit:
            return whole(values, parent, run)
        items = [(i, v) for i, v in enumerate(values) if v is not None]
        found, covered = group.check(items, parent, run)
        if len(covered) < len(values):
            found += rest(values, covered, parent, run)
        return found or None

    def rest(values: list[Any], covered: frozenset[int], parent: dict[str, Any], run: Run) -> Findings:
        found: Findings = []
        for index, value in enumerate(values):
            if index not in covered and not (value is None and siblings in parent):
                problem = generic(value, parent, run)
                if problem is not None:
                    found += indexed(problem, index)
        return found

    whole = list_of(generic, schema)
    return handler


def sliced_single(group: Group, generic: Handler) -> Handler:
    """Return the handler of an element with slices that isn't repeated, such as a choice."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found, covered = group.check(((0, value),), parent, run)
        for finding in found:
            finding.path = finding.path.removeprefix("[0]")
        if not covered:
            found += generic(value, parent, run) or ()
        return found or None

    return handler
