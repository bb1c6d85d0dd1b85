"""What the request alone forbids: scope, kind of actor, law and purpose, judged before the database is asked.

The refusal is the same whether anything is there or not. https://hl7.org/fhir/R4/security.html#AccessDenied
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.decision import is_allowed
from fhir_server.access.rules import Rule, rule
from fhir_server.interactions.exchange import FhirRequest, Operation, Server, Target
from fhir_server.outcome import FhirError, error
from fhir_server.search import decode_pairs
from fhir_server.search.linked import Linked

#: The letters of SMART's scopes that an interaction needs; with criteria also s.
_LETTERS = {
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "history-type": "s",
    "create": "c",
    "update": "u",
    "patch": "u",
    "delete": "d",
    "search-type": "s",
}
_CRITERIA = ("update", "patch", "delete")
_OF_ALL_TYPES = ("history-system", "search-system")


def check_interaction(server: Server, request: FhirRequest, target: Target, interaction: str) -> None:
    """Raise FhirError 401 or 403 unless the caller may do this to the type at all."""
    caller = request.access.caller
    if caller is None or interaction == "capabilities":
        return
    if interaction in _OF_ALL_TYPES or interaction == "search-compartment":
        types = _searched(server, request, target if interaction == "search-compartment" else Target())
        if not any(is_allowed(caller, type_, "s") for type_ in types):
            raise _refused(caller)
        return
    letters = _LETTERS.get(interaction, "")
    if (interaction in _CRITERIA and not target.id) or "if-none-exist" in request.headers:
        letters += "s"
    if caller.kind is Kind.ANONYMOUS and not letters:
        raise _refused(caller)
    if not all(is_allowed(caller, target.type, letter) for letter in letters):
        raise _refused(caller)


def _searched(server: Server, request: FhirRequest, target: Target) -> Iterable[str]:
    """Return the types that a search or history over several types is about."""
    if target.type and len(request.path) > 2 and request.path[2] not in ("*", "_search"):
        return (request.path[2],)
    named = [value for name, value in decode_pairs(request.query) if name == "_type"]
    if named:
        return ",".join(named).split(",")
    # What is public opens no search over everything.
    return (t for t in server.definitions.types.resource_types if rule(t) is not Rule.CONFORMANCE)


def check_operation(request: FhirRequest, target: Target, operation: Operation) -> None:
    """Raise FhirError 401 or 403 unless the caller may call the operation there."""
    caller, needed = request.access.caller, operation.access
    if caller is None or needed == "public":
        return
    if needed == "signed-in":
        allowed = caller.kind is not Kind.ANONYMOUS
    elif needed == "operator" or not target.type:
        allowed = caller.kind is Kind.OPERATOR
    else:
        letters = needed if target.id else "s"
        allowed = all(is_allowed(caller, target.type, letter) for letter in letters)
    if not allowed:
        raise _refused(caller)


def check_links(request: FhirRequest, questions: Iterable[object]) -> None:
    """Raise FhirError 403 for a chain or ``_has`` through types none of which the caller may search."""
    caller = request.access.caller
    if caller is None:
        return
    types: defaultdict[str, set[str]] = defaultdict(set)
    for question in questions:
        if isinstance(question, Linked):
            types[question.clause].add(question.type)
    for through in types.values():
        if not any(is_allowed(caller, type_, "s") for type_ in through):
            raise _refused(caller)


def _refused(caller: Caller) -> FhirError:
    if caller.kind is Kind.ANONYMOUS:
        return error("login", "Sign in first.", status=401, headers={"WWW-Authenticate": "Bearer"})
    return error(
        "forbidden",
        "This is not allowed to you: the scopes of your token or the rules for your role do not cover it.",
        status=403,
        headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
    )
