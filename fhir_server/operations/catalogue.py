"""Every $operation that the server has: one row each, found by the router and listed in the CapabilityStatement.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from fhir_server.interactions.exchange import Operation
from fhir_server.operations.validate import validate

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "$validate",
        "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        validate,
    ),
)

#: The same by name, as the router asks for them.
BY_NAME = {operation.name: operation for operation in OPERATIONS}
