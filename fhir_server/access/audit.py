"""What happened, as AuditEvent resources: one for each patient concerned, none with health data.

The shapes are those of IHE's Basic Audit Log Patterns (https://profiles.ihe.net/ITI/BALP/): who sends and who receives
depends on the interaction. https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from fhir_server.access.caller import Caller, Kind
from fhir_server.datatypes.json_format import encode

_BALP = "https://profiles.ihe.net/ITI/BALP"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_REST = encode({"system": f"{_TERMINOLOGY}/audit-event-type", "code": "rest", "display": "Restful Operation"})
_ALERT = encode({"system": _DICOM, "code": "110113", "display": "Security Alert"})
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_AUTHORIZATION = f"{_BALP}/CodeSystem/AuthZsubType"

#: AuditEvent.action by interaction; all others are E, execute.
ACTIONS = {"create": "C", "update": "U", "patch": "U", "delete": "D", "read": "R", "vread": "R"}
#: The profile of a successful interaction by its action, to which "Patient" is added where there is one.
_PROFILES = {"C": "Create", "U": "Update", "D": "Delete", "R": "Read", "E": "Query"}
#: By action: DICOM's codes of the client and of the server, and the participation of the user.
_ROLES = {
    "C": ("110153", "110152", "AUT"),
    "U": ("110153", "110152", "AUT"),
    "D": ("110150", "", "CST"),
    "R": ("110152", "110153", "IRCP"),
    "E": ("110153", "110152", "IRCP"),
}
_ROLE_NAMES = {"110150": "Application", "110152": "Destination Role ID", "110153": "Source Role ID"}
_FORBIDDEN = (401, 403)


@dataclass(frozen=True, slots=True)
class Situation:
    """What the events of a request share: who asked whom, from where, when, under which name.

    ``base`` is the server's FHIR base URL, ``address`` the client's network address, ``request_id`` what the logs call
    the request; ``caller`` is None when nobody signed in.
    """

    base: str
    address: str
    request_id: str
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that was done or refused at a moment (``recorded``, milliseconds UTC).

    ``interaction`` is the R4 code, ``status`` the HTTP status, ``code`` the issue type of a refusal. ``entity`` is the
    versioned reference of the resource, or its type if it has no id; ``query`` the request itself where many resources
    are asked for. ``patient`` is the id of the patient concerned.
    """

    interaction: str
    recorded: int
    status: int = 200
    code: str = ""
    entity: str = ""
    query: str = ""
    patient: str | None = None

    @property
    def action(self) -> str:
        """AuditEvent.action."""
        return ACTIONS.get(self.interaction, "E")

    @property
    def outcome(self) -> str:
        """AuditEvent.outcome: 0 done, 4 refused as wrong, 8 denied, 12 the server failed."""
        if self.status < 400:
            return "0"
        if self.status in _FORBIDDEN:
            return "8"
        return "4" if self.status < 500 else "12"


@dataclass(frozen=True, slots=True)
class Event:
    """An AuditEvent that has no id yet, and what it is found by.

    ``body`` is the resource's JSON behind ``"id"``; ``fields`` are the stored fields: ``t`` recorded, ``a`` action,
    ``o`` outcome, ``k`` subtype, ``p`` patient, ``s`` subject, ``e`` entity.
    """

    recorded: int
    body: bytes
    fields: dict[str, Any]

    def named(self, id_: str) -> bytes:
        """Return the resource with its id."""
        return b'{"resourceType":"AuditEvent","id":"%b"%b' % (id_.encode(), self.body)


def event(situation: Situation, act: Act) -> Event:
    """Return the event of an act."""
    action, outcome, caller = act.action, act.outcome, situation.caller
    fields: dict[str, Any] = {"t": act.recorded, "a": action, "o": outcome, "k": act.interaction}
    if act.patient is not None:
        fields["p"] = act.patient
    if caller is not None and caller.subject:
        fields["s"] = caller.subject
    if "/" in act.entity:
        fields["e"] = act.entity.partition("/_history/")[0]
    when = _instant(act.recorded)
    told = _told(act) if outcome != "0" else ""
    meta, head = _head(act.interaction, outcome, told, act.patient is not None)
    agents = _agents(action, situation.base, situation.address, _who(caller))
    entities = b",".join(_entities(situation, act, action))
    body = b"%b%b%b%b%b%b%b]}" % (meta[0], when, meta[1], when, head, agents, entities)
    return Event(act.recorded, body, fields)


