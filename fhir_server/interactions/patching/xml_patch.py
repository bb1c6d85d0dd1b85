"""XML Patch: a document of add, replace and remove whose selectors name nodes of the resource's XML.

https://www.rfc-editor.org/rfc/rfc5261, https://www.rfc-editor.org/rfc/rfc7351 (media type application/xml-patch+xml).
The root is called diff (5261) or patch (7351).
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.datatypes.xml_tables import FHIR
from fhir_server.interactions.patching import xml_selector
from fhir_server.interactions.patching.budget import check_number
from fhir_server.interactions.patching.xml_selector import Attribute, Node, Selector, Steps
from fhir_server.interactions.patching.xml_tree import Element, Leaf, parse, written
from fhir_server.outcome import FhirError, error

_ROOTS = ("diff", "patch")
_ATTRIBUTES = {"add": {"sel", "pos", "type"}, "replace": {"sel"}, "remove": {"sel", "ws"}}
_PLACES = ("", "prepend", "before", "after")
_WHITE_SPACES = ("", "before", "after", "both")
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``content`` is its element, never changed. ``where`` names it to the sender."""

    type: str
    selector: Selector
    content: Element
    place: str
    attribute: str
    spaces: str
    where: str


def read_operations(data: bytes) -> tuple[Operation, ...]:
    """Return the operations of a patch document; raise FhirError 400 when it is malformed."""
    root = parse(data)
    if root.name[1] not in _ROOTS:
        raise error(
            "structure", "The root of an XML Patch is the element diff (or patch, as RFC 7351 calls it)."
        )
    rows = [child for child in root.children if isinstance(child, Element)]
    check_number(len(rows))
    if any(
        isinstance(child, Leaf) and child.kind == "text" and child.text.strip(_SPACE)
        for child in root.children
    ):
        raise error("structure", "Between the operations of an XML Patch there is no text.")
    return tuple(_operation(row, number, root.name[0]) for number, row in enumerate(rows, 1))


def _operation(row: Element, number: int, space: str) -> Operation:
    name = row.name[1]
    if name not in _ATTRIBUTES or row.name[0] not in ("", space):
        raise error("structure", f"Operation {number} is none: there are add, replace and remove.")
    where = f"Operation {number} ({name})"
    given = row.attributes
    if "sel" not in given:
        raise error("required", f"{where} has no attribute sel.")
    if given.keys() - _ATTRIBUTES[name]:
        raise error(
            "value", f"{where} takes the attributes {', '.join(sorted(_ATTRIBUTES[name]))} and no others."
        )
    place, type_, spaces = given.get("pos", ""), given.get("type", ""), given.get("ws", "")
    if place not in _PLACES or (place and type_):
        raise error("value", f"{where}: pos is prepend, before or after, and does not go with type.")
    if spaces not in _WHITE_SPACES:
        raise error("value", f"{where}: ws is before, after or both.")
    if type_ and not type_.startswith("@"):
        raise error(
            "not-supported", f"{where}: type adds attributes (@name); namespaces FHIR has none.", status=422
        )
    if name == "remove" and row.children:
        raise error("structure", f"{where} is empty.")
    selector = xml_selector.read(given["sel"], row.prefixes, where)
    return Operation(name, selector, row, place, type_[1:], spaces, where)


def apply(document: bytes, operations: tuple[Operation, ...]) -> bytes:
    """Return the document after all operations; raise FhirError 422 when one does not fit it, 400 for too much work."""
    root = parse(document)
    # A holder above the root, so that the root has a parent as all others have.
    holder = Element(("", ""), {}, {}, [root])
    root.parent = holder
    steps = Steps()
    for operation in operations:
        found = operation.selector.nodes(_root(holder, operation), steps)
        if len(found) != 1:
            raise _unlocated(operation, len(found))
        _CARRY_OUT[operation.type](operation, found[0], holder)
    return written(_root(holder, operations[-1] if operations else None))


def _root(holder: Element, operation: Operation | None) -> Element:
    roots = [child for child in holder.children if isinstance(child, Element)]
    if len(roots) != 1 or len(holder.children) != 1:
        assert operation is not None
        raise _refused(operation, "a resource stands alone: nothing goes before, after or in place of it")
    return roots[0]


