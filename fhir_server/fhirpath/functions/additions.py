"""The functions that FHIR R4 adds: https://hl7.org/fhir/R4/fhirpath.html#functions."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.evaluation.items import Items, Node, children_named, is_primitive, system
from fhir_server.fhirpath.evaluation.run import Run, fail, single
from fhir_server.fhirpath.functions.strings import text
from fhir_server.fhirpath.functions.tables import Table, optional


def _extension(run: Run, source: Items, url: Items) -> Items:
    wanted = text(url, "extension()")
    return [
        extension
        for item in source
        for extension in children_named(item, "extension", run.types)
        if isinstance(extension.value, dict) and extension.value.get("url") == wanted
    ]


def _has_extension(run: Run, source: Items, url: Items) -> Items:
    return [bool(_extension(run, source, url))]


def _is_valued_primitive(run: Run, item: Any) -> bool:
    if not isinstance(item, Node):
        return True
    return item.value is not None and is_primitive(item.type, run.types)


def _has_value(run: Run, source: Items) -> Items:
    return [len(source) == 1 and _is_valued_primitive(run, source[0])]


def _get_value(run: Run, source: Items) -> Items:
    if len(source) != 1 or not _is_valued_primitive(run, source[0]):
        return []
    return optional(system(source[0]))


def _resolve(run: Run, source: Items) -> Items:
    found: Items = []
    for item in source:
        reference = (
            item.value.get("reference")
            if isinstance(item, Node) and item.type == "Reference"
            else system(item)
        )
        resource = _target(run, reference) if isinstance(reference, str) else None
        if resource is not None:
            found.append(Node(resource, str(resource.get("resourceType"))))
    return found


def _target(run: Run, reference: str) -> dict[str, Any] | None:
    env = run.env
    if reference.startswith("#"):
        container = env.root_resource or env.resource or {}
        if reference == "#":
            return container or None
        return next((c for c in container.get("contained", ()) if c.get("id") == reference[1:]), None)
    return env.resolver.resolve(reference, env) if env.resolver is not None else None


def _member_of(run: Run, source: Items, value_set: Items) -> Items:
    item, url = single(source, "memberOf()"), text(value_set, "memberOf()")
    if item is None or url is None or run.env.terminology is None:
        return []
    value, type_name = (item.value, item.type) if isinstance(item, Node) else (item, "string")
    return optional(run.env.terminology.member_of(value, type_name, url))


def _subsumption(run: Run, parent: Items, child: Items) -> Items:
    first, second = single(parent, "subsumes()"), single(child, "subsumes()")
    if run.env.terminology is None or not (isinstance(first, Node) and isinstance(second, Node)):
        return []
    answers = [
        run.env.terminology.subsumes(str(a["system"]), str(a["code"]), str(b["code"]))
        for a in _codings(first)
        for b in _codings(second)
        if a.get("system") == b.get("system") is not None and "code" in a and "code" in b
    ]
    if True in answers:
        return [True]
    return [] if None in answers or not answers else [False]


def _codings(node: Node) -> list[dict[str, Any]]:
    value = node.value or {}
    return list(value.get("coding", ())) if node.type == "CodeableConcept" else [value]


def _subsumed_by(run: Run, child: Items, parent: Items) -> Items:
    return _subsumption(run, parent, child)


def _conforms_to(run: Run, source: Items, profile: Items) -> Items:
    url = text(profile, "conformsTo()")
    if len(source) != 1 or url is None or run.env.conformance is None or not isinstance(source[0], Node):
        return []
    return optional(run.env.conformance.conforms_to(source[0].value, source[0].type, url))


def _html_checks(run: Run, source: Items) -> Items:
    div = text(source, "htmlChecks()")
    return [] if div is None or run.env.narratives is None else [run.env.narratives.html_checks(div)]


def _check_modifiers(run: Run, source: Items, *known: Items) -> Items:
    urls = {text(items, "checkModifiers()") for items in known}
    for item in source:
        for extension in children_named(item, "modifierExtension", run.types):
            url = extension.value.get("url")
            if url not in urls:
                raise fail(f"the modifier extension {url} is not understood")
    return source


def _unknown_definition(_run: Run, _source: Items, *_arguments: Items) -> Items:
    """Return nothing: definitions are no items of this engine."""
    return []


VALUES: Table = {
    "extension": (_extension, 1),
    "hasExtension": (_has_extension, 1),
    "hasValue": (_has_value, 0),
    "getValue": (_get_value, 0),
    "resolve": (_resolve, 0),
    "memberOf": (_member_of, 1),
    "subsumes": (_subsumption, 1),
    "subsumedBy": (_subsumed_by, 1),
    "conformsTo": (_conforms_to, 1),
    "htmlChecks": (_html_checks, 0),
    "checkModifiers": (_check_modifiers, tuple(range(21))),
    "elementDefinition": (_unknown_definition, 0),
    "slice": (_unknown_definition, 2),
}
