"""From method and path to a handler; the one place besides a batch entry that turns FhirError into an answer.

https://hl7.org/fhir/R4/http.html#3.1.0
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.positions import located
from fhir_server.interactions import (
    audit_event,
    bundle,
    capabilities,
    conditional_delete,
    conditional_update,
    create,
    delete,
    history,
    patch,
    read,
    search_compartment,
    search_system,
    search_type,
    update,
    vread,
)
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Handler, Operation, Server, Target
from fhir_server.interactions.steps import binary
from fhir_server.interactions.steps.auditing import audited
from fhir_server.interactions.steps.dry_run import DRY_RUN, dry_run, is_dry_run
from fhir_server.interactions.steps.idempotency import KEY, once
from fhir_server.interactions.steps.permit import check_interaction, check_operation
from fhir_server.interactions.steps.provenance import HEADER as PROVENANCE
from fhir_server.interactions.steps.provenance import check_header
from fhir_server.interactions.steps.terminology import prefetch
from fhir_server.outcome import FhirError, error, operation_outcome
from fhir_server.store.documents import Unavailable


@dataclass(frozen=True, slots=True)
class Route:
    """One row: the R4 interaction code, the method, and the path's shape.

    The shape has words and variables: ``[type]``, ``[id]``, ``[vid]``, ``[member]``.
    """

    interaction: str
    method: str
    shape: tuple[str, ...]
    handler: Handler
    judges_faults: bool = False


async def _bundle(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    return await bundle.bundle(server, request, dispatch)


ROUTES: tuple[Route, ...] = (
    Route("transaction", "POST", (), _bundle),
    Route("capabilities", "GET", ("metadata",), capabilities.capabilities),
    Route("read", "GET", ("[type]", "[id]"), read.read),
    Route("vread", "GET", ("[type]", "[id]", "_history", "[vid]"), vread.vread),
    Route("create", "POST", ("[type]",), create.create),
    Route("update", "PUT", ("[type]", "[id]"), update.update),
    Route("update", "PUT", ("[type]",), conditional_update.conditional_update),
    Route("patch", "PATCH", ("[type]", "[id]"), patch.patch),
    Route("patch", "PATCH", ("[type]",), patch.conditional_patch),
    Route("delete", "DELETE", ("[type]", "[id]"), delete.delete),
    Route("delete", "DELETE", ("[type]",), conditional_delete.conditional_delete),
    Route("search-type", "GET", ("[type]",), search_type.search_type),
    Route("search-type", "POST", ("[type]", "_search"), search_type.search_type),
    Route("search-system", "GET", (), search_system.search_system),
    Route("search-system", "POST", ("_search",), search_system.search_system),
    Route("search-compartment", "GET", ("[type]", "[id]", "[member]"), search_compartment.search_compartment),
    Route("search-compartment", "POST", ("[type]", "[id]", "_search"), search_compartment.search_compartment),
    Route(
        "search-compartment",
        "POST",
        ("[type]", "[id]", "[member]", "_search"),
        search_compartment.search_compartment,
    ),
    Route("history-instance", "GET", ("[type]", "[id]", "_history"), history.history_instance),
    Route("history-type", "GET", ("[type]", "_history"), history.history_type),
    Route("history-system", "GET", ("_history",), history.history_system),
)


# Rows by the shape of the path with its variables blanked, then by method: matching is two dictionary look-ups.
def _key_of(route: Route) -> tuple[str, ...]:
    return tuple("" if part.startswith("[") else part for part in route.shape)


_BY_SHAPE: dict[tuple[str, ...], dict[str, Route]] = {}
for _route in ROUTES:
    _BY_SHAPE.setdefault(_key_of(_route), {})[_route.method] = _route


#: What clients can do with events of the audit: the server alone writes them.
_OF_AUDIT = (
    Route("read", "GET", ("[type]", "[id]"), audit_event.read),
    Route("search-type", "GET", ("[type]",), audit_event.search),
    Route("search-type", "POST", ("[type]", "_search"), audit_event.search),
    Route("search-compartment", "GET", ("[type]", "[id]", "[member]"), audit_event.search),
)


def _is_word(position: int, part: str) -> bool:
    """Tell words of the specification from ids; an id may be called "metadata", but has no underscore."""
    return part.startswith("_") or (position == 0 and part == "metadata")


async def dispatch(server: Server, request: FhirRequest) -> FhirResponse:
    """Answer one request, recorded in the audit if there is one."""
    if server.audit is None:
        return await _dispatch(server, request)
    return await audited(server, request, _dispatch)


async def _dispatch(server: Server, request: FhirRequest) -> FhirResponse:
    """Answer one request; issues that stop an interaction become an OperationOutcome with their status."""
    interaction = type_ = ""
    try:
        route, target = match(server, request)
        interaction, type_ = route.interaction, target.type
        _check_access(server, request, route, target)
        if PROVENANCE in request.headers:
            check_header(request, interaction)
        if request.faults:
            _refuse_faults(route, request)
        if type_ == binary.TYPE and interaction in ("create", "update"):
            async with binary.as_resource(server, request, target) as resource:
                return await _once_or_dry(route, target, server, resource)
        return await _once_or_dry(route, target, server, request)
    except FhirError as problem:
        if request.sent:
            problem.issues = located(problem.issues, request.sent)
        elif request.locate is not None:
            problem.issues = request.locate(problem.issues)
        return outcome_response(problem, interaction, type_)
    except Unavailable as problem:
        unavailable = error(
            "transient",
            f"The database can't be reached at the moment: {problem}",
            headers={"Retry-After": "2"},
        )
        return outcome_response(unavailable, interaction, type_)


def _check_access(server: Server, request: FhirRequest, route: Route, target: Target) -> None:
    if route.interaction == "operation":
        check_operation(request, target, server.operations[request.path[-1]])
    else:
        check_interaction(server, request, target, route.interaction)


async def _once_or_dry(route: Route, target: Target, server: Server, request: FhirRequest) -> FhirResponse:
    """Answer a request with what its headers ask for: nothing written, or written once."""
    headers = request.headers
    if DRY_RUN in headers and is_dry_run(request):
        return await dry_run(server, request, partial(_answer, route, target))
    if KEY in headers and request.method in ("POST", "PATCH") and "search" not in route.interaction:
        return await once(server, request, partial(_answer, route, target))
    return await _answer(route, target, server, request)


def _refuse_faults(route: Route, request: FhirRequest) -> None:
    if not route.judges_faults:
        raise FhirError(*request.faults, status=400)


async def _answer(route: Route, target: Target, server: Server, request: FhirRequest) -> FhirResponse:
    if request.body and server.code_sets.has_imported:
        await prefetch(server, request.body)
    response = await route.handler(server, request, target)
    return replace(response, interaction=response.interaction or route.interaction, type=target.type)


def match(server: Server, request: FhirRequest) -> tuple[Route, Target]:
    """Return the row and the target of a request; raise FhirError 404 or 405 when there is none."""
    path = request.path
    if path and path[-1].startswith("$"):
        return _operation(server, request)
    shape = []
    variables = []
    for position, part in enumerate(path):
        if _is_word(position, part):
            shape.append(part)
        else:
            shape.append("")
            variables.append(part)
    methods = _BY_SHAPE.get(tuple(shape))
    if methods is None:
        raise _no_such_path(server, path)
    target = Target(*variables)
    if target.type and target.type not in server.definitions.types.resource_type_names:
        raise _unknown_type(server, target.type)
    if server.audit is not None and audit_event.TYPE in (target.type, target.version):
        shape_of_event = tuple(shape)
        methods = {row.method: row for row in _OF_AUDIT if _key_of(row) == shape_of_event}
    route = methods.get("GET" if request.method == "HEAD" else request.method)
    if route is None:
        raise _wrong_method(request.method, sorted(methods))
    return route, target


#: The level at which an operation is called, by the number of path segments before its name.
_LEVELS = ("system", "type", "instance")


def _operation(server: Server, request: FhirRequest) -> tuple[Route, Target]:
    """Return the row and the target of an $operation: https://hl7.org/fhir/R4/operations.html."""
    *before, name = request.path
    is_version = len(before) == 4 and before[2] == "_history"
    target = Target(before[0], before[1], before[3]) if is_version else Target(*before[:2])
    if target.type and target.type not in server.definitions.types.resource_type_names:
        raise _unknown_type(server, target.type)
    operation = server.operations.get(name)
    if (
        operation is None
        or (len(before) >= len(_LEVELS) and not is_version)
        or (is_version and not operation.versions)
    ):
        raise error(
            "not-supported", "This server does not have that operation; see GET metadata.", status=404
        )
    _check_level(operation, target, _LEVELS[min(len(before), 2)])
    method = "GET" if request.method == "HEAD" else request.method
    if method not in operation.methods:
        raise _wrong_method(request.method, sorted(operation.methods))
    route = Route("operation", method, tuple(request.path), operation.handler, operation.judges_faults)
    return route, target


