"""Consents: the organ donation wish, and the opposition to a space.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.demo.codes import HS, THO, Json, coding, concept, reference, resource

_RULES = {
    "OPTIN": "opt-in",
    "OPTINR": "opt-in with restrictions",
    "OPTOUT": "op-out",
    "OPTOUTE": "opt-out with exceptions",
}
_CATEGORIES = f"{HS}/CodeSystem/hs-consent-category"


def wish(
    id_: str,
    holder: str,
    rule: str,
    *,
    stated: str,
    by: str = "",
    organs: Sequence[str] = (),
    purposes: Sequence[str] = (),
    is_current: bool = True,
) -> Json:
    """Return a wish: all (OPTIN), all but (OPTINR), nothing (OPTOUT), only (OPTOUTE) these organs and purposes."""
    made = resource("Consent", id_, "hs-organ-donation-wish") | {
        "status": "active" if is_current else "inactive",
        "scope": concept(f"{THO}/consentscope", "adr", "Advanced Care Directive"),
        "category": [
            concept(f"{THO}/consentcategorycodes", "acd", "Advance Directive"),
            concept(_CATEGORIES, "organ-donation"),
        ],
        **_stated(holder, stated, by, rule),
    }
    exceptions: list[Json] = []
    type_ = "deny" if rule == "OPTINR" else "permit"
    if organs:
        codes = [concept(f"{HS}/CodeSystem/hs-organ", organ) for organ in organs]
        exceptions.append({"type": type_, "code": codes})
    if purposes:
        named = [coding(f"{HS}/CodeSystem/hs-organ-purpose", purpose) for purpose in purposes]
        exceptions.append({"type": type_, "purpose": named})
    if exceptions:
        made["provision"] = {"provision": exceptions}
    return made


def opposition(id_: str, holder: str, *, stated: str, by: str = "") -> Json:
    """Return the objection to the opening of a space."""
    return resource("Consent", id_, "hs-space-opposition") | {
        "status": "active",
        "scope": concept(f"{THO}/consentscope", "patient-privacy", "Privacy Consent"),
        "category": [concept(_CATEGORIES, "space-opening")],
        **_stated(holder, stated, by, "OPTOUT"),
    }


def _stated(holder: str, stated: str, by: str, rule: str) -> Json:
    return {
        "patient": reference(holder),
        "dateTime": stated,
        "performer": [reference(by or holder)],
        "policyRule": concept(f"{THO}/v3-ActCode", rule, _RULES[rule]),
    }
