"""Every $operation that the server may have: one row each, found by the router and listed in the CapabilityStatement.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fhir_server.interactions.exchange import Handler, Operation, Policy
from fhir_server.operations.access_log import access_log
from fhir_server.operations.break_glass import break_glass
from fhir_server.operations.closure import closure
from fhir_server.operations.docref import docref
from fhir_server.operations.document import document
from fhir_server.operations.downsample import downsample
from fhir_server.operations.everything import everything
from fhir_server.operations.expand import expand
from fhir_server.operations.explain import explain
from fhir_server.operations.expunge import expunge
from fhir_server.operations.ingest import ingest
from fhir_server.operations.json_schema import json_schema
from fhir_server.operations.lastn import lastn
from fhir_server.operations.lookup import lookup
from fhir_server.operations.meta import meta, meta_add, meta_delete
from fhir_server.operations.passport import passport
from fhir_server.operations.passport_link import passport_link
from fhir_server.operations.reindex import reindex
from fhir_server.operations.sandbox import fault, reset, snapshot
from fhir_server.operations.space import close_space, open_space, status
from fhir_server.operations.space_erasure import erase_due_spaces
from fhir_server.operations.space_opening import open_due_spaces
from fhir_server.operations.stats import stats
from fhir_server.operations.subsumes import subsumes
from fhir_server.operations.summary import summary
from fhir_server.operations.translate import translate
from fhir_server.operations.validate import validate
from fhir_server.operations.validate_code import validate_code
from fhir_server.operations.who_can_see import who_can_see


def _everything(type_: str) -> Operation:
    return Operation(
        "$everything",
        f"http://hl7.org/fhir/OperationDefinition/{type_}-everything",
        frozenset({"instance"}),
        frozenset({"GET", "POST"}),
        everything,
        frozenset({type_}),
        access="rs",
    )


def _terminology(type_: str, name: str, handler: Handler) -> Operation:
    """Return the row of an operation of a terminology resource: at its type and at an instance, GET and POST."""
    return Operation(
        f"${name}",
        f"http://hl7.org/fhir/OperationDefinition/{type_}-{name}",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        handler,
        frozenset({type_}),
        access="public",
    )


def _space(name: str, handler: Handler, level: str = "instance", methods: str = "POST") -> Operation:
    """Return the row of an operation of the citizen's space."""
    definition = f"https://health-space.example/fhir/OperationDefinition/hs-{name}"
    return Operation(
        f"${name}",
        definition,
        frozenset({level}),
        frozenset({methods}),
        handler,
        frozenset({"Patient"}),
        access="operator" if level == "type" else "signed-in",
    )


