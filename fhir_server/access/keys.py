"""The access keys of a version: what of a resource decides who may see it, computed when it is written.

They are stored with every version in ``_sec``, beside the home patient in ``p``; clients can't set them.
https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: The version of these rules; raised when they change, after which documents are computed anew.
RULES_VERSION = 1

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
VISIBILITY = (
    "https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument"
)
#: v3-Confidentiality in its order; what carries no code is as N, never as U.
LEVELS = {"U": 0, "L": 1, "M": 2, "N": 3, "R": 4, "V": 5}
UNLABELLED = LEVELS["N"]

#: Codes of TRE_A07 that hide a document, and from whom.
_MASKS = {"MASQUE_PS": "professional", "MASQUE_PSOCIAL": "social", "MASQUE_PT": "third-party"}
_DOCUMENT = "DocumentReference"
_DELAYS = {"INVISIBLE_PATIENT": "citizen", "INVISIBLE_REPRESENTANTS_LEGAUX": "representative"}


def keys(
    resource: Mapping[str, Any], *, authors: Iterable[str] = (), others: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the access keys of a valid resource.

    ``authors`` are who deposited it, from the token and never from the body: ``Organization/x``, ``Practitioner/x``.
    The result has: ``cls`` classes (the type; of documents also ``DocumentReference#code`` for each of its types),
    ``conf`` the confidentiality as a number, ``lab`` other labels, ``mask`` and ``hid`` who must not see it,
    ``auth`` the depositors, ``also`` the patients ``others`` than the home patient that it names, which grants them
    nothing, ``who`` the actors of a Consent, ``ver`` the version of the rules. Empty lists are left out.
    """
    type_ = resource["resourceType"]
    made: dict[str, Any] = {"cls": [type_], "conf": UNLABELLED, "ver": RULES_VERSION}
    depositors = sorted(set(authors))
    if depositors:
        made["auth"] = depositors
    if others:
        made["also"] = list(others)
    if type_ == "Consent" and (actors := set(_actors(resource.get("provision", {})))):
        made["who"] = sorted(actors)
    if type_ != _DOCUMENT and "contained" not in resource and "security" not in resource.get("meta", {}):
        return made  # most resources: hot in every write
    codings = list(_labels(resource))
    levels = [
        LEVELS[c["code"]] for c in codings if c.get("system") == CONFIDENTIALITY and c.get("code") in LEVELS
    ]
    visibility = {c.get("code") for c in codings if c.get("system") == VISIBILITY}
    labels = {
        c["code"] for c in codings if c.get("system") not in (CONFIDENTIALITY, VISIBILITY) and "code" in c
    }
    made["cls"] = list(_classes(resource))
    made["conf"] = max(levels, default=UNLABELLED)
    for name, values in (
        ("lab", labels),
        ("mask", {who for code, who in _MASKS.items() if code in visibility}),
        ("hid", {who for code, who in _DELAYS.items() if code in visibility}),
    ):
        if values:
            made[name] = sorted(values)
    return made


def _actors(provision: Mapping[str, Any]) -> Iterable[str]:
    for actor in provision.get("actor", ()):
        yield actor.get("reference", {}).get("reference", "")
    for inner in provision.get("provision", ()):
        yield from _actors(inner)


def _labels(resource: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield the codings of the labels in meta.security and DocumentReference.securityLabel; contained ones count."""
    yield from resource.get("meta", {}).get("security", ())
    if resource.get("resourceType") == _DOCUMENT:
        for concept in resource.get("securityLabel", ()):
            yield from concept.get("coding", ())
    for inner in resource.get("contained", ()):
        yield from _labels(inner)


def _classes(resource: Mapping[str, Any]) -> Iterable[str]:
    type_ = resource["resourceType"]
    yield type_
    if type_ == _DOCUMENT:
        for coding in resource.get("type", {}).get("coding", ()):
            if "code" in coding:
                yield f"{type_}#{coding['code']}"
