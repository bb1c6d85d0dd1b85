"""From a resource to its index entries: one generated function per type, with one walk for all parameters.

The shapes of the entries belong to the parameter types; here they are only gathered and stored as the shape
rules of the document say (one value: a scalar, several: an array; intervals: an array exactly if the path
repeats).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.definitions import TypeModel
from fhir_server.fhirpath import compile_extraction
from fhir_server.search.containment import add_contained
from fhir_server.search.entries import IndexEntries
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.parameters import TYPES, Output, full_text
from fhir_server.search.parameters.reference import local
from fhir_server.search.paths import Branch, Step
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import ON_DOCUMENT, Parameter

#: Where the stored document of a Binary (in ``x``) has the ``Type/id`` that stands for it when access is decided.
SECURITY_CONTEXT = "security-context"

Extract = Callable[[dict[str, Any], str], IndexEntries]


class Indexer:
    """Makes the index entries of resources; a type's function is generated when first needed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._extract: dict[str, Extract] = {}

    def forget(self) -> None:
        """Generate all functions anew: the registry's parameters have changed."""
        self._extract.clear()

    def entries(self, resource: dict[str, Any], base: str) -> IndexEntries:
        """Return the entries of a valid resource that has its id.

        ``base`` is this server's base URL: absolute references below it are stored like relative ones.
        Raises KeyError for an unknown resource type; a resource that is not valid may raise other errors.
        """
        type_ = resource["resourceType"]
        extract = self._extract.get(type_)
        if extract is None:
            extract = self._extract[type_] = compile_type(self._registry, type_)
        found = extract(resource, base)
        if "securityContext" in resource:  # only Binary has one
            found = _within(found, resource["securityContext"], base)
        full_text.add(found, resource, of_content=type_ not in self._registry.without_content)
        if "contained" in resource or type_ == "Bundle":
            add_contained(found, resource, base, self._registry, self.entries)
        return found


def compile_type(registry: Registry, type_: str) -> Extract:
    """Return the function that makes the entries of one type; its text is in ``__source__``."""
    writer = _Writer(registry, type_)
    source = writer.write()
    scope = writer.scope
    exec(compile(source, f"<index of {type_}>", "exec"), scope)  # noqa: S102 (made here, of names from definitions)
    extract: Extract = scope["extract"]
    vars(extract)["__source__"] = source
    return extract


@dataclass
class _Node:
    """A JSON property where values are, or on the way there."""

    step: Step
    children: dict[Step, _Node] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)


