"""Where a resource holds links: its References, its values of type uri and url, and its narrative.

One table per type, made from the type model when the first resource of the type comes. The walk takes resources that
have not been validated: what has not the form that R4 gives it is passed over.
https://hl7.org/fhir/R4/references.html, https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from xml.sax.saxutils import escape, unescape

from fhir_server.definitions import TypeModel

_LINK = re.compile(r"""((?:href|src)\s*=\s*)(?:"([^"<]*)"|'([^'<]*)')""")
_QUOTES = {'"': "&quot;", "'": "&apos;"}
_UNQUOTES = {"&quot;": '"', "&apos;": "'"}


class Kind(Enum):
    """What a JSON property holds."""

    REFERENCE = 1
    LINK = 2
    NARRATIVE = 3
    RESOURCE = 4
    NODE = 5


Plan = Mapping[str, tuple[Kind, str]]


class Links:
    """Knows the links of every type; safe to share."""

    def __init__(self, types: TypeModel) -> None:
        self._types = types
        self._plans: dict[str, Plan] = {}

    def references(self, resource: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the Reference objects of a resource that have a literal reference, contained ones included."""
        found: list[dict[str, Any]] = []
        self._walk(resource, self._plan_of(resource), found, None)
        return found

    def rewrite(self, resource: dict[str, Any], resolve: Callable[[str], str | None]) -> list[dict[str, Any]]:
        """Replace in place every link for which ``resolve`` returns another text; return the References.

        Values of type canonical, oid and uuid stay: R4 excludes the first, and ``Type/id`` is no value of the others.
        """
        found: list[dict[str, Any]] = []
        self._walk(resource, self._plan_of(resource), found, resolve)
        for reference in found:
            new = resolve(reference["reference"])
            if new is not None:
                reference["reference"] = new
        return found

    def _plan_of(self, resource: dict[str, Any]) -> Plan:
        name = resource.get("resourceType")
        # The links in a Bundle are about its own fullUrls.
        is_known = isinstance(name, str) and name in self._types.resource_type_names and name != "Bundle"
        return self._plan(str(name)) if is_known else {}

    def _plan(self, name: str) -> Plan:
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = self._made(name)
        return plan

    def _made(self, name: str) -> dict[str, tuple[Kind, str]]:
        info = self._types.type(name)
        plan: dict[str, tuple[Kind, str]] = {}
        for key, (_, type_) in info.json_elements.items() if info else ():
            inner = self._types.type(type_)
            if type_ == "Reference":
                plan[key] = (Kind.REFERENCE, type_)
            elif type_ in ("uri", "url"):
                plan[key] = (Kind.LINK, type_)
            elif type_ == "xhtml":
                plan[key] = (Kind.NARRATIVE, type_)
            elif type_ == "Resource":
                plan[key] = (Kind.RESOURCE, type_)
            elif inner is not None and inner.kind != "primitive-type" and type_[:1].isupper():
                plan[key] = (Kind.NODE, type_)
            if inner is None or inner.kind == "primitive-type" or type_[:1].islower():
                plan["_" + key] = (Kind.NODE, "Element")
        return plan

    def _walk(
        self,
        node: dict[str, Any],
        plan: Plan,
        found: list[dict[str, Any]],
        resolve: Callable[[str], str | None] | None,
    ) -> None:
        for key, value in node.items():
            step = plan.get(key)
            if step is None:
                continue
            kind, name = step
            if kind is Kind.LINK:
                if resolve is not None:
                    node[key] = _resolved(value, resolve)
            elif kind is Kind.NARRATIVE:
                if resolve is not None and isinstance(value, str):
                    node[key] = rewritten_narrative(value, resolve)
            else:
                for item in value if type(value) is list else (value,):
                    if type(item) is not dict:
                        continue
                    if kind is Kind.REFERENCE:
                        if isinstance(item.get("reference"), str):
                            found.append(item)
                        if len(item) == 1:
                            continue
                    inner = self._plan_of(item) if kind is Kind.RESOURCE else self._plan(name)
                    self._walk(item, inner, found, resolve)


def _resolved(value: Any, resolve: Callable[[str], str | None]) -> Any:
    if type(value) is str:
        return resolve(value) or value
    if type(value) is list:
        return [_resolved(item, resolve) if type(item) is str else item for item in value]
    return value


def rewritten_narrative(div: str, resolve: Callable[[str], str | None]) -> str:
    """Return the XHTML with the targets of ``<a href>`` and ``<img src>`` replaced where ``resolve`` says so."""

    def replaced(match: re.Match[str]) -> str:
        text = match[2] if match[2] is not None else match[3]
        new = resolve(unescape(text, _UNQUOTES))
        return match[0] if new is None else f'{match[1]}"{escape(new, _QUOTES)}"'

    return _LINK.sub(replaced, div)


def place_of(resource: Any, wanted: dict[str, Any], path: str) -> str:
    """Return the FHIRPath of an object inside a resource, or "" when it is not there; ``path`` is the resource's."""
    if resource is wanted:
        return path
    children = (
        ((f"{path}.{key}", value) for key, value in resource.items())
        if isinstance(resource, dict)
        else ((f"{path}[{index}]", value) for index, value in enumerate(resource))
        if isinstance(resource, list)
        else ()
    )
    for place, child in children:
        if isinstance(child, (dict, list)) and (found := place_of(child, wanted, place)):
            return found
    return ""