@lru_cache(maxsize=1024)
def _head(interaction: str, outcome: str, told: str, has_patient: bool) -> tuple[tuple[bytes, bytes], bytes]:
    """Return what stands before the first and the second time of an event, and what follows up to its agents."""
    action = ACTIONS.get(interaction, "E")
    profile = ""
    if outcome == "0":
        name = ("Patient" if has_patient else "") + _PROFILES[action]
        profile = f',"profile":["{_BALP}/StructureDefinition/IHE.BasicAudit.{name}"]'
    told = f',"outcomeDesc":"{told}"' if told else ""
    return (
        b',"meta":{"versionId":"1","lastUpdated":"',
        f'"{profile}}},"type":{_REST.decode()}{_subtype(interaction)},"action":"{action}","recorded":"'.encode(),
    ), f'","outcome":"{outcome}"{told},"agent":'.encode()


def _told(act: Act) -> str:
    """Return why it was refused, from codes alone: texts of issues may quote what was sent."""
    return f"{act.status} {act.code}".strip()


def _subtype(interaction: str) -> str:
    if not interaction:
        return ""
    return f',"subtype":[{{"system":"{_INTERACTION}","code":"{interaction}","display":"{interaction}"}}]'


def _entities(situation: Situation, act: Act, action: str) -> Iterator[bytes]:
    if act.patient is not None:
        yield (
            b'{"what":{"reference":"Patient/%b"},"type":{"system":"http://terminology.hl7.org/CodeSystem/'
            b'audit-entity-type","code":"1","display":"Person"},"role":{"system":"http://terminology.hl7.org/'
            b'CodeSystem/object-role","code":"1","display":"Patient"}}'
        ) % act.patient.encode()
    if action == "E":
        yield (
            b'{"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-entity-type","code":"2","display":'
            b'"System Object"},"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"24",'
            b'"display":"Query"},"query":"%b"}'
        ) % base64.b64encode(act.query.encode())
    elif act.entity:
        yield (
            b'{"what":%b,"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-entity-type",'
            b'"code":"2","display":"System Object"},"role":{"system":"http://terminology.hl7.org/CodeSystem/'
            b'object-role","code":"4","display":"Domain Resource"}}'
        ) % encode({"reference": act.entity} if "/" in act.entity else {"type": act.entity})
    if action != "D" and situation.request_id:  # the profile of deletions has no place for it
        yield (
            b'{"what":{"identifier":{"value":"%b"}},"type":{"system":"https://profiles.ihe.net/ITI/BALP/CodeSystem/'
            b'BasicAuditEntityType","code":"XrequestId"}}'
        ) % situation.request_id.encode()


@dataclass(frozen=True, slots=True)
class _Who:
    """What an event tells of the caller."""

    subject: str
    name: str
    client: str
    organization: str | None
    purpose: str
    roles: tuple[str, ...]


_NOBODY = _Who("", "", "", None, "", ())


def _who(caller: Caller | None) -> _Who:
    if caller is None:
        return _NOBODY
    roles = (*sorted(caller.roles), *((caller.profession,) if caller.profession else ()))
    return _Who(caller.subject, caller.name, caller.client, caller.organization, caller.purpose_of_use, roles)


@lru_cache(maxsize=4096)
def _agents(action: str, base: str, address: str, who: _Who) -> bytes:
    """Return the agents (client, server, user, organization) and the source, as JSON up to the entities."""
    client, server, user = _ROLES[action]
    agents: list[dict[str, Any]] = [
        {
            "type": _dicom(client),
            "who": _identified(who.client or "anonymous"),
            "requestor": not who.subject,
            "network": {"address": address or "unknown", "type": "2" if address else "1"},
        },
        {
            "type": _dicom(server)
            if server
            else _coded("provenance-participant-type", "custodian", "Custodian"),
            "who": _identified(base),
            "requestor": False,
            "network": {"address": base, "type": "5"},
        },
    ]
    if who.subject:
        agents.append(_user(user, who))
    # The profile of deletions is closed: it has no place for an organization.
    if who.organization and action != "D":
        agents.append(
            {
                "type": _coded("v3-RoleClass", "PROV", "healthcare provider"),
                "who": {"reference": who.organization},
                "requestor": False,
            }
        )
    source = {
        "observer": _identified(base),
        "type": [
            {"system": f"{_TERMINOLOGY}/security-source-type", "code": "4", "display": "Application Server"}
        ],
    }
    return b'%b,"source":%b,"entity":[' % (encode(agents), encode(source))


