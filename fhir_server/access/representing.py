"""Who acts for a person: a parent until the person is 18, a guardian as long as the RelatedPerson is in force.

A trusted person (NOK), who is to be warned (ECON) and a curator see nothing by that: a Consent may name what they
see. Code de la sante publique R1111-33. https://hl7.org/fhir/R4/relatedperson.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: v3-RoleCode: parents by birth, adoption or marriage, and guardians.
_PARENTS = frozenset({"PRN", "MTH", "FTH", "NMTH", "NFTH", "NPRN", "ADOPTP", "ADOPTM", "ADOPTF"})
_GUARDIANS = frozenset({"GUARD", "POWATT", "HPOWATT", "TUTEUR"})
_MAJORITY_YEARS = 18


def may_represent(related: Mapping[str, Any], person: Mapping[str, Any], today: str) -> bool:
    """Tell whether a RelatedPerson acts for a Patient on a date (YYYY-MM-DD) as that person could."""
    if not is_in_force(related, today):
        return False
    roles = {
        coding.get("code")
        for concept in related.get("relationship", ())
        for coding in concept.get("coding", ())
    }
    if roles & _GUARDIANS:
        return True
    return bool(roles & _PARENTS) and _is_minor(person.get("birthDate", ""), today)


def is_in_force(related: Mapping[str, Any], today: str) -> bool:
    """Tell whether a relation holds on a date; what it lets the RelatedPerson see is another matter."""
    period = related.get("period", {})
    start, end = period.get("start", "")[:10], period.get("end", "")[:10]
    return not (
        related.get("active") is False or today[: len(start)] < start or (end and today[: len(end)] > end)
    )


def _is_minor(born: str, today: str) -> bool:
    """Tell whether a person is surely under age; of an imprecise date the earliest day counts."""
    if len(born) < len("2000"):
        return False
    earliest = f"{born}-01-01"[:10] if len(born) == len("2000") else f"{born}-01"[:10]
    return f"{int(earliest[:4]) + _MAJORITY_YEARS}{earliest[4:]}" > today
