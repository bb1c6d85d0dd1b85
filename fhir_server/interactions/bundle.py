"""batch and transaction: a Bundle of requests, POSTed to the base.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from fhir_server.interactions.batch import Dispatch, batch
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.bundle_entries import bundle_type, check_envelope, decoded
from fhir_server.interactions.steps.provenance import HEADER as PROVENANCE
from fhir_server.interactions.transaction import ATTEMPTS, Outrun, transaction
from fhir_server.outcome import error


async def bundle(server: Server, request: FhirRequest, dispatch: Dispatch) -> FhirResponse:
    """Return 200 with a batch-response or transaction-response; ``dispatch`` answers single requests."""
    for _ in range(ATTEMPTS):
        # Read again with each attempt: a transaction writes ids and references into the resources.
        received = await decoded(request.body)
        type_ = bundle_type(server, received)
        check_envelope(server, received)
        if type_ == "batch":
            if PROVENANCE in request.headers:
                raise error(
                    "not-supported", "X-Provenance goes with a transaction, whose entries are one deed."
                )
            return await batch(server, request, received, dispatch)
        try:
            return await transaction(server, request, received, dispatch)
        except Outrun:
            continue
    raise error(
        "conflict",
        "The transaction's resources are being changed by others so often that it did not get through; "
        "nothing was written, send it again.",
        headers={"Retry-After": "1"},
    )