def _check_level(operation: Operation, target: Target, level: str) -> None:
    if level not in operation.levels:
        levels = " and ".join(sorted(operation.levels, key=_LEVELS.index))
        raise error(
            "not-supported", f"{operation.name} can't be called here: its level is {levels}.", status=404
        )
    if target.type and operation.types and target.type not in operation.types:
        types = ", ".join(sorted(operation.types))
        raise error("not-supported", f"{operation.name} is an operation of {types}.", status=404)


def _wrong_method(method: str, methods: list[str]) -> FhirError:
    allowed = ", ".join(methods)
    return error(
        "not-supported",
        f"{method} is not supported here; this address answers to {allowed}.",
        status=405,
        headers={"Allow": allowed},
    )


def outcome_response(problem: FhirError, interaction: str = "", type_: str = "") -> FhirResponse:
    """Return the answer that carries a FhirError's issues as an OperationOutcome."""
    return FhirResponse(
        problem.status,
        (*problem.headers.items(), ("Vary", "Accept-Language")),
        (encode(operation_outcome(problem.issues)),),
        interaction,
        type_,
    )


def _no_such_path(server: Server, path: tuple[str, ...]) -> FhirError:
    if path[0] not in server.definitions.types.resource_type_names and not _is_word(0, path[0]):
        return _unknown_type(server, path[0])
    return error("not-found", "There is nothing at this address; GET metadata tells what this server does.")


def _unknown_type(server: Server, name: str) -> FhirError:
    nearest = get_close_matches(name, server.definitions.types.resource_types, 1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return error("not-supported", f"The first part of the path is not an R4 resource type.{hint}", status=404)
