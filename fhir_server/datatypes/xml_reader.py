"""FHIR XML, read into plain dicts in one pass over expat's events.

1. A frame is pushed for each element; the row of its name in the table of its parent says what it is.
2. A value goes into the parent's node when its element starts, so that a path with indices is known at any moment.
3. What is wrong becomes an issue with its place and is skipped; only what makes the rest unreadable stops the reading.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from fhir_server.datatypes.json_format import MAX_DEPTH
from fhir_server.datatypes.xml_faults import (
    check_encoding,
    malformed,
    no_resource,
    unknown_attribute,
    unknown_element,
)
from fhir_server.datatypes.xml_frame import Frame
from fhir_server.datatypes.xml_narrative import narrative
from fhir_server.datatypes.xml_tables import Form, Row, Table, Tables
from fhir_server.datatypes.xml_values import read_value
from fhir_server.messages import say
from fhir_server.outcome import FhirError, Issue

#: Issues that one reading lists at most; then it stops.
MAX_ISSUES = 100
#: Levels of what is skipped: the narrative may have 100.
MAX_SKIPPED = 1000

_BOM = b"\xef\xbb\xbf"
_SCHEMA_LOCATION = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"
_WHITE_SPACE = " \t\r\n"
_SCALARS = (Form.STRING, Form.BOOLEAN, Form.INTEGER, Form.DECIMAL)


class _Enough(Exception):  # noqa: N818 - it says that there are enough issues, it isn't an error of ours
    pass


class Reader:
    """Reads one document."""

    def __init__(self, tables: Tables, data: bytes) -> None:
        self._tables = tables
        self._data = data.removeprefix(_BOM)
        self._issues: list[Issue] = []
        self._holder = Table("", [], is_resource=False)
        self._root = self._frame = Frame(None, None, self._holder, {}, 0)
        self._root_name = ""
        self._skipped = 0
        self._start_of_div = 0
        self._prefixes: dict[str, str] = {}
        self._parser = parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartNamespaceDeclHandler = self._namespace
        parser.XmlDeclHandler = self._declaration
        self._listen(self._start, self._end, self._text)

    def read(self) -> tuple[dict[str, Any], tuple[Issue, ...]]:
        """Return the resource and the issues; raise FhirError 400 if it can't be read at all."""
        check_encoding(self._data)
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as wrong:
            raise malformed(wrong) from None
        except _Enough:
            self._issues.append(
                Issue(
                    "error",
                    "incomplete",
                    say("More issues were not listed: these are the first {limit}.", limit=MAX_ISSUES),
                )
            )
            raise FhirError(*self._issues, status=400) from None
        return self._root.node, tuple(self._issues)

    def _listen(
        self,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None],
        text: Callable[[str], None] | None,
    ) -> None:
        self._parser.StartElementHandler = start
        self._parser.EndElementHandler = end
        self._parser.CharacterDataHandler = text

    # Elements

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        frame = self._frame
        if frame.table is self._holder:
            self._resource(frame, name, attributes)
            return
        row = frame.table.by_xml.get(name)
        if row is None:
            suggests = len(self._issues) < MAX_ISSUES // 10
            self._fault("structure", unknown_element(name, frame.table, suggests=suggests), self._path(frame))
            self._skip()
            return
        if row.order < frame.order:
            self._fault(
                "structure",
                say("{key} stands too late: elements have the order of their definition.", key=row.key),
                f"{self._path(frame)}{row.segment}",
            )
        frame.order = row.order
        if row.form in _SCALARS:
            self._scalar(frame, row, attributes)
        elif row.form is Form.NARRATIVE:
            self._single(frame, row, "")
            self._start_of_div = self._parser.CurrentByteIndex
            self._skipped = 1
            self._listen(self._deeper, self._end_of_div, None)
        else:
            self._object(frame, row, attributes)

    def _resource(self, holder: Frame, name: str, attributes: dict[str, str]) -> None:
        type_ = self._tables.resources.get(name)
        is_root = holder is self._root
        if type_ is None:
            if is_root:
                raise FhirError(
                    self._issue("structure", no_resource(name, self._tables.resources.values()), ""),
                    status=400,
                )
            self._fault("structure", no_resource(name, self._tables.resources.values()), self._path(holder))
            self._skip()
            return
        if holder.node:
            self._fault("structure", "There must be one resource here, not several.", self._path(holder))
            self._skip()
            return
        holder.node["resourceType"] = type_
        if is_root:
            self._root_name = type_
        self._frame = Frame(holder, None, self._tables.table(type_), holder.node, max(holder.levels, 1))
        for key in attributes:
            if not (is_root and key == _SCHEMA_LOCATION):
                self._attribute(self._frame, key, say("a resource has no attributes"))

    def _object(self, frame: Frame, row: Row, attributes: dict[str, str]) -> None:
        node: dict[str, Any] = {}
        is_holder = row.form is Form.RESOURCE
        inner = Frame(
            frame,
            row,
            self._holder if is_holder else row.table,
            node,
            frame.levels + (2 if row.is_list else 1),
        )
        if inner.levels > MAX_DEPTH:
            raise self._too_deep()
        if row.is_list:
            listed = frame.node.setdefault(row.key, [])
            inner.index = len(listed)
            listed.append(node)
        else:
            self._single(frame, row, node)
        self._frame = inner
        for key, value in attributes.items():
            if key not in inner.table.attributes:
                advice = (
                    say("a value stands in the elements inside it") if key == "value" else say("leave it out")
                )
                self._attribute(inner, key, advice)
            elif value:
                node[key] = value
            else:
                self._fault(
                    "value", say("The attribute {key} is empty: leave it out.", key=key), self._path(inner)
                )

    def _scalar(self, frame: Frame, row: Row, attributes: dict[str, str]) -> None:
        inner = Frame(
            frame, row, self._tables.element, {}, frame.levels + (2 if row.is_list else 1)
        )  # fmt: skip
        self._frame = inner
        value: Any = None
        for key, text in attributes.items():
            if key == "value":
                inner.has_value = True
                value = text
            elif key == "id":
                inner.node["id"] = text
            else:
                self._attribute(inner, key, say("an element with a value has the attributes value and id"))
        if row.is_list:
            if frame.levels >= MAX_DEPTH:
                raise self._too_deep()
            listed = frame.node.setdefault(row.key, [])
            inner.index = len(listed)
            listed.append(None)
            if inner.has_value:
                listed[-1] = self._value(row, value)
        elif inner.has_value:
            self._single(frame, row, self._value(row, value))

    def _value(self, row: Row, text: str) -> Any:
        value, problem = read_value(row, text)
        if problem:
            self._fault("value", problem)
        return value

    def _single(self, frame: Frame, row: Row, value: Any) -> None:
        if row.key in frame.node or f"_{row.key}" in frame.node:
            self._fault(
                "structure",
                say("{key} must not be repeated: keep one of them.", key=row.key),
                f"{self._path(frame)}{row.segment}",
            )
        frame.node[row.key] = value

    def _end(self, _: str) -> None:
        frame = self._frame
        parent = frame.parent
        assert parent is not None
        row = frame.row
        if frame.siblings is not None:
            frame.align()
        if row is None or row.form is Form.COMPLEX:
            if not frame.node and not frame.has_text:
                self._fault("structure", "The element is empty: leave it out.")
        elif row.form is Form.RESOURCE:
            if not frame.node and not frame.has_text:
                self._fault("structure", "The element must hold a resource: leave it out if there is none.")
        elif frame.node:
            parent.put_beside(row, frame)
        elif not frame.has_value and not frame.has_text:
            self._fault("structure", "The element has no value and no extension: leave it out.")
        self._frame = parent

    def _text(self, text: str) -> None:
        if not text.strip(_WHITE_SPACE) or self._frame.has_text:
            return
        self._frame.has_text = True
        advice = (
            say("a value stands in the attribute value")
            if self._frame.table is self._tables.element
            else say("remove it")
        )
        self._fault("structure", say("There is text between the tags: {advice}.", advice=advice))

    # What is skipped: unknown elements, and the narrative, whose bytes are taken as they are

    def _skip(self) -> None:
        self._skipped = 1
        self._listen(self._deeper, self._higher, None)

    def _deeper(self, _: str, __: dict[str, str]) -> None:
        self._skipped += 1
        if self._skipped > MAX_SKIPPED:
            raise self._too_deep()

    def _higher(self, _: str) -> None:
        self._skipped -= 1
        if not self._skipped:
            self._listen(self._start, self._end, self._text)

    def _end_of_div(self, name: str) -> None:
        self._higher(name)
        if not self._skipped:
            frame = self._frame
            start, end = self._start_of_div, self._parser.CurrentByteIndex
            frame.node["div"] = narrative(self._data, start, end, self._prefixes)

    # Everything that isn't an element

    def _doctype(self, *_: object) -> None:
        text = "A DOCTYPE is not allowed: remove it, and write characters instead of entities."
        raise FhirError(self._issue("structure", text, ""), status=400)

    def _instruction(self, *_: object) -> None:
        # In front of the resource they speak to tools (xml-stylesheet, xml-model).
        if self._frame is not self._root:
            self._fault("structure", "Processing instructions are not allowed inside a resource: remove it.")

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        if prefix and uri:
            self._prefixes[prefix] = uri

    def _declaration(self, version: str, encoding: str | None, _: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
            text = "The body must be encoded in UTF-8, and say so."
            raise FhirError(self._issue("structure", text, ""), status=400)
        if version != "1.0":
            raise FhirError(self._issue("structure", "The body must be XML 1.0.", ""), status=400)

    # Issues

    def _path(self, frame: Frame) -> str:
        return self._root_name + frame.path()

    def _attribute(self, frame: Frame, key: str, advice: str) -> None:
        self._fault("structure", unknown_attribute(key, advice), self._path(frame))

    def _fault(self, code: str, text: str, expression: str | None = None) -> None:
        if len(self._issues) >= MAX_ISSUES:
            raise _Enough
        place = self._path(self._frame) if expression is None else expression
        self._issues.append(self._issue(code, text, place))

    def _issue(self, code: str, text: str, expression: str) -> Issue:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        return Issue("error", code, text, expression, "", line, column)

    def _too_deep(self) -> FhirError:
        text = say(
            "The body nests elements so that they are more than {levels} levels deep in JSON: flatten it.",
            levels=MAX_DEPTH,
        )
        return FhirError(self._issue("structure", text, self._root_name), status=400)
