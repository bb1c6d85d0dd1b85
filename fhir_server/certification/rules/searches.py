"""What a client may search by: https://hl7.org/fhir/R4/search.html."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.certification.session import Session, normal, pairs_of
from fhir_server.certification.traffic import Call
from fhir_server.outcome import FhirError
from fhir_server.search import parse

#: Of every request (https://hl7.org/fhir/R4/http.html#parameters), and of a history.
_GENERAL = frozenset({"_format", "_pretty"})
_OF_A_READ = _GENERAL | {"_summary", "_elements"}
_OF_A_HISTORY = _OF_A_READ | {"_count", "_since", "_at", "_list", "_sort"}
#: What clients guess that servers page by.
_GUESSED = frozenset(
    {"page", "_page", "offset", "_offset", "_getpagesoffset", "_skip", "skip", "start", "_start", "_cursor",
     "pageToken", "_pageToken", "_getpages", "ct", "limit", "_limit"}
)  # fmt: skip
_SEARCHES = frozenset({"search-type", "search-system", "search-compartment"})
_HISTORIES = frozenset({"history-instance", "history-type", "history-system"})


def search_parameters(call: Call, session: Session) -> list[str] | None:
    """Parameters, modifiers and values are those of R4, of the packages, or of the server's CapabilityStatement."""
    if call.entry < 0 and normal(call.traffic.target) in session.links:
        return None
    pairs = pairs_of("?" + call.query) + pairs_of("?" + call.form)
    if call.interaction in {"read", "vread"}:
        return _others(pairs, _OF_A_READ, "A read") if pairs else None
    if call.interaction in _HISTORIES:
        return _others(pairs, _OF_A_HISTORY, "A history") if pairs else None
    is_conditional = call.interaction in {"update", "patch", "delete"} and not call.id
    if call.interaction == "create" and "if-none-exist" in call.headers:
        pairs = pairs_of("?" + call.headers["if-none-exist"])
    elif call.interaction not in _SEARCHES and not is_conditional:
        return None
    type_ = call.type if call.type in session.reader.types else "Resource"
    known = session.advertised.get(type_, frozenset())
    names = session.registry.parameters(type_).by_name
    own = {name for name in known if name not in names}
    left = [
        (name, value)
        for name, value in pairs
        if name not in _GENERAL | {"_type", "_query"}
        and _word(name) not in own | _GUESSED | session.link_words
    ]
    try:
        parse(left, type_, session.registry, base=session.base, now=int(call.traffic.wall * 1000))
    except FhirError as refused:
        return [issue.diagnostics.partition(" Known:")[0] for issue in refused.issues]
    return []


def _others(pairs: Sequence[tuple[str, str]], known: frozenset[str], what: str) -> list[str]:
    return [f'{what} has no parameter "{name}".' for name, _ in pairs if name not in known]


def _word(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]


def paging(call: Call, session: Session) -> list[str] | None:
    """Pages are fetched by the links that the server gave."""
    if call.entry >= 0 or call.interaction not in _SEARCHES | _HISTORIES:
        return None
    if session.links.get(normal(call.traffic.target), "self") != "self":
        return []
    names = {name for name, _ in pairs_of("?" + call.query)}
    known = session.registry.parameters(
        call.type if call.type in session.reader.types else "Resource"
    ).by_name
    made = sorted(n for n in names & (_GUESSED | session.link_words) if n not in known)
    if made:
        return [
            (
                f'The address of a page was made up or changed ("{made[0]}"): follow Bundle.link with relation "next" '
                "as it is."
            )
        ]
    return None
