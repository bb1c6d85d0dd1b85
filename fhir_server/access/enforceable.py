"""Which Consents this server can enforce: one that it would only partly obey is refused with the reason.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.access.caller import FORBIDDEN_PURPOSES
from fhir_server.access.consent import ACTION_CODES, BASE_POLICIES, PCF, is_in_force
from fhir_server.outcome import Issue

#: Whom a provision may name; membership of others can't be found out.
_ACTORS = ("Practitioner/", "Organization/", "CareTeam/", "Device/", "RelatedPerson/", "Patient/")
_MEANINGS = ("instance", "authoredby")


def unenforceable(consent: Mapping[str, Any]) -> list[Issue]:
    """Return why a Consent can't be enforced, an issue for each place; none for one that decides nothing."""
    if not is_in_force(consent):
        return []
    issues = [
        _issue(f"policy[{n}].uri", f"It is none of {', '.join(BASE_POLICIES)}.")
        for n, policy in enumerate(consent.get("policy", ()))
        if policy.get("uri", "").startswith(PCF) and policy["uri"].removeprefix(PCF) not in BASE_POLICIES
    ]
    if "provision" in consent:
        issues += _of(consent["provision"], "provision")
    return issues


def _of(provision: Mapping[str, Any], place: str) -> Iterator[Issue]:
    for n, actor in enumerate(provision.get("actor", ())):
        if not actor.get("reference", {}).get("reference", "").startswith(_ACTORS):
            text = f"Name the actor by a reference to one of {', '.join(a[:-1] for a in _ACTORS)}."
            yield _issue(f"{place}.actor[{n}].reference", text)
    for name in ("dataPeriod", "code"):
        if name in provision:
            yield _issue(f"{place}.{name}", "Use class, data or securityLabel in its place.")
    for n, datum in enumerate(provision.get("data", ())):
        if datum.get("meaning") not in _MEANINGS:
            yield _issue(f"{place}.data[{n}].meaning", f"It can be one of {', '.join(_MEANINGS)}.")
    for n, action in enumerate(provision.get("action", ())):
        if not {coding.get("code") for coding in action.get("coding", ())} <= ACTION_CODES:
            yield _issue(f"{place}.action[{n}]", f"It can be one of {', '.join(sorted(ACTION_CODES))}.")
    purposes = {purpose.get("code") for purpose in provision.get("purpose", ())}
    if provision.get("type") == "permit" and purposes & FORBIDDEN_PURPOSES:
        text = "Nobody can allow insurers, employers or marketing to read a health space."
        yield _issue(f"{place}.purpose", text)
    for n, nested in enumerate(provision.get("provision", ())):
        yield from _of(nested, f"{place}.provision[{n}]")


def _issue(place: str, remedy: str) -> Issue:
    text = f"This can't be enforced here, so the Consent was not stored. {remedy}"
    return Issue("error", "business-rule", text, f"Consent.{place}", "consent-enforceable")
