"""The open elements of a FHIR XML document that is being read, and the path to each.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.datatypes.xml_tables import Row, Table


class Frame:
    """One open element.

    ``table`` and ``node`` are of its children (of the id and extensions beside it, for a primitive element);
    ``row`` is its own, None for a resource; ``index`` its place in the parent's list; ``order`` that of the last child;
    ``levels`` the depth of ``node`` in JSON; ``siblings`` the lists that have ids or extensions beside their values.
    """

    __slots__ = (
        "has_text", "has_value", "index", "levels", "node", "order", "parent", "row", "siblings", "table",
    )  # fmt: skip

    def __init__(
        self, parent: Frame | None, row: Row | None, table: Table, node: dict[str, Any], levels: int
    ) -> None:
        self.parent = parent
        self.row = row
        self.table = table
        self.node = node
        self.levels = levels
        self.index = -1
        self.order = -1
        self.has_text = False
        self.has_value = False
        self.siblings: list[str] | None = None

    def path(self) -> str:
        """Return the FHIRPath from the resource on, without the name of its type."""
        parts: list[str] = []
        at: Frame | None = self
        while at is not None:
            if at.row is not None:
                parts.append(f"{at.row.segment}[{at.index}]" if at.row.is_list else at.row.segment)
            at = at.parent
        return "".join(reversed(parts))

    def put_beside(self, row: Row, inner: Frame) -> None:
        """Put the id and extensions of a primitive element, which ``inner`` has read, beside its value."""
        key = f"_{row.key}"
        if not row.is_list:
            self.node[key] = inner.node
            return
        if self.siblings is None:
            self.siblings = []
        if row.key not in self.siblings:
            self.siblings.append(row.key)
        listed = self.node.setdefault(key, [])
        listed += [None] * (inner.index - len(listed))
        listed.append(inner.node)

    def align(self) -> None:
        """Give lists of values and of what stands beside them the same length; leave out a list without values."""
        node = self.node
        for key in self.siblings or ():
            listed, beside = node[key], node[f"_{key}"]
            beside += [None] * (len(listed) - len(beside))
            if all(value is None for value in listed):
                del node[key]
