"""If-Match, If-None-Match and If-Modified-Since against a stored version.

https://hl7.org/fhir/R4/http.html#concurrency, https://hl7.org/fhir/R4/http.html#cond-read
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.criteria import SHAPING
from fhir_server.outcome import error
from fhir_server.search import decode_pairs
from fhir_server.store.documents import Stored


def versions(header: str) -> set[str]:
    """Return the version ids in a list of entity tags; weak, strong and bare forms are the same here."""
    return {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}


def is_among(header: str, tag: str) -> bool:
    """Tell whether an If-None-Match names a tag, or any ("*")."""
    return not {"*", tag}.isdisjoint(versions(header))


def is_not_modified(headers: Mapping[str, str], stored: Stored) -> bool:
    """Tell whether the client has this version; If-None-Match outranks If-Modified-Since (RFC 9110, 13.2.2)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return is_among(tags, str(stored.version))
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        moment = parsedate_to_datetime(since)
    except ValueError:
        return False  # RFC 9110, 13.1.3: a recipient ignores the header if its value is not a valid date.
    return stored.last_updated // 1000 <= moment.timestamp()


def check_preconditions(headers: Mapping[str, str], current: Stored | None) -> None:
    """Raise FhirError 412 unless a write's If-Match and If-None-Match hold for the current version."""
    exists = current is not None and not current.is_deleted
    match = headers.get("if-match")
    if match is not None:
        wanted = versions(match)
        if not exists or ("*" not in wanted and str(current.version if current else 0) not in wanted):
            now = (
                f"the current version is {current.version}"
                if exists and current
                else "there is no current version"
            )
            raise error(
                "conflict",
                f"If-Match does not hold: {now}. Read the resource again and send the change with its ETag.",
                status=412,
            )
    tags = headers.get("if-none-match")
    if tags is not None and exists and current is not None:
        known = versions(tags)
        if "*" in known or str(current.version) in known:
            raise error("conflict", "If-None-Match does not hold: the resource exists.", status=412)


def refuse_criteria_in_address(query: str) -> None:
    """Raise FhirError 400 for search parameters in the address of a create.

    To ignore them would make the duplicate that the client wants to avoid.
    """
    if query and not {name for name, _ in decode_pairs(query)} <= SHAPING:
        raise error(
            "not-supported",
            "A create takes its criteria from the header If-None-Exist, not from the address; nothing was stored.",
        )


def refuse_unknown_id(server: Server, request: FhirRequest, type_: str) -> None:
    """Raise FhirError 405 when the settings do not let clients choose ids, 404 for who can't see all resources.

    These would learn from a choice that was taken.
    """
    if not request.access.sees_all:
        raise error("not-found", f"There is no {type_} with this id.")
    if not server.policy.update_create:
        raise error(
            "not-supported",
            f"There is no {type_} with this id, and this server does not let clients choose ids: "
            f"POST to {type_} instead.",
            status=405,
            headers={"Allow": "GET, DELETE"},
        )
