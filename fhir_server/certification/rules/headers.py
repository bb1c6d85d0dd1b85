"""What a client's headers must be: https://hl7.org/fhir/R4/http.html."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fhir_server.certification.session import Session
from fhir_server.certification.traffic import Call

FHIR = ("application/fhir+json", "application/fhir+xml")
_PATCHES = ("application/json-patch+json", "application/xml-patch+xml", *FHIR)
_LINES = ("application/fhir+ndjson", "application/x-ndjson", "application/ndjson")
_FORMATS = frozenset(
    {*FHIR, "application/json", "application/xml", "text/json", "text/xml", "json", "xml", "*/*"}
)
_PREFERENCES = {
    "return": {"minimal", "representation", "OperationOutcome"},
    "handling": {"strict", "lenient"},
    "respond-async": {""},
}
_WEAK = re.compile(r'W/"[A-Za-z0-9.\-]{1,64}"')


def content_type(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """The Content-Type says what the body is."""
    if not call.traffic.body or call.entry >= 0 or call.method == "GET":
        return None
    sent = _media_type(call.headers.get("content-type", ""))
    if not sent:
        return ["The body has no Content-Type."]
    if call.path[-1:] == ("_search",):
        wanted: tuple[str, ...] = ("application/x-www-form-urlencoded",)
    elif call.method == "PATCH":
        wanted = _PATCHES
    elif call.type == "Binary":
        return []
    else:
        wanted = (*FHIR, *_LINES) if call.interaction == "operation" else FHIR
    return [] if sent in wanted else [f"The Content-Type is {sent}; this body is one of {', '.join(wanted)}."]


def charset(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """FHIR is UTF-8."""
    found = re.search(r'charset="?([^\s;"]+)', call.headers.get("content-type", ""), re.IGNORECASE)
    if found is None:
        return None
    return [] if found[1].lower() in {"utf-8", "utf8"} else [f"The charset is {found[1]}; FHIR is UTF-8."]


def accept(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """Accept, or _format, asks for a format of FHIR."""
    if call.entry >= 0 or call.type == "Binary" or call.interaction in {"operation", ""}:
        return None
    sent = call.headers.get("accept", "")
    if "_format=" in call.query:
        return []
    if not sent or {_media_type(one) for one in sent.split(",")} == {"*/*"}:
        return [
            "The request doesn't say which format it can read: send Accept: application/fhir+json (or +xml)."
        ]
    if any(_media_type(one) in _FORMATS for one in sent.split(",")):
        return []
    return [f"Accept asks for {sent}, which is no format of FHIR."]


def prefer(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """Prefer has a preference that R4 knows."""
    sent = call.headers.get("prefer")
    return None if sent is None else list(_unknown_preferences(sent))


def _unknown_preferences(sent: str) -> Iterator[str]:
    for one in re.split(r"[;,]", sent):
        name, _, value = one.strip().partition("=")
        if value.strip('"') not in _PREFERENCES.get(name, set()):
            yield (
                f'Prefer says "{one.strip()}"; R4 knows return=minimal|representation|OperationOutcome, '
                "handling=strict|lenient and respond-async."
            )


def version_form(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """If-Match and If-None-Match hold weak ETags."""
    sent = {name: call.headers[name] for name in ("if-match", "if-none-match") if name in call.headers}
    if not sent:
        return None
    return [
        f'{name} is {value}; the version goes into it as W/"1".'
        for name, value in sent.items()
        if not (name == "if-none-match" and value == "*")
        and not all(_WEAK.fullmatch(one.strip()) for one in value.split(","))
    ]


def update_version(call: Call, session: Session) -> list[str] | None:
    """An update names the version that it is made from."""
    if call.interaction not in {"update", "patch"} or not call.id:
        return None
    known = session.versions.get((call.type, call.id))
    if known is None:
        return None
    if "if-match" in call.headers:
        return []
    return [
        (
            f"{call.method} {call.type}/[id] has no If-Match, although the client was shown a version of the resource: "
            "what somebody else writes in the meantime is lost."
        )
    ]


def if_none_exist(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """If-None-Exist holds search parameters and nothing else."""
    sent = call.headers.get("if-none-exist")
    if sent is None:
        return None
    if call.interaction != "create":
        return ["If-None-Exist belongs to a create."]
    if not sent or "?" in sent or "://" in sent.partition("=")[0] or "=" not in sent:
        return [
            f"If-None-Exist is {sent}; it holds what would follow the question mark: identifier=system|value."
        ]
    return []


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