def _add(operation: Operation, node: Node, holder: Element) -> None:  # noqa: ARG001 (one signature for all)
    if operation.attribute:
        if not isinstance(node, Element):
            raise _refused(operation, "sel must name an element, which gets the attribute")
        if operation.attribute in node.attributes:
            raise _refused(operation, f"the attribute {operation.attribute} is there already; use replace")
        node.touch()
        node.attributes[operation.attribute] = _text(operation)
        return
    nodes = [_copied(child) for child in operation.content.children]
    if operation.place in ("", "prepend"):
        if not isinstance(node, Element):
            raise _refused(operation, "sel must name an element, which gets the content")
        node.insert(0 if operation.place else len(node.children), nodes)
        return
    if isinstance(node, Attribute):
        raise _refused(operation, "nothing stands before or after an attribute; use type")
    parent = _parent(node)
    parent.insert(parent.children.index(node) + (operation.place == "after"), nodes)


def _replace(operation: Operation, node: Node, holder: Element) -> None:  # noqa: ARG001
    if isinstance(node, Attribute):
        node.owner.touch()
        node.owner.attributes[node.name] = _text(operation)
        return
    nodes: list[Element | Leaf]
    if isinstance(node, Leaf) and node.kind == "text":
        nodes = [Leaf("text", _text(operation))] if operation.content.children else []
    else:
        nodes = [_copied(child) for child in operation.content.children if not _is_space(child)]
        if len(nodes) != 1 or _kind(nodes[0]) != _kind(node):
            raise _refused(operation, f"one {_kind(node)} is replaced by one {_kind(node)}")
    parent = _parent(node)
    index = parent.children.index(node)
    parent.remove(node)
    parent.insert(index, nodes)


def _remove(operation: Operation, node: Node, holder: Element) -> None:
    if isinstance(node, Attribute):
        node.owner.touch()
        del node.owner.attributes[node.name]
        _prune(node.owner, holder)
        return
    parent = _parent(node)
    if parent is holder:
        raise _refused(operation, "the resource itself can't be removed; send a DELETE")
    index = parent.children.index(node)
    sides = {"before": (index - 1,), "after": (index + 1,), "both": (index + 1, index - 1)}
    for side in sides.get(operation.spaces, ()):
        if 0 <= side < len(parent.children) and _is_space(parent.children[side]):
            parent.children.pop(side)
    parent.remove(node)
    _prune(parent, holder)


#: Each gets the operation, the node that it names, and what holds the root.
_CARRY_OUT = {"add": _add, "replace": _replace, "remove": _remove}


def _prune(element: Element, holder: Element) -> None:
    """Take elements of FHIR out that are empty now: FHIR has none, as it has no empty objects in JSON."""
    while not element.attributes and not element.children and element.name[0] == FHIR:
        parent = _parent(element)
        if parent is holder:
            return
        parent.remove(element)
        element = parent


def _parent(node: Element | Leaf) -> Element:
    assert node.parent is not None, "only the holder has no parent, and no selector names it"
    return node.parent


def _kind(node: Element | Leaf) -> str:
    return node.kind if isinstance(node, Leaf) else "element"


def _is_space(node: Element | Leaf) -> bool:
    return isinstance(node, Leaf) and node.kind == "text" and not node.text.strip(_SPACE)


def _text(operation: Operation) -> str:
    children = operation.content.children
    if any(not isinstance(child, Leaf) or child.kind != "text" for child in children):
        raise _refused(operation, "an attribute or a text is replaced by text")
    return operation.content.string()


def _copied(node: Element | Leaf) -> Element | Leaf:
    if isinstance(node, Leaf):
        return Leaf(node.kind, node.text, node.target)
    made = Element(node.name, dict(node.attributes), node.prefixes)
    made.children = [_copied(child) for child in node.children]
    for child in made.children:
        child.parent = made
    return made


def _unlocated(operation: Operation, count: int) -> FhirError:
    reason = f"sel must name one node, it names {count or 'none'}"
    if not count and FHIR not in operation.content.prefixes.values():
        reason += (
            f': declare the namespace of FHIR in the patch, for example xmlns:f="{FHIR}", and use its prefix'
        )
    return _refused(operation, reason)


def _refused(operation: Operation, reason: str) -> FhirError:
    return error("processing", f"{operation.where}: {reason}.")
