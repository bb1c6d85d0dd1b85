"""Encodings of strings: https://hl7.org/fhirpath/#additional-string-functions."""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable

from fhir_server.fhirpath.evaluation.items import Items
from fhir_server.fhirpath.evaluation.run import Run, fail
from fhir_server.fhirpath.functions.strings import text
from fhir_server.fhirpath.functions.tables import Table

_ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "urlbase64": base64.urlsafe_b64encode,
}
_DECODE: dict[str, Callable[[str], bytes]] = {
    "hex": binascii.unhexlify,
    "base64": lambda value: base64.b64decode(value, validate=True),
    "urlbase64": lambda value: base64.b64decode(value, altchars=b"-_", validate=True),
}


def _both(name: str, source: Items, kind: Items) -> tuple[str, str] | None:
    value, chosen = text(source, f"{name}()"), text(kind, f"{name}()")
    return None if value is None or chosen is None else (value, chosen)


def _encode(_run: Run, source: Items, kind: Items) -> Items:
    given = _both("encode", source, kind)
    if given is None or given[1] not in _ENCODE:
        return []
    return [_ENCODE[given[1]](given[0].encode()).decode("ascii")]


def _decode(_run: Run, source: Items, kind: Items) -> Items:
    given = _both("decode", source, kind)
    if given is None or given[1] not in _DECODE:
        return []
    try:
        return [_DECODE[given[1]](given[0]).decode()]
    except ValueError as cause:
        raise fail(f"decode() got no {given[1]} text") from cause


def _escape(_run: Run, source: Items, kind: Items) -> Items:
    given = _both("escape", source, kind)
    if given is None:
        return []
    if given[1] == "html":
        return [html.escape(given[0], quote=True)]
    return [json.dumps(given[0], ensure_ascii=False)[1:-1]] if given[1] == "json" else []


def _unescape(_run: Run, source: Items, kind: Items) -> Items:
    given = _both("unescape", source, kind)
    if given is None:
        return []
    if given[1] == "html":
        return [html.unescape(given[0])]
    if given[1] != "json":
        return []
    value = given[0]
    if "\\" not in value:
        return [value]
    try:
        return [str(json.loads(f'"{value}"'))]
    except ValueError as cause:
        raise fail("unescape() got no escaped JSON text") from cause


VALUES: Table = {
    "encode": (_encode, 1),
    "decode": (_decode, 1),
    "escape": (_escape, 1),
    "unescape": (_unescape, 1),
}
