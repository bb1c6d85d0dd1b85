"""One case a rule of profiles: the differential, a resource that keeps it, one that doesn't, and where that shows."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Policy, Validator

BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "https://example.org/StructureDefinition/case"
TEXT = {"text": "x"}


def structure(type_: str, *elements: dict[str, Any], url: str = URL, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "version": "1.0.0",
        "type": type_,
        "kind": "resource",
        "baseDefinition": BASE + type_,
        "derivation": "constraint",
        "differential": {"element": [{"path": type_}, *elements]},
        **more,
    }


def validator(*definitions: dict[str, Any], policy: Policy | None = None) -> Validator:
    known = Definitions()
    for definition in definitions:
        assert known.add(definition)
    return Validator(known, CodeSets(known), policy=policy)


def slicing(
    path: str, *discriminators: tuple[str, str], rules: str = "open", ordered: bool = False
) -> dict[str, Any]:
    rows = [{"type": kind, "path": where} for kind, where in discriminators]
    return {"path": path, "slicing": {"discriminator": rows, "rules": rules, "ordered": ordered}}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "active": True, **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": TEXT, **elements}


PHONE, MAIL, FAX = ({"system": s, "value": "1"} for s in ("phone", "email", "fax"))
BY_SYSTEM = [
    {"path": "Patient.telecom", "sliceName": "phone", "min": 1, "max": "1"},
    {"path": "Patient.telecom.system", "min": 1, "fixedCode": "phone"},
    {"path": "Patient.telecom", "sliceName": "mail"},
    {"path": "Patient.telecom.system", "min": 1, "patternCode": "email"},
    {"path": "Patient.telecom.use", "min": 1},
]
WORK_MAIL = {**MAIL, "use": "work"}
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], str, str]] = {
    "max 0": ([{"path": "Patient.photo", "max": "0"}], patient(), patient(photo=[{"url": "http://a"}]), "Patient.photo", "cardinality"),
    "choice narrowed": ([{"path": "Patient.deceased[x]", "type": [{"code": "boolean"}]}], patient(deceasedBoolean=False), patient(deceasedDateTime="2020"), "Patient.deceased", "choice-type"),
    "fixed": ([{"path": "Patient.gender", "fixedCode": "female"}], patient(gender="female"), patient(gender="male"), "Patient.gender", "fixed"),
    "fixed complex": ([{"path": "Patient.maritalStatus", "fixedCodeableConcept": TEXT}], patient(maritalStatus=TEXT), patient(maritalStatus={"text": "x", "id": "i"}), "Patient.maritalStatus", "fixed"),
    "pattern": ([{"path": "Patient.maritalStatus", "patternCodeableConcept": TEXT}], patient(maritalStatus={"text": "x", "id": "i"}), patient(maritalStatus={"text": "y"}), "Patient.maritalStatus", "pattern"),
    "max length": ([{"path": "Patient.language", "maxLength": 2}], patient(language="fr"), patient(language="fr-FR"), "Patient.language", "max-length"),
    "min value": ([{"path": "Patient.birthDate", "minValueDate": "1900-01-01"}], patient(birthDate="1950"), patient(birthDate="1850"), "Patient.birthDate", "min-value"),
    "invariant": ([{"path": "Patient.name", "constraint": [{"key": "n-1", "severity": "error", "human": "h", "expression": "family.exists()"}]}], patient(name=[{"family": "A"}]), patient(name=[TEXT]), "Patient.name[0]", "n-1"),
    "slice missing": ([slicing("Patient.telecom", ("value", "system")), *BY_SYSTEM], patient(telecom=[FAX, PHONE]), patient(telecom=[FAX]), "Patient.telecom", "slice-phone"),
    "slice twice": ([slicing("Patient.telecom", ("value", "system")), *BY_SYSTEM], patient(telecom=[PHONE]), patient(telecom=[PHONE, PHONE]), "Patient.telecom", "slice-phone"),
    "slice content": ([slicing("Patient.telecom", ("value", "system")), *BY_SYSTEM], patient(telecom=[PHONE, WORK_MAIL]), patient(telecom=[PHONE, MAIL]), "Patient.telecom[1]", "cardinality"),
    "closed": ([slicing("Patient.telecom", ("value", "system"), rules="closed"), *BY_SYSTEM], patient(telecom=[PHONE, WORK_MAIL]), patient(telecom=[PHONE, FAX]), "Patient.telecom[1]", "slice"),
    "open at end": ([slicing("Patient.telecom", ("value", "system"), rules="openAtEnd"), *BY_SYSTEM], patient(telecom=[PHONE, FAX]), patient(telecom=[FAX, PHONE]), "Patient.telecom[0]", "slice"),
    "ordered": ([slicing("Patient.telecom", ("value", "system"), ordered=True), *BY_SYSTEM], patient(telecom=[PHONE, WORK_MAIL]), patient(telecom=[WORK_MAIL, PHONE]), "Patient.telecom[1]", "slice-order"),
    "slice by exists": ([slicing("Patient.name", ("exists", "period")), {"path": "Patient.name", "sliceName": "old", "max": "1"}, {"path": "Patient.name.period", "min": 1}, {"path": "Patient.name", "sliceName": "now", "max": "1"}, {"path": "Patient.name.period", "max": "0"}], patient(name=[TEXT, {"text": "y", "period": {"start": "2020"}}]), patient(name=[TEXT, TEXT]), "Patient.name", "slice-now"),
    "slice of this": ([slicing("Patient.name.given", ("value", "$this")), {"path": "Patient.name.given", "sliceName": "a", "min": 1, "patternString": "A"}], patient(name=[{"given": ["B", "A"]}]), patient(name=[{"given": ["B"]}]), "Patient.name[0].given", "slice-a"),
    "aggregation": ([{"path": "Patient.managingOrganization", "type": [{"code": "Reference", "targetProfile": [BASE + "Organization"], "aggregation": ["contained"]}]}], patient(contained=[{"resourceType": "Organization", "id": "o", "name": "O"}], managingOrganization={"reference": "#o"}), patient(managingOrganization={"reference": "Organization/1"}), "Patient.managingOrganization", "aggregation"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_rule(name: str) -> None:
    elements, right, wrong, place, rule = CASES[name]
    checked = validator(structure("Patient", *elements))
    assert checked.validate(right, (URL,)) == ()
    found = [(i.expression, i.rule.partition("@")[0]) for i in checked.validate(wrong, (URL,))]
    assert found == [(place, rule)]
    assert checked.validate(wrong) == ()


def test_slices_by_type_and_profile_of_what_is_referred_to() -> None:
    named = structure("Patient", {"path": "Patient.name", "min": 1}, url="https://example.org/named")
    elements = [
        slicing("Observation.hasMember", ("profile", "resolve()")),
        slicing("Observation.performer", ("type", "resolve()")),
        {"path": "Observation.performer", "sliceName": "patient", "min": 1,
         "type": [{"code": "Reference", "targetProfile": ["https://example.org/named"]}]},
    ]  # fmt: skip
    checked = validator(structure("Observation", *elements[1:]), named)
    inner = {"resourceType": "Patient", "id": "p", "name": [TEXT]}
    right = observation(contained=[inner], performer=[{"reference": "#p"}])
    assert checked.validate(right, (URL,)) == ()
    nameless = observation(
        contained=[{"resourceType": "Patient", "id": "p", "active": True}], performer=[{"reference": "#p"}]
    )
    found = {(i.expression, i.rule.partition("@")[0]) for i in checked.validate(nameless, (URL,))}
    assert found == {("Observation.performer[0]", "target-profile")}
    other = observation(
        contained=[{"resourceType": "Organization", "id": "p", "name": "x"}], performer=[{"reference": "#p"}]
    )
    assert [i.rule.partition("@")[0] for i in checked.validate(other, (URL,))] == ["slice-patient"]


EXTENSION = structure(
    "Extension",
    {"path": "Extension.url", "fixedUri": "https://example.org/eyes"},
    {"path": "Extension.value[x]", "min": 1, "type": [{"code": "string"}]},
    url="https://example.org/eyes",
    kind="complex-type",
    context=[
        {"type": "element", "expression": "Patient.name"},
        {"type": "fhirpath", "expression": "Patient.contact"},
    ],
)
EYES = {"url": "https://example.org/eyes", "valueString": "blue"}


def test_extensions_follow_their_definition_where_their_context_allows() -> None:
    checked = validator(EXTENSION)
    assert checked.validate(patient(name=[{"text": "x", "extension": [EYES]}])) == ()
    assert checked.validate(patient(contact=[{"name": TEXT, "extension": [EYES]}])) == ()
    [issue] = checked.validate(patient(extension=[EYES]))
    assert (issue.severity, issue.expression) == ("error", "Patient.extension[0]")
    assert issue.rule.startswith("extension-context@")
    [issue] = checked.validate(patient(name=[{"text": "x", "extension": [{**EYES, "valueString": ""}]}]))
    assert issue.expression == "Patient.name[0].extension[0].value.ofType(string)"
    wrong = {"url": EYES["url"], "valueBoolean": True}
    [issue] = checked.validate(patient(name=[{"text": "x", "extension": [wrong]}]))
    assert issue.rule == "choice-type@https://example.org/eyes#Extension.value[x]"


def test_unknown_modifier_extensions_are_what_the_policy_says() -> None:
    resource = patient(modifierExtension=[{"url": "https://example.org/not", "valueBoolean": True}])
    for severity in ("warning", "error"):
        checked = validator(policy=Policy(unknown_modifier_extension=severity))
        assert [i.severity for i in checked.validate(resource)] == [severity]


def test_claims_and_imposed_profiles() -> None:
    rule = structure("Patient", {"path": "Patient.name", "min": 1})
    checked = validator(rule)
    for claim in (URL, URL + "|1.0.0", URL + "|1.0"):
        assert [i.severity for i in checked.validate(patient(meta={"profile": [claim]}))] == ["error"]
    [unknown] = checked.validate(patient(meta={"profile": [URL + "|2.0.0"]}))
    assert (unknown.severity, unknown.expression) == ("warning", "Patient.meta.profile[0]")
    [unknown] = checked.validate(patient(), ("https://example.org/unknown",))
    assert (unknown.severity, unknown.code) == ("error", "not-found")
    [mismatch] = checked.validate(observation(meta={"profile": [URL]}))
    assert "is one on Patient, not on Observation" in mismatch.diagnostics
    imposing = validator(rule, policy=Policy(imposed={"Patient": (URL,)}))
    assert [i.severity for i in imposing.validate(patient())] == ["error"]


def test_two_versions_live_side_by_side_and_the_highest_is_the_default() -> None:
    older = {**structure("Patient", {"path": "Patient.name", "min": 1}), "version": "1.9.0"}
    newer = {**structure("Patient", {"path": "Patient.gender", "min": 1}), "version": "1.10.0"}
    checked = validator(older, newer)
    assert [i.rule for i in checked.validate(patient(), (URL,))] == [f"cardinality@{URL}#Patient.gender"]
    assert [i.rule for i in checked.validate(patient(), (URL + "|1.9.0",))] == [
        f"cardinality@{URL}#Patient.name"
    ]


def test_constraints_that_cannot_be_evaluated_never_fail() -> None:
    constraints = [
        {"key": "a-1", "severity": "error", "human": "no expression"},
        {"key": "a-2", "severity": "error", "human": "broken", "expression": "name.where("},
    ]
    checked = validator(structure("Patient", {"path": "Patient.name", "constraint": constraints}))
    assert [i for i in checked.validate(patient(name=[TEXT]), (URL,)) if i.severity == "error"] == []
    assert {n.key for n in checked.not_evaluated} >= {"a-1", "a-2"}


@pytest.mark.parametrize(
    ("item", "places"),
    [
        ({"linkId": "q", "answer": [{"valueInteger": 3}]}, []),
        ({"linkId": "q", "answer": [{"valueString": "3"}]}, ["QuestionnaireResponse.item[0].answer[0].value.ofType(string)"]),
        ({"linkId": "q", "answer": [{"valueInteger": 3}, {"valueInteger": 4}]}, ["QuestionnaireResponse.item[0]"]),
        ({"linkId": "q"}, ["QuestionnaireResponse.item[0]"]),
        ({"linkId": "other"}, ["QuestionnaireResponse.item[0]", "QuestionnaireResponse"]),
    ],
)  # fmt: skip
def test_answers_are_checked_against_a_known_questionnaire(item: dict[str, Any], places: list[str]) -> None:
    url = "https://example.org/Questionnaire/q"
    questionnaire = {
        "resourceType": "Questionnaire",
        "url": url,
        "item": [{"linkId": "q", "type": "integer", "required": True}],
    }
    response = {
        "resourceType": "QuestionnaireResponse", "questionnaire": url, "status": "completed", "item": [item],
    }  # fmt: skip
    assert [i.expression for i in validator(questionnaire).validate(response)] == places
