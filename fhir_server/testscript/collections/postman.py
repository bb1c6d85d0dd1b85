"""A collection of Postman, format 2.1: https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fhir_server.testscript.collections.requests import Collection, Request

_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"


def postman(made: Collection) -> dict[str, str]:
    """Return the one file; Postman and Bruno import it, newman runs it."""
    document: dict[str, Any] = {
        "info": {"name": made.name, "schema": _SCHEMA},
        "item": [
            {"name": folder.name, "item": [_item(one) for one in folder.requests]} for folder in made.folders
        ],
        "variable": [{"key": "base", "value": made.base}],
    }
    if made.is_secured:
        document["auth"] = {
            "type": "bearer",
            "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}],
        }
        document["variable"].append({"key": "token", "value": ""})
    return {"fhir.postman_collection.json": json.dumps(document, ensure_ascii=False, indent=2) + "\n"}


def _item(one: Request) -> dict[str, Any]:
    headers = [{"key": "Accept", "value": "application/fhir+json"}]
    request: dict[str, Any] = {"method": one.method, "header": headers, "url": _url(one)}
    if one.body:
        headers.append({"key": "Content-Type", "value": one.content_type})
        request["body"] = {"mode": "raw", "raw": one.body, "options": {"raw": {"language": "json"}}}
    return {"name": one.name, "request": request, "response": [], "event": [_test(one)]}


def _url(one: Request) -> Mapping[str, Any]:
    query = [{"key": name, "value": value} for name, value in one.query]
    offered = [{"key": name, "value": value, "disabled": True} for name, value in one.choices]
    raw = "/".join(part for part in ("{{base}}", one.path) if part)
    sent = "&".join(f"{name}={value}" for name, value in one.query)
    url: dict[str, Any] = {
        "raw": f"{raw}?{sent}" if sent else raw,
        "host": ["{{base}}"],
        "path": [part for part in one.path.split("/") if part],
    }
    return url | {"query": [*query, *offered]} if query or offered else url


def _test(one: Request) -> dict[str, Any]:
    wanted = " or ".join(map(str, one.statuses))
    lines = [
        f'pm.test("status {wanted}", () => pm.expect({list(one.statuses)}).to.include(pm.response.code));',
    ]
    if one.keeps:
        lines.append(f'pm.collectionVariables.set("{one.keeps}", pm.response.json().id);')
    return {"listen": "test", "script": {"type": "text/javascript", "exec": lines}}
