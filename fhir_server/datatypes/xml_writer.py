"""A resource as plain dicts, written as FHIR XML.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.datatypes import xhtml
from fhir_server.datatypes.json_format import WrittenDecimal
from fhir_server.datatypes.xml_tables import FHIR, Form, Row, Table, Tables
from fhir_server.outcome import error

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
#: What an attribute can't hold as it is; the last two can't stand in XML at all.
_SPECIAL = re.compile('[&<>"\t\n\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_ESCAPES = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;",
}  # fmt: skip
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>\s*")


class Writer:
    """Writes one resource; ``pretty`` puts each element on its own line."""

    def __init__(self, tables: Tables, *, pretty: bool) -> None:
        self._tables = tables
        self._pretty = pretty
        self._out: list[str] = [_DECLARATION]
        self._depth = 0

    def write(self, resource: dict[str, Any]) -> bytes:
        """Return the document in UTF-8; raise FhirError for what isn't FHIR."""
        if not self._pretty:
            self._out.append("\n")
        self._resource(resource, f' xmlns="{FHIR}"')
        if self._pretty:
            self._out.append("\n")
        return "".join(self._out).encode()

    def _resource(self, resource: Any, namespace: str = "") -> None:
        name = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(name, str) or f"{FHIR} {name}" not in self._tables.resources:
            raise error("structure", "The value must be a resource of R4 with its resourceType.")
        table = self._tables.table(name)
        self._open()
        self._out.append(f"<{name}{namespace}")
        self._children(name, resource, table)

    def _open(self) -> None:
        if self._pretty:
            self._out.append("\n" + "  " * self._depth)

    def _children(self, tag: str, node: dict[str, Any], table: Table) -> None:
        """Write the attributes that the open start tag still lacks, the children, and the end tag."""
        rows = self._sorted(node, table)
        out = self._out
        while rows and rows[0].form is Form.ATTRIBUTE:
            row = rows.pop(0)
            out.append(f' {row.key}="{_escaped(node[row.key])}"')
        if not rows:
            out.append("/>")
            return
        out.append(">")
        self._depth += 1
        for row in rows:
            self._element(row, node)
        self._depth -= 1
        self._open()
        out.append(f"</{tag}>")

    def _sorted(self, node: dict[str, Any], table: Table) -> list[Row]:
        try:
            rows = {table.by_json[key] for key in node if key != "resourceType" or not table.is_resource}
        except KeyError as unknown:
            raise error(
                "structure", f"{table.name} has no element {unknown}: it can't be written as XML."
            ) from None
        # Attributes first, then the order of the definition; the key only decides between types of a choice.
        return sorted(rows, key=lambda row: (row.form is not Form.ATTRIBUTE, row.order, row.key))

    def _element(self, row: Row, node: dict[str, Any]) -> None:
        value = node.get(row.key)
        sibling = node.get(f"_{row.key}")
        if not row.is_list:
            self._item(row, value, sibling)
            return
        values = value if isinstance(value, list) else []
        siblings = sibling if isinstance(sibling, list) else []
        for index in range(max(len(values), len(siblings))):
            self._item(
                row,
                values[index] if index < len(values) else None,
                siblings[index] if index < len(siblings) else None,
            )

    def _item(self, row: Row, value: Any, sibling: Any) -> None:
        form = row.form
        if form is Form.COMPLEX:
            if not isinstance(value, dict):
                raise error("structure", f"{row.key} must hold objects: it can't be written as XML.")
            self._open()
            self._out.append(f"<{row.key}")
            self._children(row.key, value, row.table)
        elif form is Form.RESOURCE:
            self._open()
            self._out.append(f"<{row.key}>")
            self._depth += 1
            self._resource(value)
            self._depth -= 1
            self._open()
            self._out.append(f"</{row.key}>")
        elif form is Form.NARRATIVE:
            self._open()
            self._out.append(_narrative(value))
        elif value is not None or sibling:
            self._open()
            self._out.append(f"<{row.key}")
            self._primitive(row, value, sibling)

    def _primitive(self, row: Row, value: Any, sibling: Any) -> None:
        text = "" if value is None else f' value="{_text(value)}"'
        if not sibling:
            self._out.append(f"{text}/>")
            return
        if "id" in sibling:
            self._out.append(f' id="{_escaped(sibling["id"])}"')
        self._out.append(text)
        self._children(row.key, {k: v for k, v in sibling.items() if k != "id"}, self._tables.element)


def _text(value: Any) -> str:
    if type(value) is str:
        return _escaped(value) if _SPECIAL.search(value) else value
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value.text if isinstance(value, WrittenDecimal) else str(value)


def _escaped(value: Any) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), str(value))


def _narrative(value: Any) -> str:
    if xhtml.problem(value) is not None and not (isinstance(value, str) and xhtml.is_well_formed(value)):
        raise error("structure", "The narrative isn't well-formed XHTML: it can't be written as XML.")
    text: str = value
    return text[found.end() :] if (found := _XML_DECLARATION.match(text)) else text.strip()
