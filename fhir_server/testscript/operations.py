"""An operation of a script becomes a request: https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.setup.action.operation."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fhir_server.datatypes.json_format import encode
from fhir_server.outcome import FhirError
from fhir_server.testscript.message import Message, ScriptError
from fhir_server.testscript.scope import Scope

JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
#: What scripts may call the two formats of FHIR, as earlier versions of TestScript did.
FORMATS = {"json": JSON, "xml": "application/fhir+xml"}
#: Interactions and their methods; what isn't here is an operation, ``$name``.
METHODS = {
    "read": "GET", "vread": "GET", "search": "GET", "history": "GET", "capabilities": "GET", "create": "POST",
    "batch": "POST", "transaction": "POST", "update": "PUT", "updateCreate": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deleteCondSingle": "DELETE", "deleteCondMultiple": "DELETE",
}  # fmt: skip
#: Characters that a URL may hold as they are.
_SAFE = "%/:?#[]@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ready to be sent to a destination as an origin; ``raw``: the URL goes out as it is written."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    origin: int
    raw: bool


def request(operation: dict[str, Any], scope: Scope, base: str) -> Request:
    """Return the request of an operation; raises ScriptError when it can't be made."""
    code = str(operation.get("type", {}).get("code", "")).removeprefix("$")
    method = _method(operation, code)
    body, headers = b"", {"accept": _format(scope.fill(operation.get("accept", JSON)))}
    if "sourceId" in operation:
        content_type = _format(scope.fill(operation.get("contentType", JSON)))
        body = _body(
            scope.message(operation["sourceId"]), content_type, scope, _new_id(operation, code, scope)
        )
        headers["content-type"] = content_type
    elif "contentType" in operation:
        headers["content-type"] = _format(scope.fill(operation["contentType"]))
    if "url" in operation:
        url = _absolute(scope.fill(operation["url"]), base)
    else:
        path, query = _place(operation, code, scope)
        if code == "search" and method == "POST" and not body:
            body, query = query.removeprefix("?").encode(), ""
            headers["content-type"] = FORM
        url = f"{base}/{path}".rstrip("/") + query
    for header in operation.get("requestHeader", []):
        headers[header["field"].lower()] = scope.fill(header["value"])
    headers = {name: value for name, value in headers.items() if value != "none"}
    encoded = operation.get("encodeRequestUrl", True)
    return Request(
        method,
        quote(url, safe=_SAFE) if encoded else url,
        headers,
        body,
        operation.get("origin", 1),
        not encoded,
    )


def _method(operation: dict[str, Any], code: str) -> str:
    if "method" in operation:
        return str(operation["method"]).upper()
    if code in METHODS:
        return METHODS[code]
    if not code and "url" not in operation:
        raise ScriptError("The operation has neither a type nor a method with a url.")
    return "POST" if "sourceId" in operation else "GET"


def _absolute(url: str, base: str) -> str:
    return url if url.startswith(("http://", "https://")) else f"{base}/{url.removeprefix('/')}".rstrip("/")


def _format(name: str) -> str:
    return FORMATS.get(name, name)


def _new_id(operation: dict[str, Any], code: str, scope: Scope) -> str:
    """Return the id that the body of an update takes over when it has none: that of the target."""
    if code not in {"update", "updateCreate"}:
        return ""
    if "targetId" in operation:
        return identity(scope.message(operation["targetId"]))[1]
    params = scope.fill(operation.get("params", ""))
    return "" if "=" in params else params.strip("/")


def _body(source: Message, content_type: str, scope: Scope, new_id: str) -> bytes:
    """Return a fixture as the content type wants it.

    A Binary whose content type is that of the operation stands for its content: patches, forms, malformed bodies.
    """
    try:
        resource = source.resource
    except FhirError:
        return source.body
    if resource.get("resourceType") == "Binary" and resource.get("contentType") == content_type:
        content = base64.b64decode(resource.get("data", ""))
        try:
            return scope.fill(content.decode()).encode()
        except UnicodeDecodeError:
            return content
    filled = scope.filled(resource)
    if new_id and "id" not in filled:
        filled = {"resourceType": filled["resourceType"], "id": new_id, **filled}
    return source.xml.encode(filled) if "xml" in content_type else encode(filled)


def _place(operation: dict[str, Any], code: str, scope: Scope) -> tuple[str, str]:
    """Return the path below the base and the query, with its question mark."""
    params = scope.fill(operation.get("params", ""))
    path, mark, query = params.partition("?")
    if path and not path.startswith("/"):  # "name=x" for a search, "123" for a read
        path, mark, query = ("", "?", params) if "=" in params else (f"/{path}", mark, query)
    parts = [*_target(operation, code, scope, path), path.strip("/")]
    if code == "history" and "_history" not in path:
        parts.append("_history")
    elif code == "capabilities" and not path:
        parts.append("metadata")
    elif code == "search" and operation.get("method") == "post" and "_search" not in path:
        parts.append("_search")
    elif code and code not in METHODS and "$" not in path:
        parts.append(f"${code}")
    return "/".join(part for part in parts if part), mark + query


def _target(operation: dict[str, Any], code: str, scope: Scope, path: str) -> list[str]:
    """Return [], [type] or [type, id, ...]: from the target, for an update else from the source."""
    type_name = scope.fill(operation.get("resource", ""))
    if "targetId" in operation:
        kind, id_, version = identity(scope.message(operation["targetId"]))
        parts = [type_name or kind, id_]
        return [*parts, "_history", version] if code == "vread" else parts
    if "sourceId" in operation and code in {"create", "update", "updateCreate", "patch"}:
        source = scope.filled(_resource(scope.message(operation["sourceId"])))
        type_name = type_name or str(source.get("resourceType", ""))
        has_place = bool(path) or "?" in operation.get("params", "")
        if code in {"update", "updateCreate"} and not has_place:
            if not source.get("id"):
                raise ScriptError("The update's source has no id, and neither targetId nor params say which.")
            return [type_name, str(source["id"])]
    return [type_name]


def _resource(message: Message) -> dict[str, Any]:
    try:
        return message.resource
    except FhirError:
        return {}


def identity(message: Message) -> tuple[str, str, str]:
    """Return type, id and version of what a message is about: its resource, else its Location, else its URL.

    Raises ScriptError when it is about none.
    """
    for place in (message.headers.get("location", ""), message.headers.get("content-location", "")):
        if found := _from_url(place):
            return found
    resource = _resource(message)
    if resource.get("id") and resource["resourceType"] != "OperationOutcome":
        version = str(resource.get("meta", {}).get("versionId", ""))
        return resource["resourceType"], str(resource["id"]), version
    if found := _from_url(message.url):
        return found
    raise ScriptError("The target has no id: neither its resource nor its Location header names one.")


def _from_url(url: str) -> tuple[str, str, str] | None:
    parts = [part for part in url.partition("?")[0].split("/") if part]
    version = ""
    if len(parts) > 3 and parts[-2] == "_history":
        version, parts = parts[-1], parts[:-2]
    if len(parts) < 2 or not parts[-2][:1].isupper():
        return None
    return parts[-2], parts[-1], version
