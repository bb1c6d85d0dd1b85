"""Patient/[id]/$summary: the International Patient Summary, made of what the space holds.

https://hl7.org/fhir/uv/ips/OperationDefinition-summary.html
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.messages import LANGUAGE
from fhir_server.operations.inputs import inputs, missing
from fhir_server.operations.record import page_of, query_of
from fhir_server.operations.sections import SUMMARY, filled
from fhir_server.operations.summary_document import answer, told
from fhir_server.outcome import error

_INPUTS = {"identifier": "text", "profile": "text", "graph": "text"}
_PROFILE = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
_TITLES = {"en": "International Patient Summary", "fr": "Synthèse médicale internationale"}
#: What is never part of a summary, though something may refer to it.
_WITHOUT = frozenset({"Binary", "ExplanationOfBenefit", "Claim"})


async def summary(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a document Bundle in the language of Accept-Language; 404 or 410 without the patient."""
    given = inputs(request, _INPUTS)
    if given.has("graph"):
        raise error(
            "not-supported", "The parameter graph is not supported: a summary has the sections of the IPS."
        )
    if given.has("profile") and given.text("profile").partition("|")[0] != _PROFILE:
        raise error("not-supported", f"This server makes summaries of the profile {_PROFILE} only.")
    if not target.id:
        target = await _identified(server, request, given.text("identifier"))
    elif given.has("identifier"):
        raise error("invalid", "The address names the patient: leave out the parameter identifier.")
    patient = await current(server, request, target)
    sections = await filled(server, request, patient, SUMMARY)
    language = LANGUAGE.get() if LANGUAGE.get() in _TITLES else "en"
    told_ = await told(server, request, patient, sections, _WITHOUT)
    return answer(server, told_, _TITLES[language], language, is_ips=True)


async def _identified(server: Server, request: FhirRequest, identifier: str) -> Target:
    """Return the patient with an identifier; FhirError 400, 404 or 412 unless there is exactly one."""
    if not identifier:
        raise missing("Name the patient: Patient/[id]/$summary, or the parameter identifier (system|value).")
    query = await query_of(server, request, "Patient", (("identifier", identifier),))
    rows = (await page_of(server, request, query, 2)).rows
    if not rows:
        raise error("not-found", "There is no Patient with this identifier.")
    if len(rows) > 1:
        raise error("multiple-matches", "Several Patients have this identifier; name its system, too.")
    return Target("Patient", rows[0].id)
