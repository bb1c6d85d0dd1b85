"""The code systems that the records use, and small FHIR values made of them.

French tables: https://mos.esante.gouv.fr/NOS/; our own profiles and codes: profiles/ and terminology/.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

HS = "https://health-space.example/fhir"
NOS = "https://mos.esante.gouv.fr/NOS"
THO = "http://terminology.hl7.org/CodeSystem"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ATC = "http://www.whocc.no/atc"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
FR_IDENTIFIERS = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"


def nos(table: str) -> str:
    """Return the system of a French table by its long name."""
    return f"{NOS}/{table}/FHIR/{table.replace('_', '-')}"


DOCUMENT_CLASS = nos("TRE_A03-ClasseDocument")
DOCUMENT_TYPE = nos("TRE_A05-TypeDocComplementaire")
DOCUMENT_FORMAT = nos("TRE_A06-FormatCodeComplementaire")
VISIBILITY = nos("TRE_A07-StatutVisibiliteDocument")
PATIENT_AUTHOR = nos("TRE_A00-ProducteurDocNonPS")
PRACTICE_SETTING = nos("TRE_A01-CadreExercice")
SECTOR = nos("TRE_R02-SecteurActivite")
PROFESSION = nos("TRE_G15-ProfessionSante")
ROLE_CLASS = nos("TRE_R260-HL7RoleClass")
ROLE_CODE = nos("TRE_R216-HL7RoleCode")


def coding(system: str, code: str, display: str = "") -> Json:
    """Return a Coding."""
    return (
        {"system": system, "code": code, "display": display} if display else {"system": system, "code": code}
    )


def concept(system: str, code: str, display: str = "", text: str = "") -> Json:
    """Return a CodeableConcept with one coding, and a text if there is one."""
    value: Json = {"coding": [coding(system, code, display)]}
    if text:
        value["text"] = text
    return value


def reference(to: str) -> Json:
    """Return a Reference."""
    return {"reference": to}


def quantity(value: Any, unit: str, code: str = "") -> Json:
    """Return a Quantity in UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": code or unit}


def resource(type_: str, id_: str, *profiles: str) -> Json:
    """Return the start of a resource that claims these profiles: ours by id, others by URL."""
    claims = [url if ":" in url else f"{HS}/StructureDefinition/{url}" for url in profiles]
    start: Json = {"resourceType": type_, "id": id_}
    if claims:
        start["meta"] = {"profile": claims}
    return start
