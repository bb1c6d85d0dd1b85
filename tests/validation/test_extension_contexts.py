"""Where extensions may stand: elements of profiles, parts of extensions, rules on the element that holds them."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

BASE = "https://example.org/"
Json = dict[str, Any]


def definition(name: str, type_: str, *elements: Json, **more: Any) -> Json:
    kind = "complex-type" if type_ in ("Extension", "HumanName") else "resource"
    return {
        "resourceType": "StructureDefinition", "url": BASE + name, "name": name, "status": "active", "kind": kind,
        "abstract": False, "type": type_, "derivation": "constraint",
        "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "differential": {"element": [{"id": e["path"], **e} for e in elements] or [{"id": type_, "path": type_}]}, **more,
    }  # fmt: skip


def extension(context: list[tuple[str, str]], *rules: str) -> Json:
    """Return the definition of the extension ``mark``."""
    return definition(
        "mark", "Extension", {"path": "Extension.url", "fixedUri": BASE + "mark"},
        {"path": "Extension.value[x]", "type": [{"code": "string"}]},
        context=[{"type": kind, "expression": text} for kind, text in context],
        **({"contextInvariant": list(rules)} if rules else {}),
    )  # fmt: skip


MARK = {"url": BASE + "mark", "valueString": "x"}
COMPLEX = definition(
    "complex", "Extension",
    {"path": "Extension.extension", "id": "Extension.extension", "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}},
    {"path": "Extension.extension", "id": "Extension.extension:part", "sliceName": "part"},
    {"path": "Extension.extension.url", "id": "Extension.extension:part.url", "fixedUri": "part"},
    {"path": "Extension.extension.value[x]", "id": "Extension.extension:part.value[x]", "type": [{"code": "string"}]},
    {"path": "Extension.url", "fixedUri": BASE + "complex"},
    context=[{"type": "element", "expression": "Element"}],
)  # fmt: skip
PROFILE = definition("contacts", "Patient", {"path": "Patient.active", "min": 0})
PRESSURE = definition(
    "pressure", "Observation",
    {"path": "Observation.component", "id": "Observation.component", "slicing": {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}},
    {"path": "Observation.component", "id": "Observation.component:high", "sliceName": "high"},
    {"path": "Observation.component.code", "id": "Observation.component:high.code", "patternCodeableConcept": {"text": "high"}},
)  # fmt: skip


def misplaced(resource: Json, *definitions: Json) -> list[str]:
    """Return the places of extensions that stand where, or as, they must not."""
    known = Definitions()
    for one in definitions:
        known.add(one)
    found = Validator(known, CodeSets(known)).validate(resource)
    assert {i.rule.partition("@")[0] for i in found if i.severity == "error"} <= {
        "extension-context", "extension-invariant",
    }  # fmt: skip
    return [i.expression for i in found if i.severity == "error"]


def patient(**more: Any) -> Json:
    return {"resourceType": "Patient", **more}


def claiming(profile: str, **more: Any) -> Json:
    return patient(meta={"profile": [BASE + profile]}, **more)


PART = {"url": "part", "extension": [MARK]}
OTHER = {"url": "other", "extension": [MARK]}


@pytest.mark.parametrize(
    ("context", "resource", "places"),
    [
        # A part of a complex extension, by its name and by its element id.
        (("extension", BASE + "complex#part"), patient(extension=[{"url": BASE + "complex", "extension": [PART]}]), []),
        (
            ("extension", BASE + "complex#part"),
            patient(extension=[{"url": BASE + "complex", "extension": [OTHER]}]),
            ["Patient.extension[0].extension[0].extension[0]"],
        ),
        (("extension", BASE + "complex#part"), patient(extension=[MARK]), ["Patient.extension[0]"]),
        (
            ("extension", BASE + "complex#part"),
            patient(extension=[{"url": BASE + "another", "extension": [PART]}]),
            ["Patient.extension[0].extension[0].extension[0]"],
        ),
        (
            ("element", BASE + "complex#Extension.extension:part"),
            patient(extension=[{"url": BASE + "complex", "extension": [PART]}]),
            [],
        ),
        (
            ("element", BASE + "complex#Extension.extension:part"),
            patient(extension=[{"url": BASE + "complex", "extension": [OTHER]}]),
            ["Patient.extension[0].extension[0].extension[0]"],
        ),
        # An extension as a whole: on it, and on its value.
        (
            ("extension", BASE + "complex"),
            patient(extension=[{"url": BASE + "complex", "extension": [{"url": "part", "valueString": "y"}, MARK]}]),
            [],
        ),
        (("extension", BASE + "complex"), patient(extension=[MARK]), ["Patient.extension[0]"]),
        # An element of a profile that the resource claims.
        (("element", BASE + "contacts#Patient.contact"), claiming("contacts", contact=[{"gender": "male", "name": {"text": "x"}, "extension": [MARK]}]), []),
        (("element", BASE + "contacts#Patient"), claiming("contacts", extension=[MARK]), []),
        (("element", BASE + "contacts#Patient.birthDate"), claiming("contacts", birthDate="2000", _birthDate={"extension": [MARK]}), []),
        (("element", BASE + "contacts#Patient.contact"), claiming("contacts", extension=[MARK]), ["Patient.extension[0]"]),
        (("element", BASE + "contacts#Patient.name"), claiming("contacts", name=[{"text": "x", "extension": [MARK]}]), []),
        (
            ("element", BASE + "pressure#Patient.name"),
            patient(name=[{"text": "x", "extension": [MARK]}]),
            ["Patient.name[0].extension[0]"],
        ),
        # Of a base definition, by its full path.
        (("element", "http://hl7.org/fhir/StructureDefinition/Patient#Patient.name"), patient(name=[{"text": "x", "extension": [MARK]}]), []),
        # Of a profile that isn't known: it can't be told.
        (("element", BASE + "nowhere#Patient.name"), patient(name=[{"text": "x", "extension": [MARK]}]), []),
    ],
)  # fmt: skip
def test_contexts(context, resource, places):
    assert misplaced(resource, extension([context]), COMPLEX, PROFILE, PRESSURE) == places


def test_a_slice_of_a_profile_is_a_context():
    mark = extension([("element", BASE + "pressure#Observation.component:high")])

    def observation(*names: str) -> Json:
        components = [{"code": {"text": name}, "valueString": "z", "extension": [MARK]} for name in names]
        return {"resourceType": "Observation", "meta": {"profile": [BASE + "pressure"]}, "status": "final",
                "code": {"text": "x"}, "component": components}  # fmt: skip

    assert misplaced(observation("high"), mark, PRESSURE) == []
    assert misplaced(observation("high", "low"), mark, PRESSURE) == ["Observation.component[1].extension[0]"]


def test_a_context_inside_a_bundle_and_a_contained_resource():
    mark = extension([("element", BASE + "contacts#Patient.contact")])
    inner = claiming("contacts", contact=[{"name": {"text": "x"}, "extension": [MARK]}])
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:0b6c0f5e-5a5e-4d3a-9f60-6a5f3a6ac001", "resource": inner}],
    }
    assert misplaced(bundle, mark, PROFILE) == []


@pytest.mark.parametrize(
    ("rule", "resource", "is_right"),
    [
        # The focus is the element that holds the extension.
        ("family.exists()", patient(name=[{"family": "x", "extension": [MARK]}]), True),
        ("family.exists()", patient(name=[{"text": "x", "extension": [MARK]}]), False),
        # %extension is the extension, %resource the resource.
        ("%extension.value = 'x'", patient(name=[{"text": "x", "extension": [MARK]}]), True),
        ("%extension.value = text", patient(name=[{"text": "y", "extension": [MARK]}]), False),
        ("%resource.active", patient(active=True, name=[{"text": "y", "extension": [MARK]}]), True),
        ("%resource.active", patient(active=False, name=[{"text": "y", "extension": [MARK]}]), False),
        # Nothing isn't true.
        ("%resource.active", patient(name=[{"text": "y", "extension": [MARK]}]), False),
        # A primitive has its value.
        ("$this = @2000-01-01", patient(birthDate="2000-01-01", _birthDate={"extension": [MARK]}), True),
        ("$this = @2000-01-01", patient(birthDate="2001-01-01", _birthDate={"extension": [MARK]}), False),
        ("hasValue().not()", patient(_birthDate={"extension": [MARK]}), True),
        ("length() = 1", patient(name=[{"given": ["ab", "c"], "_given": [None, {"extension": [MARK]}]}]), True),
        ("length() = 1", patient(name=[{"given": ["c", "ab"], "_given": [None, {"extension": [MARK]}]}]), False),
        # A backbone element, a resource, an extension.
        ("gender = 'male'", patient(contact=[{"name": {"text": "x"}, "gender": "male", "extension": [MARK]}]), True),
        ("active", patient(active=True, extension=[MARK]), True),
        ("active.not()", patient(active=True, extension=[MARK]), False),
        ("url = 'part'", patient(extension=[{"url": BASE + "complex", "extension": [PART]}]), True),
        ("url = 'part'", patient(extension=[{"url": BASE + "complex", "extension": [OTHER]}]), False),
    ],
)  # fmt: skip
def test_context_invariants(rule, resource, is_right):
    found = misplaced(resource, extension([("element", "Element"), ("element", "Patient")], rule), COMPLEX)
    assert (found == []) == is_right


def test_every_context_invariant_must_be_true_and_one_that_cannot_be_read_allows():
    right, wrong = "text = 'x'", "text = 'y'"
    named = patient(name=[{"text": "x", "extension": [MARK]}])
    element = [("element", "Element")]
    assert misplaced(named, extension(element, right, right)) == []
    assert misplaced(named, extension(element, right, wrong)) == ["Patient.name[0].extension[0]"]
    assert misplaced(named, extension(element, "text = (")) == []
