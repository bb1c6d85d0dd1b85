"""``_list``: resources that a List holds, and R4's functional lists such as ``$current-problems``.

The functional lists are derived from the resources themselves, whatever Lists are stored. They take no patient of their
own: ``AllergyIntolerance?patient=42&_list=$current-allergies``.
https://hl7.org/fhir/R4/search.html#list, https://hl7.org/fhir/R4/lifecycle.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fhir_server.datatypes.primitives import is_id
from fhir_server.outcome import error
from fhir_server.search.combining import Never, all_of, any_of
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.lexing import split, unescape
from fhir_server.search.lookups import ListedResources, Open
from fhir_server.search.parameters import Context
from fhir_server.search.search_parameter import TypeParameters

Pairs = tuple[tuple[str, str], ...]

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_NOT_WRONG = "verification-status:not"
_ALLERGIES: Pairs = (
    ("clinical-status", f"{_TERMINOLOGY}/allergyintolerance-clinical|active"),
    (_NOT_WRONG, f"{_TERMINOLOGY}/allergyintolerance-verification|refuted"),
    (_NOT_WRONG, f"{_TERMINOLOGY}/allergyintolerance-verification|entered-in-error"),
)
_CLINICAL = f"{_TERMINOLOGY}/condition-clinical"

#: The criteria of each functional list for the types that can be in it.
FUNCTIONAL: Mapping[str, Mapping[str, Pairs]] = {
    "$current-problems": {
        "Condition": (
            ("clinical-status", f"{_CLINICAL}|active,{_CLINICAL}|recurrence,{_CLINICAL}|relapse"),
            (_NOT_WRONG, f"{_TERMINOLOGY}/condition-ver-status|refuted"),
            (_NOT_WRONG, f"{_TERMINOLOGY}/condition-ver-status|entered-in-error"),
        )
    },
    "$current-medications": {
        "MedicationRequest": (("status", "active"),),
        "MedicationStatement": (("status", "active"),),
    },
    "$current-allergies": {"AllergyIntolerance": _ALLERGIES},
    "$current-drug-allergies": {"AllergyIntolerance": (*_ALLERGIES, ("category", "medication"))},
}

Clause = Callable[[str, str, TypeParameters, Context], Expression | None]
"""Reads one pair on a type: the function that reads the whole query's clauses."""


def listed(value: str, parameters: TypeParameters, context: Context, clause: Clause) -> Expression:
    """Return the expression of ``_list``; raises FhirError 400 for what is no list, or one without this type."""
    found = []
    for text in filter(None, split(value, ",")):
        id_ = unescape(text, "_list").removeprefix(context.base + "/").removeprefix("List/")
        if id_.startswith("$"):
            found.append(_functional(id_, parameters, context, clause))
        elif not is_id(id_):
            raise error("invalid", f"Parameter '_list' takes the id of a List, not '{text}'.")
        else:
            found.append(Open(ListedResources(id_, parameters.resource), _with_ids))
    if not found:
        raise error("invalid", "Parameter '_list' holds no value.")
    return any_of(found)


def _with_ids(ids: Sequence[str]) -> Expression:
    return Equal("_id", tuple(ids)) if ids else Never()


def _functional(name: str, parameters: TypeParameters, context: Context, clause: Clause) -> Expression:
    types = FUNCTIONAL.get(name)
    if types is None:
        raise error(
            "not-supported",
            f"Parameter '_list': the list '{name}' is not defined here; there are {', '.join(FUNCTIONAL)}.",
            status=400,
        )
    if parameters.resource not in types:
        raise error(
            "not-supported",
            f"Parameter '_list': '{name}' holds resources of type {' and '.join(types)}, not {parameters.resource}.",
            status=400,
        )
    criteria = [clause(*pair, parameters, context) for pair in types[parameters.resource]]
    return all_of(one for one in criteria if one is not None)
