"""Organisations that never read a health space: insurers, payers, employers.

Code de la sante publique L1111-18 and L1111-13-1. https://hl7.org/fhir/R4/organization.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = frozenset(
    ("http://terminology.hl7.org/CodeSystem/organization-type", code) for code in ("ins", "pay", "bus")
)
_SECTORS = "https://mos.esante.gouv.fr/NOS/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite"
_FRENCH = frozenset((_SECTORS, code) for code in ("SA23", "SA48"))


def is_insurer(organization: Mapping[str, Any]) -> bool:
    """Tell whether an Organization's type says that it insures, pays or employs."""
    return any(
        (coding.get("system"), coding.get("code")) in _TYPES | _FRENCH
        for concept in organization.get("type", ())
        for coding in concept.get("coding", ())
    )
