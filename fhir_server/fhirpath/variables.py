"""Variables with a fixed meaning: https://hl7.org/fhir/R4/fhirpath.html#variables."""

from __future__ import annotations

_FIXED = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXED = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def fixed_variable(name: str) -> str | None:
    """Return the value of a fixed variable (``ucum``, ``vs-name``), None for others."""
    for prefix, url in _PREFIXED.items():
        if name.startswith(prefix):
            return url + name.removeprefix(prefix)
    return _FIXED.get(name)
