"""What a client's addresses must be: https://hl7.org/fhir/R4/http.html#general, and what must not stand in them."""

from __future__ import annotations

import re
from difflib import get_close_matches
from urllib.parse import unquote_plus

from fhir_server.certification.session import Session, normal
from fhir_server.certification.traffic import Call

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_SECRET = re.compile(
    r"(?i)(?:access_token|id_token|refresh_token|client_secret|password|apikey|api_key)=[^&]"
)
_JWT = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*")


def url_form(call: Call, session: Session) -> list[str] | None:
    """The address and the method are those of an interaction."""
    if "" in call.path:
        return ["The address has a double slash, or one at its end."]
    if call.interaction:
        bad = [part for part in call.path[1:] if part[:1] not in {"_", "$", "*"} and not _ID.fullmatch(part)]
        return [f'"{bad[0]}" is no id: letters, digits, "-" and ".", 64 at most.'] if bad else []
    types = session.reader.types
    first = call.path[0] if call.path else ""
    if first and first[:1] not in "_$" and first not in types and first != "metadata":
        near = get_close_matches(first, types, 1) or [t for t in types if t.lower() == first.lower()]
        return [f'R4 has no resource type "{first}".' + (f" Did you mean {near[0]}?" if near else "")]
    return [f"R4 has no interaction {call.method} {_shape(call)}."]


def _shape(call: Call) -> str:
    parts = [part if n == 0 or part[:1] in "_$" else "[id]" for n, part in enumerate(call.path)]
    return "/".join(parts) or "[base]"


def body_fits_url(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """Type and id of the body are those of the address."""
    if call.interaction not in {"create", "update"} or call.resource is None or call.type == "Binary":
        return None
    found = []
    sent = call.resource.get("resourceType")
    if sent != call.type:
        found.append(f"The address says {call.type}, the body {sent}.")
    if call.interaction == "update" and call.id and call.resource.get("id") != call.id:
        said = "no id" if "id" not in call.resource else "another one"
        found.append(f"An update has the id of its address in the body; this one has {said}.")
    return found


def no_secret_in_url(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """Tokens and passwords go into headers and bodies."""
    if call.entry >= 0:
        return None
    target = unquote_plus(call.traffic.target)
    if _SECRET.search(target) or _JWT.search(target):
        return ["A token or password stands in the address, where logs keep it: send Authorization: Bearer."]
    return []


def no_identifier_in_url(call: Call, session: Session) -> list[str] | None:
    """Numbers that name a person don't stand in addresses."""
    if call.entry >= 0 or normal(call.traffic.target) in session.links:
        return None
    target = unquote_plus(call.traffic.target)
    return [
        f"A national identifier stands in the address ({one.name}), where logs keep it: "
        "search by POST to [type]/_search, with the criteria in the body."
        for one in session.identifiers
        if one.is_in(target)
    ]
