"""The canonical URLs of the health space that code has to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HS = "https://health-space.example/fhir"
PROFILE = f"{HS}/StructureDefinition/"
HL7_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
#: meta.tag: who brought a resource into the space.
ORIGIN = f"{HS}/CodeSystem/hs-origin"
ORIGINAL_QUANTITY = f"{PROFILE}hs-original-quantity"
DEVICE_KIND = f"{HS}/CodeSystem/hs-device-kind"
#: The identifier system of apps in the catalogue.
APP = f"{HS}/sid/app"


def claims(resource: Mapping[str, Any], profile: str) -> bool:
    """Tell whether a resource claims a profile of the health space, whatever version of it."""
    meta = resource.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    if not isinstance(profiles, list):
        return False
    return any(isinstance(url, str) and url.partition("|")[0] == PROFILE + profile for url in profiles)
