"""From the verified claims of a token to a Caller, by the issuer's description and the client's registration.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html,
https://profiles.ihe.net/ITI/IUA/ (extensions.ihe_iua)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.issuer import Client, Issuer
from fhir_server.access.purposes import FORBIDDEN
from fhir_server.access.scopes import Scopes, parse
from fhir_server.access.tokens import BadToken, strings

#: What a person is by the type of its resource.
_PERSONS = {
    "Patient": Kind.CITIZEN,
    "RelatedPerson": Kind.REPRESENTATIVE,
    "Practitioner": Kind.PROFESSIONAL,
    "PractitionerRole": Kind.PROFESSIONAL,
}
_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})").fullmatch
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch


def caller(
    claims: Mapping[str, Any], issuer: Issuer, base: str, types: Collection[str], token_id: str
) -> Caller:
    """Return who a token's holder is; ``base`` is this server's URL, ``types`` the resource types that exist.

    Raises BadToken when the client is not registered, or the user is nobody of this server.
    """
    paths = issuer.claims
    client_id = _text(claims, paths.client)
    client = issuer.clients.get(client_id) if client_id else None
    if client is None:
        raise BadToken("a client that is not registered")
    user = _user(_text(claims, paths.fhir_user), base)
    kind = _kind(client, user)
    patient = _patient(_text(claims, paths.patient))
    if kind is Kind.CITIZEN and patient is None:
        patient = user.partition("/")[2]
    return Caller(
        kind,
        user or f"Device/{client_id}",
        client=str(client_id),
        scopes=_scopes(str(claims.get("scope", "")), types, user, patient),
        patient=patient,
        organization=client.organization or _text(claims, paths.organization),
        profession=next(iter(_codes(claims, paths.profession)), None),
        roles=frozenset(client.roles).union(_codes(claims, paths.roles)),
        purpose=_purpose(_codes(claims, paths.purpose)),
        token_id=token_id,
    )


def _kind(client: Client, user: str) -> Kind:
    if client.kind != "person":
        return Kind(client.kind)
    # Without a user there is nobody whose rights the program could use: an app with no patient sees nothing.
    return _PERSONS[user.partition("/")[0]] if user else Kind.APP


def _user(text: str | None, base: str) -> str:
    """Return ``Type/id`` of fhirUser, "" if there is none; raise BadToken when it isn't an actor of this server."""
    if text is None:
        return ""
    match = _REFERENCE(text.removeprefix(base + "/"))
    if match is None or match[1] not in _PERSONS:
        raise BadToken("a fhirUser that is nobody here")
    return match[0]


def _patient(text: str | None) -> str | None:
    if text is None:
        return None
    if not _ID(text):
        raise BadToken("a patient that is no id")
    return text


def _scopes(text: str, types: Collection[str], user: str, patient: str | None) -> Scopes:
    """Return the scopes that have somebody to speak of; system/ is for programs without a user."""
    found = parse(text, types)
    known = {"user": bool(user), "patient": patient is not None, "system": not user}
    return Scopes(tuple(scope for scope in found.resources if known[scope.level]), found.others)


def _purpose(codes: Collection[str]) -> str:
    """Return the purpose that counts: one for which the law forbids reading, before all others."""
    return next((code for code in codes if code in FORBIDDEN), next(iter(codes), ""))


def _text(claims: Mapping[str, Any], paths: Collection[str]) -> str | None:
    value = _value(claims, paths)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise BadToken(f"{', '.join(paths)} is no text")
    return value


def _codes(claims: Mapping[str, Any], paths: Collection[str]) -> tuple[str, ...]:
    """Return the codes of a claim: a text, a Coding, or a list of either."""
    value = _value(claims, paths)
    found = value if isinstance(value, list) else [value]
    return strings([item.get("code") if isinstance(item, Mapping) else item for item in found])


def _value(claims: Mapping[str, Any], paths: Collection[str]) -> Any:
    return next((value for path in paths for value in _at(claims, path)), None)


def _at(claims: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield what stands at a path, if anything does; a claim may have dots, or a slash, in its own name."""
    value: Any = claims
    for name in (path,) if path in claims else path.split("."):
        if not isinstance(value, Mapping) or value.get(name) is None:
            return
        value = value[name]
    yield value
