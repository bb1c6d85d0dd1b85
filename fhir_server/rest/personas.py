"""Whom one can sign in as at the development authorization server: the people whom the FHIR server holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fhir_server.access import OPEN
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.router import dispatch

_TYPES = ("Patient", "RelatedPerson", "Practitioner")
#: How many of each type the pages offer.
OFFERED = 50


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody: ``Type/id`` and a name; ``organization`` and ``profession`` are a professional's."""

    reference: str
    name: str
    organization: str = ""
    profession: str = ""

    @property
    def type(self) -> str:
        """The resource type."""
        return self.reference.partition("/")[0]

    @property
    def id(self) -> str:
        """The logical id."""
        return self.reference.partition("/")[2]


async def personas(server: Server, types: tuple[str, ...] = _TYPES) -> list[Persona]:
    """Return the people of these types, the latest first."""
    return [
        Persona(f"{type_}/{resource['id']}", _name(resource))
        for type_ in types
        for resource in await _found(server, type_, {"_count": str(OFFERED), "_sort": "-_lastUpdated"})
    ]


async def persona(server: Server, reference: str) -> Persona | None:
    """Return one of them, with the place of work of a professional."""
    type_, _, id_ = reference.partition("/")
    if type_ not in _TYPES or not id_:
        return None
    found = await _found(server, type_, {"_id": id_})
    if not found:
        return None
    role: dict[str, Any] = {}
    if type_ == "Practitioner":
        role = next(iter(await _found(server, "PractitionerRole", {"practitioner": reference})), {})
    codings = [coding for concept in role.get("code", ()) for coding in concept.get("coding", ())]
    return Persona(
        reference,
        _name(found[0]),
        role.get("organization", {}).get("reference", ""),
        next((coding["code"] for coding in codings if "code" in coding), ""),
    )


async def _found(server: Server, type_: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
    answer = await dispatch(server, FhirRequest("GET", (type_,), urlencode(parameters), access=OPEN))
    bundle = json.loads(b"".join(answer.body))
    return [entry["resource"] for entry in bundle.get("entry", ())]


def _name(resource: dict[str, Any]) -> str:
    for name in resource.get("name", ()):
        parts = (*name.get("given", ()), name.get("family"))
        text = name.get("text") or " ".join(
            part for part in parts if part
        )  # given may have null beside extensions
        if text:
            return str(text)
    return f"{resource['resourceType']}/{resource['id']}"
