"""The access keys of a version: what of a resource decides who may see it, computed when it is written.

They are stored with every version in ``_sec``, beside the home patient in ``p``; clients can't set them.
https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_server.access.clinical_time import clinical_interval
from fhir_server.access.mentions import mentioned

#: The version of these rules; raised when they change. Documents of earlier ones are hidden until ``$reindex`` has
#: computed their keys anew.
RULES_VERSION = 2

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
VISIBILITY = (
    "https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument"
)
#: TRE_G15: the professions that a Consent can name in place of a person.
PROFESSIONS = "https://mos.esante.gouv.fr/NOS/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante"
#: v3-Confidentiality in its order; what carries no code is as N, never as U.
LEVELS = {"U": 0, "L": 1, "M": 2, "N": 3, "R": 4, "V": 5}
UNLABELLED = LEVELS["N"]

#: Codes of TRE_A07 that hide a document, and from whom.
_MASKS = {"MASQUE_PS": "professional", "MASQUE_PSOCIAL": "social", "MASQUE_PT": "third-party"}
_DOCUMENT = "DocumentReference"
#: Types that are documents, or stand for one: their types are classes.
_DOCUMENTS = frozenset({_DOCUMENT, "Composition", "DocumentManifest"})
_DELAYS = {"INVISIBLE_PATIENT": "citizen", "INVISIBLE_REPRESENTANTS_LEGAUX": "representative"}


def keys(
    resource: Mapping[str, Any], *, authors: Iterable[str] = (), others: Sequence[str] = (), base: str = ""
) -> dict[str, Any]:
    """Return the access keys of a valid resource.

    ``authors`` are who deposited it, from the token and never from the body: ``Organization/x``, ``Practitioner/x``;
    ``base`` is the address of this server, below which references may be absolute.
    The result has: ``cls`` classes (the type; of documents also ``system|code`` of each of their types), ``conf`` the
    confidentiality as a number, ``lab`` other labels as ``system|code``, ``mask`` and ``hid`` who must not see it,
    ``auth`` the depositors, ``also`` the patients ``others`` than the home patient that it names, which grants them
    nothing, ``has`` the numbers of what it mentions, ``from`` and ``to`` when its data are of, ``who`` the actors of
    a Consent, ``ver`` the version of the rules. Empty ones are left out.
    """
    type_ = resource["resourceType"]
    made: dict[str, Any] = {"cls": [type_], "conf": UNLABELLED, "ver": RULES_VERSION}
    depositors = sorted(set(authors))
    if depositors:
        made["auth"] = depositors
    if others:
        made["also"] = list(others)
    if mentions := mentioned(resource, base):
        made["has"] = mentions
    if (time := clinical_interval(resource)) is not None:
        made["from"], made["to"] = time
    if type_ == "Consent" and (actors := set(_actors(resource.get("provision", {})))):
        made["who"] = sorted(actors)
    if type_ in _DOCUMENTS:
        made["cls"] = [type_, *_document_types(resource)]
    if type_ == _DOCUMENT or "contained" in resource or "security" in resource.get("meta", {}):
        made |= _of_labels(list(_labels(resource)))
    return made


def _of_labels(codings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    levels = [
        LEVELS[c["code"]] for c in codings if c.get("system") == CONFIDENTIALITY and c.get("code") in LEVELS
    ]
    made: dict[str, Any] = {"conf": max(levels, default=UNLABELLED)}
    visibility = {c.get("code") for c in codings if c.get("system") == VISIBILITY}
    labels = {
        label_of(c) for c in codings if c.get("system") not in (CONFIDENTIALITY, VISIBILITY) and "code" in c
    }
    for name, values in (
        ("lab", labels),
        ("mask", {who for code, who in _MASKS.items() if code in visibility}),
        ("hid", {who for code, who in _DELAYS.items() if code in visibility}),
    ):
        if values:
            made[name] = sorted(values)
    return made


def label_of(coding: Mapping[str, Any]) -> str:
    """Return a Coding as ``system|code``."""
    return f"{coding.get('system', '')}|{coding.get('code', '')}"


def _actors(provision: Mapping[str, Any]) -> Iterable[str]:
    """Yield the names by which a provision, or one in it, means somebody: see ``actor_names``."""
    for actor in provision.get("actor", ()):
        yield from actor_names(actor)
    for inner in provision.get("provision", ()):
        yield from _actors(inner)


def actor_names(actor: Mapping[str, Any]) -> list[str]:
    """Return what an actor of a provision must be: a reference, or a profession as ``system|code``."""
    reference = actor.get("reference", {}).get("reference")
    if reference is not None:
        return [reference]
    return [
        label_of(coding)
        for coding in actor.get("role", {}).get("coding", ())
        if coding.get("system") == PROFESSIONS
    ]


def _labels(resource: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield the codings of the labels in meta.security and DocumentReference.securityLabel; contained ones count."""
    yield from resource.get("meta", {}).get("security", ())
    if resource.get("resourceType") == _DOCUMENT:
        for concept in resource.get("securityLabel", ()):
            yield from concept.get("coding", ())
    for inner in resource.get("contained", ()):
        yield from _labels(inner)


def _document_types(resource: Mapping[str, Any]) -> list[str]:
    codings = resource.get("type", {}).get("coding", ())
    return list(dict.fromkeys(label_of(coding) for coding in codings if "code" in coding))