OPERATIONS: tuple[Operation, ...] = (
    _space("space", status, methods="GET"),
    _space("open-space", open_space),
    _space("close-space", close_space),
    _space("open-due-spaces", open_due_spaces, "type"),
    _space("erase-due-spaces", erase_due_spaces, "type"),
    Operation(
        "$break-glass",
        "https://health-space.example/fhir/OperationDefinition/hs-break-glass",
        frozenset({"instance"}),
        frozenset({"POST"}),
        break_glass,
        frozenset({"Patient"}),
        access="signed-in",
    ),
    Operation(
        "$who-can-see",
        "https://health-space.example/fhir/OperationDefinition/hs-who-can-see",
        frozenset({"instance"}),
        frozenset({"GET"}),
        who_can_see,
        frozenset({"Patient"}),
        access="signed-in",
    ),
    Operation(
        "$explain",
        "https://health-space.example/fhir/OperationDefinition/hs-explain",
        frozenset({"type"}),
        frozenset({"GET", "POST"}),
        explain,
        frozenset({"Consent"}),
        access="signed-in",
    ),
    Operation(
        "$reindex",
        "urn:fhir-space-server:OperationDefinition:reindex",
        frozenset({"system", "type", "instance"}),
        frozenset({"GET", "POST"}),
        reindex,
        frozenset({"SearchParameter"}),
        access="operator",
    ),
    Operation(
        "$downsample",
        "https://health-space.example/fhir/OperationDefinition/hs-downsample",
        frozenset({"type"}),
        frozenset({"GET", "POST"}),
        downsample,
        frozenset({"Observation"}),
        access="rs",
    ),
    Operation(
        "$ingest",
        "https://health-space.example/fhir/OperationDefinition/hs-ingest",
        frozenset({"type"}),
        frozenset({"POST"}),
        ingest,
        frozenset({"Observation"}),
        access="c",
        streams=True,
    ),
    Operation(
        "$validate",
        "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        validate,
        access="signed-in",
        judges_faults=True,
    ),
    Operation(
        "$json-schema",
        "urn:fhir-space-server:OperationDefinition:json-schema",
        frozenset({"instance"}),
        frozenset({"GET"}),
        json_schema,
        frozenset({"StructureDefinition"}),
        access="public",
    ),
    Operation(
        "$meta",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        frozenset({"system", "type", "instance"}),
        frozenset({"GET", "POST"}),
        meta,
        access="r",
        versions=True,
    ),
    Operation(
        "$meta-add",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        frozenset({"instance"}),
        frozenset({"POST"}),
        meta_add,
        access="u",
    ),
    Operation(
        "$meta-delete",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        frozenset({"instance"}),
        frozenset({"POST"}),
        meta_delete,
        access="u",
    ),
    _terminology("CodeSystem", "lookup", lookup),
    _terminology("CodeSystem", "validate-code", validate_code),
    _terminology("CodeSystem", "subsumes", subsumes),
    _terminology("ValueSet", "expand", expand),
    _terminology("ValueSet", "validate-code", validate_code),
    _terminology("ConceptMap", "translate", translate),
    Operation(
        "$closure",
        "http://hl7.org/fhir/OperationDefinition/ConceptMap-closure",
        frozenset({"system"}),
        frozenset({"POST"}),
        closure,
        access="signed-in",
    ),
    Operation(
        "$lastn",
        "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        frozenset({"type"}),
        frozenset({"GET", "POST"}),
        lastn,
        frozenset({"Observation"}),
        access="s",
    ),
    Operation(
        "$stats",
        "http://hl7.org/fhir/OperationDefinition/Observation-stats",
        frozenset({"type"}),
        frozenset({"GET", "POST"}),
        stats,
        frozenset({"Observation"}),
        access="s",
    ),
    Operation(
        "$docref",
        "https://health-space.example/fhir/OperationDefinition/docref",
        frozenset({"type"}),
        frozenset({"GET", "POST"}),
        docref,
        frozenset({"DocumentReference"}),
        access="s",
    ),
    Operation(
        "$document",
        "http://hl7.org/fhir/OperationDefinition/Composition-document",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        document,
        frozenset({"Composition"}),
        access="r",
    ),
    Operation(
        "$summary",
        "https://health-space.example/fhir/OperationDefinition/summary",
        frozenset({"type", "instance"}),
        frozenset({"GET", "POST"}),
        summary,
        frozenset({"Patient"}),
        access="rs",
    ),
    Operation(
        "$passport",
        "https://health-space.example/fhir/OperationDefinition/passport",
        frozenset({"instance"}),
        frozenset({"GET", "POST"}),
        passport,
        frozenset({"Patient"}),
        access="rs",
    ),
    Operation(
        "$passport-link",
        "https://health-space.example/fhir/OperationDefinition/passport-link",
        frozenset({"instance"}),
        frozenset({"GET", "POST"}),
        passport_link,
        frozenset({"Patient"}),
        access="rs",
    ),
    _everything("Patient"),
    _everything("Encounter"),
)

_EXPUNGE = Operation(
    "$expunge",
    "urn:fhir-space-server:OperationDefinition:expunge",
    frozenset({"system", "type", "instance"}),
    frozenset({"POST"}),
    expunge,
    access="operator",
)


_ACCESS_LOG = Operation(
    "$access-log",
    "urn:fhir-space-server:OperationDefinition:access-log",
    frozenset({"instance"}),
    frozenset({"GET"}),
    access_log,
    frozenset({"Patient"}),
    access="signed-in",
)


def _sandbox(name: str, handler: Handler, *methods: str) -> Operation:
    """Return the row of an operation of sandboxes."""
    definition = f"urn:fhir-space-server:OperationDefinition:{name}"
    levels = frozenset({"system"})
    return Operation(f"${name}", definition, levels, frozenset(methods), handler, access="operator")


_SANDBOX = (
    _sandbox("reset", reset, "POST"),
    _sandbox("snapshot", snapshot, "GET", "POST"),
    _sandbox("fault", fault, "GET", "POST"),
)


def offered(policy: Policy) -> tuple[Operation, ...]:
    """Return the operations that the settings allow."""
    return (
        *OPERATIONS,
        *(() if policy.expunge == "off" else (_EXPUNGE,)),
        *((_ACCESS_LOG,) if policy.audit else ()),
        *(_SANDBOX if policy.sandbox else ()),
    )


def by_name(operations: Iterable[Operation]) -> Mapping[str, Operation]:
    """Return one row for each name: operations of several types that share a name share their handler."""
    found: dict[str, Operation] = {}
    for operation in operations:
        known = found.get(operation.name)
        types = operation.types if known is None else known.types | operation.types
        found[operation.name] = replace(operation, types=types)
    return found
