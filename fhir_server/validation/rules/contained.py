"""Resources inside resources: dispatch by resourceType, and the rules dom-2 to dom-5.

https://hl7.org/fhir/R4/references.html#contained
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import BundleIndex, Findings, Run

#: Images and links of narratives to contained resources.
_in_narrative = re.compile(r"""(?<==["'])#[A-Za-z0-9\-.]{1,64}(?=["'])""").findall

#: A text that is longer than this is no misspelt resource type.
_LONGEST_NAME = 64


def resource_type(value: Any, types: frozenset[str], run: Run) -> str | Findings:
    """Return the type of a resource, or what is wrong with its resourceType."""
    if type(value) is not dict or not value:
        return run.error(
            "structure", "The value must be a resource: an object with its resourceType.", "type@"
        )
    name = value.get("resourceType")
    if name is None:
        return run.error("required", "The resource has no resourceType: name its type.", "type@")
    if type(name) is not str or name not in types:
        near = (
            get_close_matches(name, types, 1, 0.7) if type(name) is str and len(name) <= _LONGEST_NAME else ()
        )
        text = "The resourceType must be the name of a resource type of R4."
        if near:
            text = say(
                "The resourceType must be the name of a resource type of R4: did you mean {near}?",
                near=near[0],
            )
        return run.error("structure", text, "type@")
    return name


#: Returns what checks a resource of a type: its base definition, or the profiles that it claims.
Choose = Callable[[dict[str, Any], str, Run], Handler]


def resource(types: frozenset[str], choose: Choose, *, is_contained: bool) -> Handler:
    """Return the handler of an element that holds a whole resource; ``%resource`` follows it."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        name = resource_type(value, types, run)
        if not isinstance(name, str):
            return name
        outer = (
            run.resource, run.root, run.contained, run.environment, run.is_conditional, run.element_ids,
            run.bundle, run.base,
        )  # fmt: skip
        run.resource = value
        run.environment = None
        run.element_ids = {}
        if not is_contained:
            run.root, run.contained = value, None
            run.base = base_url(parent, value)
        if name == "Bundle":
            run.is_conditional = holds_conditional_references(value)
            run.bundle = BundleIndex(value)
        try:
            return choose(value, name, run)(value, parent, run)
        finally:
            (
                run.resource,
                run.root,
                run.contained,
                run.environment,
                run.is_conditional,
                run.element_ids,
                run.bundle,
                run.base,
            ) = outer

    return handler


def base_url(entry: dict[str, Any], value: dict[str, Any]) -> str:
    """Return what comes before Type/id in the fullUrl of an entry, "" if it isn't a RESTful URL."""
    url = entry.get("fullUrl")
    tail = f"{value.get('resourceType')}/{value.get('id')}"
    return url[: -len(tail)] if type(url) is str and url.endswith("/" + tail) else ""


def holds_conditional_references(bundle: dict[str, Any]) -> bool:
    """Tell whether the entries of a Bundle may refer by search."""
    kind = bundle.get("type")
    return kind == "transaction" or kind == "batch"  # noqa: PLR1714 - it may be unhashable before validation


def contained_rules(node: dict[str, Any], run: Run) -> Findings | None:
    """Check dom-2 to dom-5 on a resource that has contained ones and is valid otherwise."""
    contained = node["contained"]
    found: Findings = []
    wanted: set[str] | None = None
    ids = set()
    for index, inner in enumerate(contained):
        path = f".contained[{index}]"
        meta = inner.get("meta", {})
        if "contained" in inner:
            text = "A contained resource must not contain others: move them to the outermost resource."
            found += run.error("invariant", text, "dom-2", path)
        if "versionId" in meta or "lastUpdated" in meta:
            text = "A contained resource must not have meta.versionId or meta.lastUpdated: remove them."
            found += run.error("invariant", text, "dom-4", path)
        if "security" in meta:
            text = "A contained resource must not have meta.security: label the outermost resource."
            found += run.error("invariant", text, "dom-5", path)
        if "id" in inner:
            if inner["id"] in ids:
                text = "The id of a contained resource must be the only one of its kind: choose another one."
                found += run.error("duplicate", text, "contained-id", f"{path}.id")
            ids.add(inner["id"])
            if wanted is None:
                wanted = set(_local_references(node))
            if "#" + inner["id"] not in wanted and "#" not in _local_references(inner):
                text = (
                    "The contained resource isn't referred to by #id from anywhere: refer to it or remove it."
                )
                found += run.error("invariant", text, "dom-3", path)
    return found or None


def _local_references(node: Any) -> Iterator[str]:
    """Yield all texts below a node that could refer to a contained resource or its container."""
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            waiting += value.values()
        elif type(value) is list:
            waiting += value
        elif type(value) is str:
            if value[:1] == "#":
                yield value
            elif value[:4] == "<div":
                yield from _in_narrative(value)
