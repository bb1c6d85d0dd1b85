"""CodeSystem/$subsumes: https://hl7.org/fhir/R4/codesystem-operation-subsumes.html."""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.operations.inputs import answered, inputs, missing
from fhir_server.operations.terminology_inputs import instance, system_of
from fhir_server.outcome import error
from fhir_server.terminology import Library
from fhir_server.terminology.subsumption import subsumes as subsumed

_TABLE = {
    "codeA": "text", "codeB": "text", "system": "text", "version": "text", "codingA": "object", "codingB": "object",
    "tx-resource": "object*",
}  # fmt: skip


async def subsumes(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the outcome: equivalent, subsumes, subsumed-by or not-subsumed."""
    given = inputs(request, _TABLE)
    own = await instance(server, request, target)
    a, b = given.one("codingA") or {}, given.one("codingB") or {}
    code_a, code_b = given.text("codeA") or a.get("code", ""), given.text("codeB") or b.get("code", "")
    urls = {url for url in (given.text("system"), a.get("system"), b.get("system")) if url}
    version = given.text("version") or a.get("version", "") or b.get("version", "")
    if own is not None:
        urls, version = {own["url"]}, str(own.get("version", ""))
    if not code_a or not code_b or not urls:
        raise missing("$subsumes needs codeA, codeB and system, or codingA and codingB.")
    if len(urls) > 1:
        raise error("value", "Subsumption is tested within one code system; the codes are of several.")
    [url] = urls

    def work(library: Library) -> str:
        return subsumed(system_of(library, url, version), code_a, code_b)

    outcome = await with_answers(server, work, resources=given.all("tx-resource"))
    return answered([{"name": "outcome", "valueCode": outcome}])
