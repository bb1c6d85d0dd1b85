"""The elements of FHIR's types as reading and writing XML look them up.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Any

from fhir_server.datatypes.protocols import Types

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"


class Form(Enum):
    """How an element looks in XML, and what its value is in JSON."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    COMPLEX = "complex"
    RESOURCE = "resource"
    NARRATIVE = "narrative"
    ATTRIBUTE = "attribute"


_NUMBERS = {
    "boolean": Form.BOOLEAN,
    "integer": Form.INTEGER,
    "positiveInt": Form.INTEGER,
    "unsignedInt": Form.INTEGER,
    "decimal": Form.DECIMAL,
    "xhtml": Form.NARRATIVE,
}


class Row:
    """One element of a type: ``key`` is its name in JSON and XML alike, ``order`` its place in the type's sequence.

    The types of a choice share their ``order``. ``segment`` is the step of a FHIRPath to it.
    """

    __slots__ = ("_tables", "form", "is_list", "key", "order", "segment", "type")

    def __init__(self, tables: Tables, element: Any, key: str, type_: str, order: int) -> None:
        self._tables = tables
        self.key = key
        self.type = type_
        self.form = tables.form(type_)
        self.order = order
        self.segment = f".{element.name}" + (f".ofType({type_})" if element.is_choice else "")
        self.is_list: bool = element.is_list

    @property
    def table(self) -> Table:
        """The table of the element's type."""
        return self._tables.table(self.type)


class Table:
    """The elements of one type: by the name that expat gives (namespace, space, name), and by JSON property."""

    def __init__(self, name: str, rows: list[Row], *, is_resource: bool) -> None:
        self.name = name
        self.is_resource = is_resource
        self.by_json = {row.key: row for row in rows}
        self.by_json |= {f"_{row.key}": row for row in rows if row.form.value in _WITH_SIBLING}
        self.by_xml = {
            f"{XHTML if row.form is Form.NARRATIVE else FHIR} {row.key}": row
            for row in rows
            if row.form is not Form.ATTRIBUTE
        }
        self.attributes = frozenset(row.key for row in rows if row.form is Form.ATTRIBUTE)


_WITH_SIBLING = {"string", "boolean", "integer", "decimal", "attribute"}


class Tables:
    """The tables of all types, each built when it is first asked for."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._tables: dict[str, Table] = {}
        #: Resource types by the name that expat gives.
        self.resources = {f"{FHIR} {name}": name for name in types.resource_types}

    def table(self, name: str) -> Table:
        """Return the table of a type; raises KeyError for a name that is none."""
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = self._build(name)
        return found

    @cached_property
    def element(self) -> Table:
        """The table of what stands beside a primitive value: id and extensions."""
        return self.table("Element")

    def _build(self, name: str) -> Table:
        info = self._types.type(name)
        if info is None:
            raise KeyError(name)
        is_resource = info.kind == "resource"
        rows: list[Row] = []
        for order, element in enumerate(info.elements.values()):
            for key, type_ in element.json_keys().items():
                row = Row(self, element, key, type_, order)
                # Element.id and Extension.url are attributes, Resource.id is an element like others.
                if (key == "id" and not is_resource) or (key == "url" and name == "Extension"):
                    row.form = Form.ATTRIBUTE
                rows.append(row)
        return Table(name, rows, is_resource=is_resource)

    def form(self, type_: str) -> Form:
        """Return how elements of a type look."""
        if type_ in _NUMBERS:
            return _NUMBERS[type_]
        if type_ == "Resource":
            return Form.RESOURCE
        info = self._types.type(type_)
        return Form.STRING if info is None or info.kind == "primitive-type" else Form.COMPLEX
