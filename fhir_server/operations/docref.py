"""DocumentReference/$docref: the documents of a patient, of a time of care and a type.

https://hl7.org/fhir/uv/ipa/OperationDefinition-docref.html, as US Core has it, too
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.operations.inputs import Inputs, inputs, missing
from fhir_server.operations.record import Pairs, newest_of_each, page_of, query_of
from fhir_server.outcome import Issue, error
from fhir_server.search.combining import all_of, any_of
from fhir_server.search.expression import Expression

_INPUTS = {
    "patient": "text",
    "start": "text",
    "end": "text",
    "type": "text*",
    "on-demand": "boolean",
    "profile": "text*",
}
_BODY = {**_INPUTS, "type": "object*"}


async def docref(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with a searchset of current DocumentReferences, newest first."""
    given = inputs(request, _BODY if request.body else _INPUTS)
    patient = given.text("patient").removeprefix("Patient/")
    if not patient:
        raise missing("$docref is about one patient: give the parameter patient, an id.")
    wanted = [("patient", f"Patient/{patient}"), ("status", "current"), *_types(given), *_profiles(given)]
    query = await query_of(server, request, "DocumentReference", wanted)
    start, end = given.text("start"), given.text("end")
    told: tuple[Issue, ...] = ()
    if given.flag("on-demand"):
        text = "This server holds finished documents only; Patient/[id]/$summary makes one on demand."
        rows, told = [], (Issue("information", "informational", text),)
    elif start or end:
        cared = await _cared(server, request, start, end)
        query = replace(query, expression=all_of([query.expression, cared]))
        page = await page_of(server, request, query, server.policy.max_count)
        rows = list(page.rows)
        if page.next is not None:
            text = f"There are more than {server.policy.max_count} documents; these are the newest. Narrow the dates."
            told = (Issue("warning", "too-costly", text),)
    else:
        rows = await newest_of_each(server, request, query, "type")
    link = f"{request.base}/DocumentReference/$docref?{urlencode(_executed(given, patient, wanted))}"
    total = None if told else len(rows)
    body = searchset(request.base, rows, {"self": link}, total=total, warnings=told)
    return FhirResponse(200, (), (body,), large=large_of(rows))


def _types(given: Inputs) -> Pairs:
    """Return the search for types: tokens of the address, or Codings and CodeableConcepts of the body."""
    tokens: list[str] = []
    for value in given.all("type"):
        if isinstance(value, str):
            tokens.append(value)
        else:
            tokens += [_token(coding) for coding in value.get("coding", [value])]
    return [("type", ",".join(tokens))] if tokens else []


def _token(coding: Mapping[str, Any]) -> str:
    if not isinstance(coding, dict) or not isinstance(coding.get("code"), str):
        raise error("value", "The parameter type holds codings with a code.")
    return f"{coding['system']}|{coding['code']}" if coding.get("system") else coding["code"]


def _profiles(given: Inputs) -> Pairs:
    return [("_profile", text) for text in given.texts("profile")]


async def _cared(server: Server, request: FhirRequest, start: str, end: str) -> Expression:
    """Return what finds documents of care in the period: of ``context.period``, else of the document's date."""

    async def expression(*pairs: tuple[str, str]) -> Expression:
        return (await query_of(server, request, "DocumentReference", pairs)).expression

    def bounds(name: str) -> Pairs:
        given = (("ge", start), ("le", end))
        return [(name, prefix + text) for prefix, text in given if text]

    undated = await expression(("period:missing", "true"), *bounds("date"))
    return any_of([await expression(*bounds("period")), undated])


def _executed(given: Inputs, patient: str, wanted: Pairs) -> Pairs:
    shown = [
        ("patient", patient),
        *((name, given.text(name)) for name in ("start", "end") if given.has(name)),
    ]
    shown += [pair for pair in wanted if pair[0] == "type"]
    shown += [("profile", value) for name, value in wanted if name == "_profile"]
    return [*shown, ("on-demand", "true")] if given.flag("on-demand") else shown
