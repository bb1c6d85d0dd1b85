"""Slices as data: by each discriminator, nested and again; one resource that keeps the rule, one that breaks it, and where."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Policy, Validator

BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "https://example.org/StructureDefinition/case"
NAMED = "https://example.org/StructureDefinition/named"
MARKED = "https://example.org/StructureDefinition/marked"
TEXT = {"text": "x"}
UUID = "urn:uuid:0d3b7c0c-0f0f-4a2a-8a8a-0d3b7c0c0f0f"


def structure(type_: str, *elements: dict[str, Any], url: str = URL, **more: Any) -> dict[str, Any]:
    rooted = [
        {k: f"{type_}.{v}" if k in {"path", "id"} else v for k, v in element.items()} for element in elements
    ]
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "version": "1.0.0",
        "type": type_,
        "kind": "resource",
        "baseDefinition": BASE + type_,
        "derivation": "constraint",
        "differential": {"element": [{"path": type_}, *rooted]},
        **more,
    }


HELPERS = [
    structure("Patient", {"path": "name", "min": 1}, url=NAMED),
    structure(
        "Extension",
        {"path": "url", "fixedUri": MARKED},
        {"path": "value[x]", "min": 1, "type": [{"code": "code"}]},
        url=MARKED,
        kind="complex-type",
        context=[{"type": "element", "expression": "HumanName"}],
    ),
]


def validator(*elements: dict[str, Any], type_: str, policy: Policy | None = None) -> Validator:
    definitions = Definitions()
    for definition in (structure(type_, *elements), *HELPERS):
        assert definitions.add(definition)
    return Validator(definitions, CodeSets(definitions), policy=policy)


def sliced(path: str, kind: str, where: str, rules: str = "open") -> dict[str, Any]:
    return {"path": path, "slicing": {"discriminator": [{"type": kind, "path": where}], "rules": rules}}


def slice_(path: str, name: str, **facets: Any) -> dict[str, Any]:
    return {"path": path, "sliceName": name, **facets}


def quantity(code: str) -> dict[str, Any]:
    return {"value": 1, "system": "http://unitsofmeasure.org", "code": code}


def component(**value: Any) -> dict[str, Any]:
    return {"code": TEXT, **value}


def entries(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"type": "collection", "entry": [{"fullUrl": UUID, "resource": r} for r in resources]}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "active": True, **elements}


PHONE, MAIL = ({"system": s, "value": "1"} for s in ("phone", "email"))
HOME, WORK = {**PHONE, "use": "home"}, {**PHONE, "use": "work"}
BY_SYSTEM = [
    slice_(
        "telecom", "phone", slicing={"discriminator": [{"type": "value", "path": "use"}], "rules": "closed"}
    ),
    {"path": "telecom.system", "fixedCode": "phone", "min": 1},
    slice_("telecom", "phone/home", max="1"),
    {"path": "telecom.use", "fixedCode": "home", "min": 1},
    slice_("telecom", "phone/work", min=1),
    {"path": "telecom.use", "fixedCode": "work", "min": 1},
]
IN_CONTACT = [
    sliced("contact", "value", "gender"),
    slice_("contact", "f"),
    {"path": "contact.gender", "fixedCode": "female", "min": 1},
    {"id": "contact:f.telecom", **sliced("contact.telecom", "value", "system", "closed")},
    {"id": "contact:f.telecom:phone", **slice_("contact.telecom", "phone", min=1)},
    {
        "id": "contact:f.telecom:phone.system",
        "path": "contact.telecom.system",
        "fixedCode": "phone",
        "min": 1,
    },
]
BY_TYPE = [
    {"path": "value[x]", "slicing": {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}}
]
OF_QUANTITY = {"path": "component.value[x]", "min": 1, "type": [{"code": "Quantity"}]}
OF_STRING = {"path": "component.value[x]", "min": 1, "type": [{"code": "string"}]}
DEFAULT = [
    sliced("telecom", "value", "system", "closed"),
    slice_("telecom", "@default"),
    {"path": "telecom.use", "min": 1},
    slice_("telecom", "phone"),
    {"path": "telecom.system", "fixedCode": "phone", "min": 1},
]

#: Type, elements, what keeps the rule, what breaks it, and the places and rules of the issues.
CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = {
    "default slice": ("Patient", DEFAULT, {"telecom": [PHONE, {**MAIL, "use": "work"}]}, {"telecom": [PHONE, MAIL]}, [("Patient.telecom[1]", "cardinality")]),
    "slice of a slice, repeated": ("Patient", [sliced("telecom", "value", "system"), *BY_SYSTEM], {"telecom": [HOME, WORK]}, {"telecom": [HOME, HOME, WORK]}, [("Patient.telecom", "slice-phone/home")]),
    "slice of a slice, missing": ("Patient", [sliced("telecom", "value", "system"), *BY_SYSTEM], {"telecom": [MAIL, WORK]}, {"telecom": [HOME, MAIL]}, [("Patient.telecom", "slice-phone/work")]),
    "slice of a slice, closed": ("Patient", [sliced("telecom", "value", "system"), *BY_SYSTEM], {"telecom": [WORK, MAIL]}, {"telecom": [{**PHONE, "use": "old"}, WORK]}, [("Patient.telecom[0]", "slice")]),
    "slices in a slice, closed": ("Patient", IN_CONTACT, {"contact": [{"gender": "female", "telecom": [PHONE]}, {"gender": "male", "telecom": [MAIL]}]}, {"contact": [{"gender": "female", "telecom": [PHONE, MAIL]}]}, [("Patient.contact[0].telecom[1]", "slice")]),
    "slices in a slice, missing": ("Patient", IN_CONTACT, {"contact": [{"gender": "male", "name": TEXT}]}, {"contact": [{"gender": "female", "name": TEXT}]}, [("Patient.contact[0]", "cardinality")]),
    "type of an entry": ("Bundle", [sliced("entry", "type", "resource"), slice_("entry", "p", min=1), {"path": "entry.resource", "type": [{"code": "Patient"}], "min": 1}], entries(patient()), entries({"resourceType": "Organization", "name": "x"}), [("Bundle.entry", "slice-p")]),
    "profile of an entry": ("Bundle", [sliced("entry", "profile", "resource"), slice_("entry", "p", min=1), {"path": "entry.resource", "type": [{"code": "Patient", "profile": [NAMED]}], "min": 1}], entries(patient(name=[TEXT])), entries(patient()), [("Bundle.entry", "slice-p")]),
    "type of a choice": ("Observation", [sliced("component", "type", "value"), slice_("component", "q", min=1), OF_QUANTITY, slice_("component", "s", max="1"), OF_STRING], {"component": [component(valueQuantity={"value": 1}), component(valueString="x")]}, {"component": [component(valueCodeableConcept=TEXT), component(valueString="x"), component(valueString="y")]}, [("Observation.component", "slice-q"), ("Observation.component", "slice-s")]),
    "types that JSON writes alike": ("Observation", [sliced("component", "type", "value"), slice_("component", "d", min=1), {**OF_STRING, "type": [{"code": "dateTime"}]}], {"component": [component(valueDateTime="2020")]}, {"component": [component(valueString="2020")]}, [("Observation.component", "slice-d")]),
    "ofType in the path": ("Observation", [sliced("component", "value", "value.ofType(Quantity).code"), slice_("component", "mg", min=1), OF_QUANTITY, {"path": "component.value[x].code", "fixedCode": "mg", "min": 1}], {"component": [component(valueQuantity=quantity("mg"))]}, {"component": [component(valueQuantity=quantity("kg"))]}, [("Observation.component", "slice-mg")]),
    "ofType of another type": ("Observation", [sliced("component", "value", "value.ofType(Quantity).code"), slice_("component", "mg", min=1), {"path": "component.valueQuantity.code", "fixedCode": "mg", "min": 1}], {"component": [component(valueQuantity=quantity("mg"))]}, {"component": [component(valueString="x")]}, [("Observation.component", "slice-mg")]),
    "extension() in the path": ("Patient", [sliced("name", "value", f"extension('{MARKED}').value"), slice_("name", "m", min=1), slice_("name.extension", "e", min=1, type=[{"code": "Extension", "profile": [MARKED]}]), {"path": "name.extension.value[x]", "fixedCode": "q", "min": 1}], {"name": [{"text": "x", "extension": [{"url": MARKED, "valueCode": "q"}]}]}, {"name": [{"text": "x", "extension": [{"url": MARKED, "valueCode": "r"}]}]}, [("Patient.name", "slice-m")]),
    "required binding": ("Patient", [sliced("telecom", "value", "use"), slice_("telecom", "u", min=1), {"path": "telecom.use", "min": 1, "binding": {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/contact-point-use"}}], {"telecom": [HOME]}, {"telecom": [PHONE]}, [("Patient.telecom", "slice-u")]),
    "slice of a choice": ("Observation", [*BY_TYPE, slice_("value[x]", "valueQuantity", type=[{"code": "Quantity"}]), {"id": "value[x]:valueQuantity.code", "path": "value[x].code", "min": 1}], {"valueString": "x"}, {"valueQuantity": {"value": 1}}, [("Observation.value.ofType(Quantity)", "cardinality")]),
    "needed slice of a choice": ("Observation", [*BY_TYPE, slice_("value[x]", "valueQuantity", min=1, type=[{"code": "Quantity"}])], {"valueQuantity": {"value": 1}}, {"valueString": "x"}, [("Observation.value.ofType(string)", "slice-valueQuantity")]),
    "prohibited slice of a choice": ("Observation", [*BY_TYPE, slice_("value[x]", "valueString", max="0", type=[{"code": "string"}])], {"valueQuantity": {"value": 1}}, {"valueString": "x"}, [("Observation.value.ofType(string)", "cardinality")]),
    "shorthand of a choice": ("Observation", [{"path": "valueQuantity.code", "min": 1}], {"valueQuantity": quantity("mg")}, {"valueString": "x"}, [("Observation.value", "choice-type")]),
    "below a content reference": ("Observation", [{"path": "component.referenceRange.low", "min": 1}], {"referenceRange": [TEXT]}, {"component": [component(referenceRange=[TEXT])]}, [("Observation.component[0].referenceRange[0]", "cardinality")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_slices(name: str) -> None:
    type_, elements, right, wrong, places = CASES[name]
    least: dict[str, Any] = {"status": "final", "code": TEXT} if type_ == "Observation" else {}
    checked = validator(*elements, type_=type_)
    assert checked.validate({"resourceType": type_, **least, **right}, (URL,)) == ()
    broken = {"resourceType": type_, **least, **wrong}
    assert [(i.expression, i.rule.partition("@")[0]) for i in checked.validate(broken, (URL,))] == places
    assert [i for i in checked.validate(broken) if i.severity == "error"] == []


UNKNOWN = "https://example.org/StructureDefinition/unknown"


@pytest.mark.parametrize("severity", ["warning", "error", "ignore"])
@pytest.mark.parametrize(
    ("element", "value"),
    [
        ({"path": "name", "type": [{"code": "HumanName", "profile": [UNKNOWN]}]}, {"name": [TEXT]}),
        (
            {"path": "managingOrganization", "type": [{"code": "Reference", "targetProfile": [UNKNOWN]}]},
            {"managingOrganization": {"reference": "Organization/1"}},
        ),
    ],
)
def test_profiles_of_types_that_nobody_loaded_are_reported(
    element: dict[str, Any], value: dict[str, Any], severity: str
) -> None:
    checked = validator(element, type_="Patient", policy=Policy(unknown_profile=severity))
    found = checked.validate(patient(**value), (URL,), lenient=True)
    assert [(i.severity, i.code) for i in found] == (
        [(severity, "not-found")] if severity != "ignore" else []
    )
    assert all(UNKNOWN in i.diagnostics for i in found)


def test_a_value_that_no_known_profile_judges_is_an_error_of_the_verdict() -> None:
    element = {"path": "name", "type": [{"code": "HumanName", "profile": [UNKNOWN]}]}
    found = validator(element, type_="Patient").validate(patient(name=[TEXT]), (URL,))
    assert [(i.severity, i.code) for i in found] == [("error", "not-found")]


def test_one_of_several_profiles_is_enough_even_if_another_is_unknown() -> None:
    element = {"path": "entry.resource", "type": [{"code": "Patient", "profile": [NAMED, UNKNOWN]}]}
    checked = validator(element, type_="Bundle")
    named = {"resourceType": "Bundle", **entries(patient(name=[TEXT]))}
    assert checked.validate(named, (URL,)) == ()
    nameless = {"resourceType": "Bundle", **entries(patient())}
    assert [i.severity for i in checked.validate(nameless, (URL,))] == ["warning"]
