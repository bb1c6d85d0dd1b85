"""``is`` and ``as``: https://hl7.org/fhirpath/N1/#types."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.evaluation.items import Items, Node, class_of, is_primitive
from fhir_server.fhirpath.evaluation.run import Run, single
from fhir_server.fhirpath.protocols import Types

SYSTEM_TYPES = {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any"}


def check_type(name: str, types: Types) -> None:
    """Raise FhirPathError (semantic) when a type specifier names no type."""
    namespace, _, plain = name.rpartition(".")
    known = plain in SYSTEM_TYPES if namespace == "System" else _is_fhir(plain, types)
    if not known and namespace != "System" and plain not in SYSTEM_TYPES:
        raise FhirPathError("semantic", f"there is no type {name}")


def _is_fhir(name: str, types: Types) -> bool:
    return types.type(name) is not None


def has_type(item: Any, name: str, run: Run, *, subtypes: bool) -> bool:
    """Tell whether an item has a type. FHIR primitives only count as their exact type unless ``subtypes``."""
    namespace, _, plain = name.rpartition(".")
    if not isinstance(item, Node):
        return namespace != "FHIR" and class_of(item).name == plain
    if run.published and not _is_fhir(plain, run.types):
        plain, namespace = plain[:1].lower() + plain[1:], ""
    if namespace == "System":
        return False
    if item.type == plain:
        return True
    if is_primitive(item.type, run.types) and not subtypes:
        return False
    return run.types.is_subtype(item.type, plain)


def is_(run: Run, items: Items, name: str) -> Items:
    """Return whether the only item has a type or one that derives from it."""
    item = single(items, "'is'")
    return [] if item is None else [has_type(item, name, run, subtypes=True)]


def as_(run: Run, items: Items, name: str) -> Items:
    """Return the only item if it has the type; in published definitions ``as`` filters collections."""
    if not run.published:
        single(items, "'as'")
    return of_type(run, items, name)


def of_type(run: Run, items: Items, name: str) -> Items:
    """Return the items that have the type."""
    return [item for item in items if has_type(item, name, run, subtypes=False)]


TYPE_OPERATORS = {"is": is_, "as": as_, "ofType": of_type}
