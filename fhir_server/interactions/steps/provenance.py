"""X-Provenance: what a request says of the origin of what it writes, stored in the transaction that writes it.

https://hl7.org/fhir/R4/provenance.html#header. The header holds a Provenance as JSON on one line. Its target is what
is written, each with its version; a target that the header names is another one's to say, and refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.access.decision import is_in_scope
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.integrity import check_references, kept_references
from fhir_server.interactions.steps.prepare import identified, stamped
from fhir_server.outcome import FhirError, error
from fhir_server.store.documents import Change, Method

HEADER = "x-provenance"
TYPE = "Provenance"
#: Interactions that store versions that a Provenance can be about.
_WRITES = frozenset(("create", "update", "patch", "transaction"))


def check_header(request: FhirRequest, interaction: str) -> None:
    """Raise FhirError 400 for a header that would have no effect, or could not be read."""
    if interaction not in _WRITES:
        raise error(
            "not-supported",
            f"X-Provenance goes with create, update, patch and transaction, not with {interaction}.",
        )
    _read(request)


async def provenance(server: Server, request: FhirRequest, changes: Sequence[Change]) -> Change | None:
    """Return the Provenance of the versions that the changes make, None when the request has none to tell.

    Raises FhirError 400 for a header that can't be read, 403 and 422 for a Provenance that may not be stored.
    """
    if HEADER not in request.headers:
        return None
    made = [change for change in changes if change.method is not Method.DELETE]
    if not made:
        return None
    resource = _read(request)
    resource["target"] = [
        {"reference": f"{change.type}/{change.id}/_history/{change.version}"} for change in made
    ]
    caller = request.access.caller
    if caller is not None:
        if not is_in_scope(caller, TYPE, "c"):
            raise error("forbidden", "Your token's scopes do not cover the creation of a Provenance.")
        resource["agent"] = [*resource.get("agent", ()), _assembler(caller)]
    try:
        assess(server, resource)
        await check_references(server, request, {**resource, "target": []})
    except FhirError as problem:
        raise _in_header(problem) from problem
    id_, entries = identified(server, resource, request.base)
    homes = {change.entries.patient for change in made if change.entries is not None}
    if len(homes) == 1:  # it is seen where what it is about is seen
        entries = replace(entries, patient=homes.pop())
    # Who may write a resource may say where it comes from: the guard has judged the writes themselves.
    telling = replace(request, access=replace(request.access, caller=None))
    now = server.clock()
    body = stamped(resource, TYPE, id_, 1, now)
    return Change(
        Method.POST,
        TYPE,
        id_,
        0,
        now,
        body,
        entries,
        security=secured(telling, resource, entries),
        references=kept_references(server, resource, request.base),
    )


def _assembler(caller: Caller) -> dict[str, Any]:
    """Return the agent that the server adds: who sent it, as the token says."""
    type_ = {
        "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
        "code": "assembler",
    }
    who = caller.organization or caller.subject
    return {
        "type": {"coding": [type_]},
        "who": {"reference": who} if "/" in who else {"identifier": {"value": caller.client}},
    }


def _read(request: FhirRequest) -> dict[str, Any]:
    try:
        resource = decode(request.headers[HEADER].encode("latin-1"))
    except FhirError as problem:
        raise _in_header(problem) from problem
    if resource.get("resourceType") != TYPE:
        raise error("structure", "X-Provenance holds a Provenance as JSON on one line.")
    if "target" in resource:
        raise error("value", "Leave target out of X-Provenance: it is what this request writes.")
    return resource


def _in_header(problem: FhirError) -> FhirError:
    """Return the same issues, which say that they are about the header."""
    listed = "; ".join(f"{issue.expression or TYPE}: {issue.diagnostics}" for issue in problem.issues[:5])
    return error(problem.issues[0].code, f"X-Provenance can't be stored. {listed}", status=400)
