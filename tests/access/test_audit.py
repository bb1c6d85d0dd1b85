"""The events themselves: valid R4, in the shape of their BALP profile, without health data."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fhir_server.access.audit import Act, Situation, decision, event, fields_of
from fhir_server.access.caller import Caller, Kind
from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

NURSE = Caller(
    Kind.PROFESSIONAL,
    "Practitioner/1",
    client="ward",
    organization="Organization/7",
    profession="60",
    name='Anne "Nana" Roux',
    token_id="j-1",
)
SIGNED_IN = Situation("https://space.example.org/fhir", "192.0.2.1", "r-1", NURSE)
OPEN = Situation("http://127.0.0.1:8080/fhir", "", "", None)

#: By interaction: action, and the types of the client's, the server's and the user's agent.
#: https://profiles.ihe.net/ITI/BALP/artifacts.html
BALP = {
    "create": ("Create", "C", "110153", "110152", {"AUT", "INF", "CST"}),
    "update": ("Update", "U", "110153", "110152", {"AUT", "INF", "CST"}),
    "patch": ("Update", "U", "110153", "110152", {"AUT", "INF", "CST"}),
    "delete": ("Delete", "D", "110150", "custodian", {"AUT", "INF", "CST"}),
    "read": ("Read", "R", "110152", "110153", {"IRCP"}),
    "vread": ("Read", "R", "110152", "110153", {"IRCP"}),
    "search-type": ("Query", "E", "110153", "110152", {"IRCP"}),
    "history-instance": ("Query", "E", "110153", "110152", {"IRCP"}),
}


@pytest.fixture(scope="module")
def validator() -> Validator:
    """A validator of base R4."""
    definitions = Definitions()
    return Validator(definitions, CodeSets(definitions))


def act(interaction: str, **more: Any) -> Act:
    """Return an act on an Observation, or on all that match."""
    told = (
        {"entity": "Observation/o/_history/1"}
        if BALP.get(interaction, " E")[1] != "E"
        else {"query": "GET x"}
    )
    return Act(interaction, 1_700_000_000_123, **{**told, **more})


def code(concept: dict[str, Any]) -> str:
    """Return the first code of a CodeableConcept."""
    return str(concept["coding"][0]["code"])


@pytest.mark.parametrize("situation", [SIGNED_IN, OPEN], ids=["signed in", "open"])
@pytest.mark.parametrize("patient", ["p1", None])
@pytest.mark.parametrize("interaction", BALP)
def test_c21_success_has_the_shape_of_its_profile(
    validator: Validator, interaction: str, patient: str | None, situation: Situation
) -> None:
    profile, action, client, server, users = BALP[interaction]
    made = event(situation, act(interaction, patient=patient))
    resource = decode(made.named("id-1"))
    assert [issue for issue in validator.validate(resource) if issue.severity == "error"] == []
    name = f"{'Patient' if patient else ''}{profile}"
    assert resource["meta"]["profile"] == [
        f"https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{name}"
    ]
    assert resource["type"]["code"] == "rest"
    assert [subtype["code"] for subtype in resource["subtype"]] == [interaction]
    assert (resource["action"], resource["outcome"]) == (action, "0")
    agents = {code(agent["type"]): agent for agent in resource["agent"]}
    assert {client, server} <= agents.keys()
    for type_ in (client, server):
        assert agents[type_]["who"]
        assert agents[type_]["network"]
    if situation.caller:
        [user] = agents.keys() & users
        assert agents[user]["requestor"] is True
        assert agents[user]["who"] == {"reference": "Practitioner/1"}
        assert "network" not in agents[user]
        assert code(agents[user]["purposeOfUse"][0]) == "TREAT"
    entities = {entity["type"]["code"]: entity for entity in resource["entity"]}
    assert ("1" in entities) == bool(patient)
    if action == "E":
        assert entities["2"]["role"]["code"] == "24"
        assert base64.b64decode(entities["2"]["query"]) == b"GET x"
        assert "what" not in entities["2"]
    else:
        assert entities["2"]["role"]["code"] == "4"
        assert entities["2"]["what"] == {"reference": "Observation/o/_history/1"}
    if action == "D":  # closed slices
        assert len(resource["agent"]) <= 3
        assert len(resource["entity"]) == 1 + bool(patient)
    assert fields_of(resource) == made.fields


@pytest.mark.parametrize(
    ("status", "outcome"), [(400, "4"), (404, "4"), (401, "8"), (403, "8"), (500, "12"), (503, "12")]
)
def test_c21_failure_is_a_valid_event_with_its_outcome(
    validator: Validator, status: int, outcome: str
) -> None:
    for interaction in ("read", "search-type", ""):
        made = event(SIGNED_IN, act(interaction, status=status, code="forbidden"))
        resource = decode(made.named("id-1"))
        assert [issue for issue in validator.validate(resource) if issue.severity == "error"] == []
        assert resource["outcome"] == outcome
        assert resource["outcomeDesc"] == f"{status} forbidden"
        assert "profile" not in resource["meta"]
        assert fields_of(resource) == made.fields


@pytest.mark.parametrize("permitted", [True, False])
@pytest.mark.parametrize("consents", [["Consent/c"], []])
def test_c21_a_decision_names_what_it_rests_on(
    validator: Validator, consents: list[str], *, permitted: bool
) -> None:
    made = decision(SIGNED_IN, "p1", consents, 1_700_000_000_000, permitted=permitted)
    resource = decode(made.named("id-1"))
    assert [issue for issue in validator.validate(resource) if issue.severity == "error"] == []
    assert resource["type"]["code"] == "110113"
    assert resource["subtype"][0]["code"] == ("AuthZ-Consent" if consents else "AuthZ-Role")
    assert resource["outcome"] == ("0" if permitted else "8")
    assert [code(agent["type"]) for agent in resource["agent"]] == ["110150", "IRCP", "PROV", "authserver"]
    assert [entity["type"]["code"] for entity in resource["entity"]] == [
        "1",
        *(["Consent"] if consents else []),
        "UserOauthAgent",
    ]
    assert fields_of(resource) == made.fields