class _Writer:
    def __init__(self, registry: Registry, type_: str) -> None:
        self.registry = registry
        self.types: TypeModel = registry.types
        self.type = type_
        self.known = registry.parameters(type_)
        self.scope: dict[str, Any] = {
            "IndexEntries": IndexEntries,
            "distinct": _distinct,
            "home": _home,
            "others": _others,
            "points_to": _points_to,
        }
        self.root = _Node(Step("", False))
        self.lists: dict[tuple[str, str], str] = {}
        self.stored: list[tuple[str, Parameter, Output]] = []
        self.fallbacks: list[str] = []

    def write(self) -> str:
        """Return the source of the type's function."""
        for name in sorted(self.known.by_name):
            parameter = self.known.by_name[name]
            if (
                (parameter.searchable or parameter.building)
                and parameter.is_stored
                and name not in ON_DOCUMENT
            ):
                self._add(parameter)
        for branch in self.known.home:
            self._reach(branch).calls.append((branch.resolves, "home(@, base, homes)"))
        lines = ["def extract(resource, base):", "    get = resource.get", "    sink = []", "    homes = []"]
        lines += [f"    {name} = []" for name in self.lists.values()]
        for child in self.root.children.values():
            lines += [f"    v = get({child.step.key!r})", "    if v is not None:"]
            lines += _indented(self._emit(child, "v", 0), 2)
        lines += [f"    {call}" for call in self.fallbacks]
        lines += ["    i = {}", "    x = {}"]
        for name, parameter, output in self.stored:
            key = parameter.name + output.suffix
            condition = name
            if output.if_other:
                condition += (
                    f" and {name} != {self.lists[parameter.name, TYPES[parameter.type].outputs[0].place]}"
                )
            lines += [
                f"    if {condition}:",
                f"        {output.place}[{key!r}] = {_shape(name, parameter, output)}",
            ]
        lines += self._ending()
        return "\n".join(lines) + "\n"

    def _add(self, parameter: Parameter) -> None:
        type_ = TYPES[parameter.type]
        arguments = ["@", "base"]
        for output in type_.outputs:
            if output.for_types and parameter.types and not output.for_types & parameter.types:
                arguments.append("sink")
                continue
            name = f"f{len(self.lists)}"
            self.lists[parameter.name, output.place + output.suffix] = name
            self.stored.append((name, parameter, output))
            arguments.append(name)
        if not parameter.branches:
            self._add_fallback(parameter, arguments)
        for branch in parameter.branches:
            converter = type_.convert(branch.type, branch.element, parameter, self.registry)
            if converter is not None:
                name = f"c{len(self.scope)}"
                self.scope[name] = converter
                self._reach(branch).calls.append((branch.resolves, f"{name}({', '.join(arguments)})"))

    def _add_fallback(self, parameter: Parameter, arguments: list[str]) -> None:
        evaluate = compile_extraction(parameter.expression, self.type, self.types)
        convert = TYPES[parameter.type].convert

        def extract(resource: dict[str, Any], base: str, *outputs: list[Any]) -> None:
            for type_, value in evaluate(resource):
                converter = convert(type_, "", parameter, self.registry)
                if converter is not None:
                    converter(value, base, *outputs)

        name = f"e{len(self.scope)}"
        self.scope[name] = extract
        self.fallbacks.append(f"{name}({', '.join(['resource', *arguments[1:]])})")

    def _reach(self, branch: Branch) -> _Node:
        node = self.root
        for step in branch.steps:
            node = node.children.setdefault(step, _Node(step))
        return node

    def _emit(self, node: _Node, variable: str, depth: int) -> list[str]:
        """Return the lines that read one property whose value is in ``variable``, not None."""
        lines: list[str] = []
        level = 0
        if node.step.is_list:
            lines += [f"for w{depth} in {variable}:", f"    if w{depth} is not None:"]
            variable, level = f"w{depth}", 2
        inner: list[str] = []
        for resolves, call in node.calls:
            text = call.replace("@", variable)
            inner += [f"if points_to({variable}, {resolves!r}):", f"    {text}"] if resolves else [text]
        for child in node.children.values():
            name = f"v{depth + 1}"
            inner += [f"{name} = {variable}.get({child.step.key!r})", f"if {name} is not None:"]
            inner += _indented(self._emit(child, name, depth + 1), 1)
        if node.step.equals:
            member, text = node.step.equals
            inner = [f"if {variable}.get({member!r}) == {text!r}:", *_indented(inner, 1)]
        return lines + _indented(inner, level)

    def _ending(self) -> list[str]:
        patient = "get('id')" if self.type == "Patient" else "homes[0] if len(set(homes)) == 1 else None"
        lines = [f"    p = {patient}"]
        fields = [self.lists[name, "i"] for name in self.known.compartment if (name, "i") in self.lists]
        # A reference to several patients (Appointment) has no home: all of them are members of the
        # compartment.
        homes = "() if p else homes" if self.known.home else "()"
        lines.append(f"    cp = others(p, {homes}, {''.join(name + ', ' for name in fields)})")
        lines.append("    s = None")
        for number, name in enumerate(MAIN_DATES.get(self.type, ())):
            values = self.lists.get((name, "i"))
            if values:
                lines.append(f"    {'el' if number else ''}if {values}:")
                lines.append(f"        s = max([d['h'] for d in {values}])")
        return [*lines, "    return IndexEntries(p, cp, s, i, x)"]


def _indented(lines: list[str], levels: int) -> list[str]:
    return ["    " * levels + line for line in lines]


def _shape(name: str, parameter: Parameter, output: Output) -> str:
    if output.is_static:
        return name if parameter.repeats else f"{name}[0]"
    return f"{name}[0] if len({name}) == 1 else distinct({name})"


def _distinct(values: list[Any]) -> Any:
    """Return the distinct values, a scalar when there is one."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else found


def _home(value: dict[str, Any], base: str, homes: list[str]) -> None:
    reference = value.get("reference")
    if reference:
        entry = local(reference, base)
        if entry and entry.startswith("Patient/"):
            homes.append(entry[8:])


def _within(found: IndexEntries, context: dict[str, Any], base: str) -> IndexEntries:
    """Return the entries with what access is decided by: a patient as home, anything else by its reference.

    https://hl7.org/fhir/R4/binary-definitions.html#Binary.securityContext
    """
    entry = local(context.get("reference") or "", base)
    if not entry:
        return found
    patient = entry[8:] if entry.startswith("Patient/") else found.patient
    return replace(found, patient=patient, raw={**found.raw, SECURITY_CONTEXT: entry})


def _others(home: str | None, homes: list[str], *fields: list[str]) -> tuple[str, ...]:
    """Return the references to patients other than the home patient, sorted."""
    found = {entry for values in fields for entry in values if entry.startswith("Patient/")}
    found.update(f"Patient/{id_}" for id_ in homes)
    found.discard(f"Patient/{home}")
    return tuple(sorted(found)) if found else ()


def _points_to(value: dict[str, Any], type_: str) -> bool:
    """Tell from its text whether a reference points to a type (``resolve() is X`` without reading X)."""
    reference = value.get("reference")
    if not reference:
        return value.get("type") == type_
    parts: list[str] = reference.partition("/_history/")[0].rsplit("/", 2)
    return (len(parts) > 1 and parts[-2] == type_) or value.get("type") == type_
