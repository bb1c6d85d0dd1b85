"""The search parameters of each resource type, with what is known of them before any resource is seen.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from datetime import UTC, tzinfo
from functools import cached_property, lru_cache
from typing import Any

from fhir_server.definitions import Definitions, TypeModel
from fhir_server.search.paths import Branch, branches
from fhir_server.search.search_parameter import (
    FULL_TEXT,
    Component,
    Custom,
    Parameter,
    TypeParameters,
)

#: Parameters that are unions of others; nothing is stored for them (the values stand in their parts).
UNIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("Observation", "combo-code"): ("code", "component-code"),
    ("Observation", "combo-data-absent-reason"): ("data-absent-reason", "component-data-absent-reason"),
    ("Observation", "combo-value-concept"): ("value-concept", "component-value-concept"),
    ("Observation", "combo-value-quantity"): ("value-quantity", "component-value-quantity"),
    ("Observation", "combo-code-value-concept"): ("code-value-concept", "component-code-value-concept"),
    ("Observation", "combo-code-value-quantity"): ("code-value-quantity", "component-code-value-quantity"),
}

#: Composites whose components name each other's expressions in the official package; in the order of the
#: definition, the expressions that the components' own parameters have.
_COMPONENT_EXPRESSIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("DocumentReference", "relationship"): ("target", "code"),
}

#: Known by name and refused: named queries; ``phonetic`` promises an algorithm that is not here.
_NOT_YET = frozenset({"_query", "phonetic"})

#: Types of search parameters that can be searched now; the others are known, and refused by name.
SEARCHABLE_TYPES = frozenset(
    {"composite", "date", "number", "quantity", "reference", "special", "string", "token", "uri"}
)


@dataclass(eq=False)
class Registry:
    """The search parameters of the definitions by resource type; a type is read when first asked for.

    ``zone`` is that of dates without offset, in resources and queries; ``without_content`` are the types that
    ``_content`` doesn't search. A change of either requires new index entries.
    """

    definitions: Definitions
    zone: tzinfo = UTC
    without_content: frozenset[str] = frozenset()
    _types: dict[str, TypeParameters] = dataclass_field(default_factory=dict, init=False, repr=False)
    _customs: dict[str, Custom] = dataclass_field(default_factory=dict, init=False, repr=False)

    def customize(self, customs: Sequence[Custom]) -> None:
        """Replace the parameters of this server's own; see ``search.customizing``, which also clears caches."""
        self._customs = {custom.definition["url"]: custom for custom in customs}
        self._types.clear()
        for name in ("_by_base", "_by_url"):
            vars(self).pop(name, None)

    @property
    def types(self) -> TypeModel:
        """The type model that the parameters' paths are read with."""
        return self.definitions.types

    def parameters(self, resource: str) -> TypeParameters:
        """Return the parameters of a resource type, ``Resource`` and ``DomainResource`` included.

        Raises KeyError when there is no such concrete type.
        """
        known = self._types.get(resource)
        if known is None:
            if resource not in self.definitions.types.resource_types:
                raise KeyError(resource)
            known = self._types[resource] = self._read(resource)
        return known

    @cached_property
    def _by_base(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for definition in self._definitions():
            for base in definition.get("base", ()):
                found.setdefault(base, []).append(definition)
        return found

    def compartment(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Return for each resource type the parameters that make it a member of a compartment."""
        return self._compartments.get(name, {})

    @cached_property
    def compartments(self) -> Mapping[str, str]:
        """The canonical URLs of the CompartmentDefinitions by the type that has the compartment."""
        return {
            d["code"]: d["url"] for d in sorted(self._compartment_definitions, key=lambda d: str(d["code"]))
        }

    @cached_property
    def common(self) -> frozenset[str]:
        """The names of the parameters that every resource type has."""
        return frozenset(definition["code"] for definition in self._by_base["Resource"])

    @cached_property
    def _compartments(self) -> dict[str, dict[str, tuple[str, ...]]]:
        return {
            definition["code"]: {r["code"]: tuple(r.get("param", ())) for r in definition["resource"]}
            for definition in self._compartment_definitions
        }

    @cached_property
    def _compartment_definitions(self) -> list[dict[str, Any]]:
        """The five compartments; the package also holds an example that calls itself Device."""
        return [d for d in self.definitions.compartments() if not d["url"].endswith("/example")]

    def _read(self, resource: str) -> TypeParameters:
        bases = ["Resource", resource]
        if self.types.is_subtype(resource, "DomainResource"):
            bases.insert(1, "DomainResource")
        found: dict[str, Parameter] = {}
        composites: dict[str, dict[str, Any]] = {}
        for base in bases:
            for definition in self._by_base.get(base, ()):
                if definition["type"] == "composite":
                    composites[definition["code"]] = definition
                    continue
                parameter = self._parameter(definition, resource)
                if parameter is not None and _is_better(parameter, found.get(parameter.name)):
                    found[parameter.name] = parameter
        home = _home(found)
        for name, parameter in list(found.items()):
            found[name] = _refined(parameter, found, home)
        for name, definition in composites.items():
            found[name] = self._composite(definition, resource, found)
        for name, parameter in list(found.items()):
            custom = self._customs.get(parameter.url)
            if custom is not None:
                found[name] = replace(
                    parameter,
                    is_custom=True,
                    searchable=parameter.searchable and custom.is_ready,
                    building=parameter.searchable and not custom.is_ready,
                )
        return TypeParameters(resource, found, home, self.compartment("Patient").get(resource, ()))

    @cached_property
    def _by_url(self) -> dict[str, dict[str, Any]]:
        return {definition["url"]: definition for definition in self._definitions()}

    def _definitions(self) -> list[dict[str, Any]]:
        customs = [dict(custom.definition) for custom in self._customs.values()]
        return [*self.definitions.search_parameters(), *customs]

    def is_core(self, url: str) -> bool:
        """Tell whether a SearchParameter is one of the package's own."""
        return url in self._core_urls

    @cached_property
    def _core_urls(self) -> frozenset[str]:
        return frozenset(definition["url"] for definition in self.definitions.search_parameters())

    def _composite(
        self, definition: dict[str, Any], resource: str, found: Mapping[str, Parameter]
    ) -> Parameter:
        """Return a composite with its components; one that can't be read is known and not searchable."""
        name = definition["code"]
        facts = {"url": definition["url"], "description": definition.get("description", "")}
        parts = UNIONS.get((resource, name), ())
        paths = branches(definition.get("expression", ""), resource, self.types)
        roots = {text.strip() for text in definition.get("expression", "").split("|")}
        if not paths and resource not in roots and not parts:
            return Parameter(name, "composite", resource, searchable=False, **facts)
        # What stands once in a resource needs no pairing: its components' own parameters do.
        inner = paths[0].type if paths and not parts and any(path.repeats for path in paths) else ""
        components = [
            self._component(number, part, inner, definition["code"], resource=resource, found=found)
            for number, part in enumerate(definition.get("component", ()))
        ]
        known = tuple(component for component in components if component is not None)
        return Parameter(
            name,
            "composite",
            resource,
            branches=(paths or ()) if inner else (),
            parts=parts,
            components=known,
            searchable=bool(known) and len(known) == len(components),
            **facts,
        )

    def _component(
        self,
        number: int,
        part: dict[str, Any],
        inner: str,
        composite: str,
        *,
        resource: str,
        found: Mapping[str, Parameter],
    ) -> Component | None:
        """Return a component as a parameter of the resource, or of the element ``inner``; None: unknown."""
        definition = self._by_url.get(part["definition"].partition("|")[0])
        if definition is None or definition["type"] not in SEARCHABLE_TYPES - {"composite"}:
            return None
        name = definition["code"]
        expressions = _COMPONENT_EXPRESSIONS.get((resource, composite))
        expression = expressions[number] if expressions else part["expression"]
        if not inner or expression.startswith("%resource"):
            parameter = found.get(name)
            return Component(name, parameter, is_inside=False) if parameter else None
        paths = branches(expression, inner, self.types)
        if not paths:
            return None
        parameter = Parameter(
            name,
            definition["type"],
            resource,
            branches=paths,
            targets=_targets(paths, definition) if definition["type"] == "reference" else (),
            member=f"c{number}",
        )
        return Component(name, parameter, is_inside=True)

    def _parameter(self, definition: dict[str, Any], resource: str) -> Parameter | None:
        """Return the parameter as it applies to a type, or None when it can't be read from the resource."""
        name, type_, url = definition["code"], definition["type"], definition["url"]
        facts = {"url": url, "description": definition.get("description", "")}
        expression = definition.get("expression", "")
        if type_ not in SEARCHABLE_TYPES or name in _NOT_YET:
            return Parameter(name, type_, resource, searchable=False, **facts)
        if name in FULL_TEXT:
            is_indexed = name == "_text" or resource not in self.without_content
            return Parameter(name, type_, resource, searchable=is_indexed, **facts)
        is_example = url not in self._customs and "xtension(" in expression
        if not expression or (is_example and "hasExtension" not in expression):
            return (
                None  # the package's examples of parameters on extensions name extensions that do not exist
            )
        paths = branches(expression, resource, self.types)
        if paths is None:
            targets = tuple(definition.get("target", ()))
            return Parameter(name, type_, resource, expression=expression, targets=targets, **facts)
        if not paths:
            return None
        return Parameter(name, type_, resource, branches=paths, targets=_targets(paths, definition), **facts)

    @lru_cache(maxsize=4096)  # noqa: B019 (one registry lives as long as the process)
    def is_case_sensitive(self, system: str) -> bool:
        """Tell whether a code system is known to be case-sensitive; unknown ones are not."""
        if system in _CASE_SENSITIVE:
            return True
        known = self.definitions.code_system(system) if system else None
        return known is not None and known.get("caseSensitive") is True

    @lru_cache(maxsize=4096)  # noqa: B019 (as above)
    def bound_systems(self, element: str) -> Mapping[str, str]:
        """Return the systems of the codes that an element of type code may have.

        ``{"": system}`` when its value set takes all codes from one system, ``{code: system}`` when it mixes
        several, empty when the element has no binding.
        """
        structure = self.definitions.structure(element.partition(".")[0]) or {}
        for candidate in structure.get("snapshot", {}).get("element", ()):
            if candidate["path"] == element:
                value_set = self.definitions.value_set(candidate.get("binding", {}).get("valueSet", "")) or {}
                return self._systems(value_set)
        return {}

    def _systems(self, value_set: dict[str, Any]) -> Mapping[str, str]:
        includes = value_set.get("compose", {}).get("include", [])
        systems = {include["system"] for include in includes if "system" in include}
        if len(systems) == 1:
            return {"": systems.pop()}
        found: dict[str, str] = {}
        for include in includes:
            system = include.get("system", "")
            concepts = include.get("concept") or (self.definitions.code_system(system) or {}).get(
                "concept", []
            )
            found.update(dict.fromkeys(_codes(concepts), system))
        return found


#: Code systems without a CodeSystem resource in the package whose rules say that case matters.
_CASE_SENSITIVE = frozenset({"http://unitsofmeasure.org", "urn:ietf:rfc:3986"})


def _codes(concepts: list[dict[str, Any]]) -> list[str]:
    found = []
    for concept in concepts:
        found.append(concept["code"])
        found += _codes(concept.get("concept", []))
    return found


def _is_better(parameter: Parameter, known: Parameter | None) -> bool:
    """Of two parameters with one name, the type's own definition wins over an example or an extension's."""
    if parameter.url.endswith("/example"):
        return False
    return known is None or "-extensions-" in known.url


def _targets(paths: tuple[Branch, ...], definition: dict[str, Any]) -> tuple[str, ...]:
    found = {target for branch in paths for target in branch.targets}
    if "Resource" in found or not found:
        found = set(definition.get("target", ()))
    return tuple(sorted(found))


def _home(found: Mapping[str, Parameter]) -> tuple[Branch, ...]:
    """Return the paths that name the patient whom a resource is about."""
    for name in ("patient", "subject"):
        parameter = found.get(name)
        if parameter is not None and parameter.type == "reference" and "Patient" in parameter.targets:
            return parameter.branches
    return ()


def _refined(parameter: Parameter, found: Mapping[str, Parameter], home: tuple[Branch, ...]) -> Parameter:
    """Return the parameter with the facts that follow from its neighbours."""
    paths = {branch.keys for branch in home}
    at_home = (
        parameter.type == "reference"
        and bool(parameter.branches)
        and not parameter.repeats
        and all(branch.keys in paths and branch.resolves in {"", "Patient"} for branch in parameter.branches)
    )
    is_contact = parameter.name in {"phone", "email"} and "telecom" in found
    return replace(
        parameter,
        parts=UNIONS.get((parameter.resource, parameter.name), ()),
        contact=parameter.name if is_contact else "",
        at_home=at_home,
    )
