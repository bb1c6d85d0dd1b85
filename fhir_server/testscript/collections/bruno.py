"""A collection of Bruno, a folder of text files: https://docs.usebruno.com/bru-lang/overview."""

from __future__ import annotations

import json

from fhir_server.testscript.collections.requests import Collection, Request

_BODIES = ("POST", "PUT", "PATCH")


def bruno(made: Collection) -> dict[str, str]:
    """Return the files of the folder: one a request, in the order in which they work."""
    about = {"version": "1", "name": made.name, "type": "collection", "ignore": []}
    files = {
        "bruno.json": json.dumps(about, ensure_ascii=False, indent=2) + "\n",
        "environments/server.bru": _block("vars", [f"base: {made.base}"])
        + (_block("vars:secret", ["token"], "[]") if made.is_secured else ""),
    }
    if made.is_secured:
        files["collection.bru"] = _block("auth", ["mode: bearer"]) + _block(
            "auth:bearer", ["token: {{token}}"]
        )
    for number, folder in enumerate(made.folders, 1):
        place = f"{number:03} {folder.name}"
        files[f"{place}/folder.bru"] = _block("meta", [f"name: {folder.name}", f"seq: {number}"])
        for seq, one in enumerate(folder.requests, 1):
            files[f"{place}/{seq:02} {one.name}.bru"] = _request(one, seq, made.is_secured)
    return files


def _request(one: Request, seq: int, is_secured: bool) -> str:
    sent = "&".join(f"{name}={value}" for name, value in one.query)
    url = "/".join(part for part in ("{{base}}", one.path) if part) + (f"?{sent}" if sent else "")
    kind = "text" if one.body else "none"
    parts = [
        _block("meta", [f"name: {one.name}", "type: http", f"seq: {seq}"]),
        _block(
            one.method.lower(),
            [f"url: {url}", f"body: {kind}", f"auth: {'inherit' if is_secured else 'none'}"],
        ),
    ]
    parameters = [f"{name}: {value}" for name, value in one.query]
    parameters += [f"~{_key(name)}: {value}" for name, value in one.choices]
    if parameters:
        parts.append(_block("params:query", parameters))
    headers = ["Accept: application/fhir+json"]
    if one.body:
        headers.append(f"Content-Type: {one.content_type}")
    parts.append(_block("headers", headers))
    if one.body:
        parts.append(_block("body:text", one.body.splitlines()))
    if one.keeps:
        parts.append(_block("vars:post-response", [f"{one.keeps}: res.body.id"]))
    wanted = f"in {', '.join(map(str, one.statuses))}" if len(one.statuses) > 1 else f"eq {one.statuses[0]}"
    parts.append(_block("assert", [f"res.status: {wanted}"]))
    return "\n".join(parts)


def _key(name: str) -> str:
    return name if ":" not in name else f'"{name}"'


def _block(name: str, lines: list[str], brackets: str = "{}") -> str:
    inside = "\n".join(f"  {line}" for line in lines)
    return f"{name} {brackets[0]}\n{inside}\n{brackets[1]}\n"
