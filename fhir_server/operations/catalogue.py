"""Every $operation that the server has: one row each, found by the router and listed in the CapabilityStatement.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from fhir_server.interactions.exchange import Operation
from fhir_server.operations.json_schema import json_schema
from fhir_server.operations.meta import meta, meta_add, meta_delete
from fhir_server.operations.reindex import reindex
from fhir_server.operations.validate import validate

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "$reindex",
        "urn:fhir-space-server:OperationDefinition:reindex",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        reindex,
        frozenset({"SearchParameter"}),
    ),
    Operation(
        "$validate",
        "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        validate,
        judges_faults=True,
    ),
    Operation(
        "$json-schema",
        "urn:fhir-space-server:OperationDefinition:json-schema",
        frozenset({"instance"}),
        frozenset({"GET"}),
        json_schema,
        frozenset({"StructureDefinition"}),
    ),
    Operation(
        "$meta",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        frozenset({"instance"}),
        frozenset({"GET", "POST"}),
        meta,
    ),
    Operation(
        "$meta-add",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        frozenset({"instance"}),
        frozenset({"POST"}),
        meta_add,
    ),
    Operation(
        "$meta-delete",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        frozenset({"instance"}),
        frozenset({"POST"}),
        meta_delete,
    ),
)

#: The same by name, as the router asks for them.
BY_NAME = {operation.name: operation for operation in OPERATIONS}
