"""The actors of the security tests: each bearer token is a name, each name a verified caller."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.scopes import parse
from fhir_server.definitions import Definitions
from fhir_server.outcome import error

TYPES = Definitions().types.resource_types


def caller(kind: Kind, subject: str, scope: str, **more: object) -> Caller:
    return Caller(kind, subject, scopes=parse(scope, TYPES), client=kind.value, **more)  # type: ignore[arg-type]


PERSONAS: dict[str, Caller] = {
    "operator": caller(Kind.OPERATOR, "Device/operator", "system/*.cruds"),
    "A": caller(Kind.CITIZEN, "Patient/A", "patient/*.cruds", patient="A"),
    "B": caller(Kind.CITIZEN, "Patient/B", "patient/*.cruds", patient="B"),
    "app": caller(Kind.APP, "Device/app", "patient/Observation.cruds patient/Patient.rs", patient="A"),
    "narrow app": caller(Kind.APP, "Device/app", "patient/Observation.rs", patient="A"),
    "writer": caller(Kind.APP, "Device/app", "patient/Observation.u", patient="A"),
    "creator": caller(Kind.APP, "Device/app", "patient/Observation.c", patient="A"),
    "everything app": caller(Kind.APP, "Device/app", "patient/*.cruds", patient="A"),
    "no patient": caller(Kind.APP, "Device/app", "patient/*.cruds"),
    "vitals": caller(
        Kind.APP,
        "Device/app",
        f"patient/Observation.rs?category={'http://terminology.hl7.org/CodeSystem/observation-category'}|vital-signs",
        patient="A",
    ),
    "gp": caller(Kind.PROFESSIONAL, "Practitioner/gp", "user/*.cruds", organization="Organization/practice"),
    "nurse": caller(Kind.PROFESSIONAL, "Practitioner/nurse", "user/*.cruds"),
    "X": caller(Kind.PROFESSIONAL, "Practitioner/x", "user/*.cruds"),
    "N": caller(Kind.PROFESSIONAL, "Practitioner/n", "user/*.cruds", organization="Organization/other"),
    "E": caller(
        Kind.PROFESSIONAL, "Practitioner/e", "user/*.cruds", roles=frozenset({"emergency", "regulation"})
    ),
    "hasty": caller(Kind.PROFESSIONAL, "Practitioner/hasty", "user/*.cruds", roles=frozenset({"emergency"})),
    "doctor": caller(Kind.PROFESSIONAL, "Practitioner/doctor", "user/*.cruds", profession="10"),
    "podiatrist": caller(Kind.PROFESSIONAL, "Practitioner/pod", "user/*.cruds", profession="80"),
    "researcher": caller(Kind.PROFESSIONAL, "Practitioner/gp", "user/*.cruds", purpose="CLINTRCH"),
    "of insurer": caller(
        Kind.PROFESSIONAL, "Practitioner/x", "user/*.cruds", organization="Organization/insurer"
    ),
    "aunt": caller(Kind.REPRESENTATIVE, "RelatedPerson/aunt", "user/*.cruds"),
    "two": caller(
        Kind.APP,
        "Device/app",
        "patient/Observation.rs?category=vital-signs&code=718-7 patient/Observation.rs?_has=x",
        patient="A",
    ),
    "v1": caller(Kind.APP, "Device/app", "patient/Observation.read", patient="A"),
    "v1 writer": caller(Kind.APP, "Device/app", "patient/Observation.write", patient="A"),
    "mixed": caller(Kind.CITIZEN, "Patient/A", "system/*.cruds patient/Observation.rs", patient="A"),
    "lab": caller(Kind.SYSTEM, "Device/lab", "system/*.cruds", organization="Organization/lab"),
    "payer": caller(Kind.PAYER_FEED, "Device/payer", "system/ExplanationOfBenefit.cruds"),
    "insurer": caller(Kind.INSURER, "Device/insurer", "system/*.cruds user/*.cruds"),
    "bought": caller(Kind.PROFESSIONAL, "Practitioner/gp", "user/*.cruds", purpose="COVERAGE"),
    "no scope": caller(Kind.CITIZEN, "Patient/A", "openid fhirUser", patient="A"),
    "parent": caller(Kind.REPRESENTATIVE, "RelatedPerson/parent", "user/*.cruds"),
    "nok": caller(Kind.REPRESENTATIVE, "RelatedPerson/nok", "user/*.cruds"),
    "auditor": caller(Kind.AUDITOR, "Practitioner/auditor", "user/*.rs"),
}


class Tokens:
    """Knows the personas by their tokens."""

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        name = headers.get("authorization", "").removeprefix("Bearer ").replace("_", " ")
        if name not in PERSONAS:
            raise error(
                "login", "The token is not valid.", status=401, headers={"WWW-Authenticate": "Bearer"}
            )
        return PERSONAS[name]
