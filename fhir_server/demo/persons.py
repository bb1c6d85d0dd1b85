"""The people of a space, who treats them, and their devices.

https://hl7.org/fhir/R4/patient.html, relatedperson.html, practitioner.html, organization.html, device.html
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from fhir_server.demo.codes import (
    FR_IDENTIFIERS,
    HS,
    PROFESSION,
    ROLE_CLASS,
    ROLE_CODE,
    SECTOR,
    THO,
    Json,
    concept,
    reference,
    resource,
)
from fhir_server.demo.identities import uuid

#: The identities that only demonstrations may use.
INS_DEMO = ("INS-NIR-DEMO", "urn:oid:1.2.250.1.213.1.4.11")
INS_TEST = ("INS-NIR-TEST", "urn:oid:1.2.250.1.213.1.4.10")

#: Relationships: the code and what HL7 calls it.
RELATIONS = {
    "MTH": "mother",
    "FTH": "father",
    "SIS": "sister",
    "BRO": "brother",
    "DAU": "natural daughter",
    "SON": "natural son",
    "HUSB": "husband",
    "WIFE": "wife",
    "DOMPART": "domestic partner",
    "GRMTH": "grandmother",
    "FRND": "unrelated friend",
    "NBOR": "neighbor",
}
ROLES = {
    "ECON": ("personne à prévenir en cas d'urgence", "emergency contact"),
    "NOK": ("personne de confiance", "next of kin"),
    "GUARD": ("Responsable légal", "guardian"),
}


def patient(
    id_: str,
    ins: str,
    *,
    family: str,
    given: Sequence[str],
    gender: str,
    born: date,
    identity: tuple[str, str] = INS_DEMO,
    active: bool = True,
) -> Json:
    """Return the holder of a space."""
    code, system = identity
    return resource("Patient", id_, "hs-patient") | {
        "identifier": [
            {"use": "official", "type": concept(FR_IDENTIFIERS, code), "system": system, "value": ins}
        ],
        "active": active,
        "name": [{"use": "official", "family": family, "given": list(given)}],
        "gender": gender,
        "birthDate": born.isoformat(),
    }


def contact(
    id_: str,
    holder: str,
    *,
    family: str,
    given: str,
    relation: str,
    phone: str,
    priority: int,
    roles: Sequence[str] = ("ECON",),
) -> Json:
    """Return a person to warn in an emergency; the roles say whether also trusted or a legal representative.

    FR Core wants one relationship for each system, so HL7's codes stand apart from the French ones.
    """
    relationship = [
        *(concept(ROLE_CLASS, role, ROLES[role][0]) for role in roles),
        concept(ROLE_CODE, relation),
        *(concept(f"{THO}/v3-RoleClass", role, ROLES[role][1]) for role in roles),
        concept(f"{THO}/v3-RoleCode", relation, RELATIONS[relation]),
    ]
    return resource("RelatedPerson", id_, "hs-emergency-contact") | {
        "extension": [{"url": f"{HS}/StructureDefinition/hs-contact-priority", "valuePositiveInt": priority}],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": uuid(f"contact {id_}")}],
        "active": True,
        "patient": reference(holder),
        "relationship": relationship,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": phone, "use": "mobile"}],
    }


def practitioner(id_: str, rpps: str, *, family: str, given: str, profession: tuple[str, str]) -> Json:
    """Return a professional; the profession is a row of TRE_G15."""
    return resource("Practitioner", id_, "hs-practitioner") | {
        "identifier": [
            {
                "type": concept(FR_IDENTIFIERS, "IDNPS"),
                "system": "urn:oid:1.2.250.1.71.4.2.1",
                "value": f"8{rpps}",
            },
            {
                "type": concept(FR_IDENTIFIERS, "RPPS"),
                "system": "https://rpps.esante.gouv.fr",
                "value": rpps,
            },
        ],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "qualification": [{"code": concept(PROFESSION, *profession)}],
    }


def organization(id_: str, identifier: tuple[str, str], *, name: str, sector: tuple[str, str]) -> Json:
    """Return an establishment; the sector is a row of TRE_R02."""
    system, value = identifier
    return resource("Organization", id_, "hs-organization") | {
        "identifier": [{"system": system, "value": value}],
        "active": True,
        "type": [concept(SECTOR, *sector)],
        "name": name,
    }


def device(id_: str, *, name: str, kind: str, holder: str = "", app: str = "", owner: str = "") -> Json:
    """Return a personal device of a holder, or an app of the catalogue (``app``: its catalogue name)."""
    made = resource("Device", id_, "hs-device") | {
        "identifier": [
            {"system": f"{HS}/sid/app", "value": app}
            if app
            else {"system": "urn:ietf:rfc:3986", "value": uuid(f"device {id_}")}
        ],
        "status": "active",
        "deviceName": [{"name": name, "type": "user-friendly-name"}],
        "type": concept(f"{HS}/CodeSystem/hs-device-kind", kind),
    }
    if holder:
        made["patient"] = reference(holder)
    if owner:
        made["owner"] = reference(owner)
    return made
