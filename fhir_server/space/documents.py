"""Documents of a space: their business rules, and how a simple deposit becomes a document and its content.

docs/space.md has the rules; IHE MHD is at https://profiles.ihe.net/ITI/MHD/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.outcome import Issue
from fhir_server.space.names import PROFILE, claims

DOCUMENT, DEPOSIT, BINARY = "hs-document", "hs-document-deposit", "hs-document-binary"
ARCHIVED = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-ext-is-archived"
_NOS = "https://mos.esante.gouv.fr/NOS"
SECTOR = f"{_NOS}/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite"
_SETTING = f"{_NOS}/TRE_A01-CadreExercice/FHIR/TRE-A01-CadreExercice"
_BY_PATIENT = {
    "system": f"{_NOS}/TRE_A00-ProducteurDocNonPS/FHIR/TRE-A00-ProducteurDocNonPS",
    "code": "EXP_PATIENT",
}
_NORMAL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
_PDF = {"system": f"{_NOS}/TRE_A06-FormatCodeComplementaire/FHIR/TRE-A06-FormatCodeComplementaire",
        "code": "urn:ihe:iti:xds-sd:pdf:2008"}  # fmt: skip
_OTHER = {
    "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
    "code": "urn:ihe:iti:xds:2017:mime",
}
#: What a PATCH may change of a document; the server itself changes meta.
_CHANGEABLE = frozenset({"status", "securityLabel", "meta"})
WITHDRAWN = "entered-in-error"


def is_ours(document: Mapping[str, Any]) -> bool:
    """Tell whether a DocumentReference is a document of a space."""
    return claims(document, DOCUMENT) or is_deposit(document)


def is_deposit(resource: Mapping[str, Any]) -> bool:
    """Tell whether it is a document with its content inside, as it is submitted."""
    return resource.get("resourceType") == "DocumentReference" and claims(resource, DEPOSIT)


def held_names(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the name that no other document of the same space has, with the key of its rule."""
    identifier = document.get("masterIdentifier", {})
    name = f"document|{_of(document, 'subject')}|{identifier.get('system')}|{identifier.get('value')}"
    return {name: "hs-b-doc-unique"}


def replaced(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the reference of each document that this one replaces, and its place."""
    for number, relation in enumerate(document.get("relatesTo", ())):
        if relation.get("code") == "replaces":
            yield _of(relation, "target"), f"DocumentReference.relatesTo[{number}].target"


def not_replaceable(place: str) -> Issue:
    """Return the issue of a document that can't be replaced, or not by this caller: both look alike."""
    text = "A document that is replaced must be a current one of the same citizen and the same depositor."
    return Issue("error", "business-rule", text, place, "hs-b-doc-replace")


def patched_otherwise(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the elements that a PATCH changed though it may not."""
    changed = [
        name
        for name in (*before, *(name for name in after if name not in before))
        if name not in _CHANGEABLE and before.get(name) != after.get(name)
    ]
    if "extension" in changed and _unarchived(before) == _unarchived(after):
        changed.remove("extension")
    return changed


def _unarchived(document: Mapping[str, Any]) -> list[Any]:
    return [one for one in document.get("extension", ()) if one.get("url") != ARCHIVED]


def completed(
    deposit: Mapping[str, Any],
    binary: str,
    measures: tuple[int, str],
    *,
    now: str,
    custodian: dict[str, Any],
    sector: str,
) -> dict[str, Any]:
    """Return the document that a deposit becomes; what the depositor said stays, what is missing is filled in.

    ``binary`` is the reference of its content, ``measures`` are the size and SHA-1 of that, ``custodian``
    is who keeps the document and ``sector`` the sector of that one (TRE_R02).
    """
    size, sha1 = measures
    is_own = any("Patient/" in str(author.get("reference")) for author in deposit.get("author", ()))
    [content] = deposit["content"]
    sent = {name: value for name, value in content["attachment"].items() if name != "data"}
    attachment = {"language": "fr-FR", "creation": now, **sent, "url": binary, "size": size, "hash": sha1}
    context = dict(deposit.get("context", {}))
    context.setdefault(
        "facilityType", _concept(_BY_PATIENT if is_own else {"system": SECTOR, "code": sector})
    )
    setting = {"system": _SETTING, "code": "AMBULATOIRE" if sector in _AMBULATORY else "ETABLISSEMENT"}
    context.setdefault("practiceSetting", _concept(_BY_PATIENT if is_own else setting))
    profiles = [
        PROFILE + DOCUMENT if url.partition("|")[0] == PROFILE + DEPOSIT else url
        for url in deposit["meta"]["profile"]
    ]
    pdf = attachment.get("contentType") == "application/pdf"
    return {
        **deposit,
        "meta": {**deposit["meta"], "profile": profiles},
        "date": deposit.get("date", now),
        "custodian": deposit.get("custodian", custodian),
        "securityLabel": deposit.get("securityLabel", [_concept(_NORMAL)]),
        "content": [{"attachment": attachment, "format": content.get("format", _PDF if pdf else _OTHER)}],
        "context": context,
    }


#: Sectors of practices outside of institutions.
_AMBULATORY = frozenset({"SA05", "SA07", "SA08", "SA09", "SA25", "SA33", "SA43", "SA50", "SA52", "SA63"})


def content_of(deposit: Mapping[str, Any], document: str) -> dict[str, Any]:
    """Return the Binary of a deposit; ``document`` is the reference of the document, which says who may read it."""
    attachment = deposit["content"][0]["attachment"]
    return {
        "resourceType": "Binary",
        "meta": {"profile": [PROFILE + BINARY]},
        "contentType": attachment["contentType"],
        "securityContext": {"reference": document},
        "data": attachment["data"],
    }


def _concept(coding: Mapping[str, str]) -> dict[str, Any]:
    return {"coding": [dict(coding)]}


def _of(holder: Mapping[str, Any], name: str) -> str:
    reference = holder.get(name, {})
    return str(reference.get("reference", "")) if isinstance(reference, dict) else ""