def _user(participation: str, who: _Who) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": _coded("v3-ParticipationType", participation),
        "who": {"reference": who.subject},
        "requestor": True,
    }
    if who.name:
        made["name"] = who.name
    if who.roles:
        made["role"] = [{"text": role} for role in who.roles]
    if who.purpose:
        made["purposeOfUse"] = [_coded("v3-ActReason", who.purpose)]
    return made


def _dicom(code: str) -> dict[str, Any]:
    return {"coding": [{"system": _DICOM, "code": code, "display": _ROLE_NAMES[code]}]}


def _coded(system: str, code: str, display: str = "") -> dict[str, Any]:
    coding = {"system": f"{_TERMINOLOGY}/{system}", "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}


def _identified(name: str) -> dict[str, Any]:
    return {"identifier": {"value": name}}


def _instant(milliseconds: int) -> bytes:
    return b"%b.%03dZ" % (_second(milliseconds // 1000), milliseconds % 1000)


@lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}".encode()


def decision(
    situation: Situation, patient: str, consents: Sequence[str], recorded: int, *, permitted: bool
) -> Event:
    """Return the event of an authorization decision about a patient's data.

    ``consents`` are the ``Consent/x`` that it rests on; without any it rests on the caller's role alone. Raises
    ValueError when nobody signed in.
    """
    caller = situation.caller
    if caller is None:
        raise ValueError("a decision is about a caller")
    code = "AuthZ-Consent" if consents else "AuthZ-Role"
    when, outcome = _instant(recorded).decode(), "0" if permitted else "8"
    who = _who(caller)
    profile = {"profile": [f"{_BALP}/StructureDefinition/IHE.BasicAudit.AuthZconsent"]}
    client = {
        "type": _dicom("110150"),
        "who": _identified(who.client or "anonymous"),
        "requestor": False,
        "network": {"address": situation.address or "unknown", "type": "2" if situation.address else "1"},
    }
    organization = who.organization or (caller.subject if caller.kind is Kind.SYSTEM else "")
    agents = [client, _user("IRCP", who)]
    if organization:
        agents.append(
            {
                "type": _coded("v3-RoleClass", "PROV", "healthcare provider"),
                "who": {"reference": organization},
                "requestor": False,
            }
        )
    agents.append(
        {
            "type": _coded("extra-security-role-type", "authserver", "authorization server"),
            "who": _identified(situation.base),
            "requestor": False,
        }
    )
    entities: list[dict[str, Any]] = [
        {
            "what": {"reference": f"Patient/{patient}"},
            "type": _coded("audit-entity-type", "1", "Person")["coding"][0],
            "role": _coded("object-role", "1", "Patient")["coding"][0],
        }
    ]
    entities += [
        {
            "what": {"reference": consent},
            "type": {"system": "http://hl7.org/fhir/resource-types", "code": "Consent"},
        }
        for consent in consents
    ]
    if caller.token_id:
        entities.append(
            {
                "what": {"identifier": {"value": f"urn:ietf:params:oauth:jti:{caller.token_id}"}},
                "type": {"system": f"{_BALP}/CodeSystem/UserAgentTypes", "code": "UserOauthAgent"},
            }
        )
    resource: dict[str, Any] = {
        "meta": {
            "versionId": "1",
            "lastUpdated": when,
            **(profile if consents and organization else {}),
        },
        "type": {"system": _DICOM, "code": "110113", "display": "Security Alert"},
        "subtype": [{"system": _AUTHORIZATION, "code": code}],
        "action": "E",
        "recorded": when,
        "outcome": outcome,
        **({} if permitted else {"outcomeDesc": "denied"}),
        "agent": agents,
        "source": {"observer": _identified(situation.base)},
        "entity": entities,
    }
    fields = {"t": recorded, "a": "E", "o": outcome, "k": code, "p": patient, "s": caller.subject}
    return Event(recorded, b"," + encode(resource)[1:], fields)


def fields_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the stored fields of an event, from the event itself: to check that nobody changed them apart."""
    moment = datetime.fromisoformat(resource["recorded"])
    subtype = resource.get("subtype", [{}])[0].get("code", "")
    made: dict[str, Any] = {
        "t": round(moment.timestamp() * 1000),
        "a": resource["action"],
        "o": resource["outcome"],
        "k": subtype,
    }
    for entity in resource.get("entity", ()):
        reference = entity.get("what", {}).get("reference", "")
        kind = entity.get("type", {}).get("code")
        if kind == "1":
            made["p"] = reference.removeprefix("Patient/")
        elif kind == "2" and reference:
            made["e"] = reference.partition("/_history/")[0]
    for agent in resource["agent"]:
        if agent["requestor"] and "reference" in agent["who"]:
            made["s"] = agent["who"]["reference"]
    return made
