"""An HTTP file, as editors know it: https://www.jetbrains.com/help/idea/exploring-http-syntax.html.

Variables are those of the VS Code extension "REST Client"; each search parameter has a request of its own, because
there is no way to keep one that isn't sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fhir_server.testscript.collections.requests import Collection, Request


def http_file(made: Collection) -> dict[str, str]:
    """Return the one file; its requests work from top to bottom."""
    said = "# Send the requests from top to bottom. Generated from the CapabilityStatement."
    head = f"# {made.name}\n{said}\n\n@base = {made.base}\n"
    if made.is_secured:
        head += "@token = \n"
    parts = [head]
    kept = ""
    for folder in made.folders:
        for one in folder.requests:
            for single in _singly(one):
                parts.append(_request(folder.name, single, kept, made.is_secured))
                kept = single.keeps
    return {"fhir.http": "\n".join(parts)}


def _singly(one: Request) -> Iterator[Request]:
    yield one
    for name, value in one.choices:
        yield replace(one, name=f"{one.name} by {name}", query=((name, value), *one.query))


def _request(folder: str, one: Request, kept: str, is_secured: bool) -> str:
    """Return a request; ``kept`` is the variable that the one before it has given a value."""
    lines = [f"### {folder}: {one.name}"]
    if kept:
        lines += [f"@{kept} = {{{{{kept}Answer.response.body.$.id}}}}", ""]
    if one.keeps:
        lines.append(f"# @name {one.keeps}Answer")
    lines.append(f"# expect status {' or '.join(map(str, one.statuses))}")
    sent = "&".join(f"{name}={value.replace('|', '%7C')}" for name, value in one.query)
    url = "/".join(part for part in ("{{base}}", one.path) if part) + (f"?{sent}" if sent else "")
    lines += [f"{one.method} {url}", "Accept: application/fhir+json"]
    if is_secured:
        lines.append("Authorization: Bearer {{token}}")
    if one.body:
        lines += [f"Content-Type: {one.content_type}", "", one.body]
    return "\n".join(lines) + "\n"
