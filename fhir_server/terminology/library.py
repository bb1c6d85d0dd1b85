"""Library: every code system, value set and concept map at hand, by URL and version.

What a request brings (contained and ``tx-resource``) comes first, then definitions and stored resources, then imported
code systems, then those that a rule tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from fhir_server.definitions.core import version_order
from fhir_server.terminology.code_system import CodeSystem, ListedSystem
from fhir_server.terminology.implicit_value_sets import implicit, of_system
from fhir_server.terminology.imported_system import Answers, ConceptCache, ImportedSystem
from fhir_server.terminology.rule_systems import RULE_SYSTEMS
from fhir_server.terminology.versions import VersionRules, chosen

#: What a CodeSystem's content may be for its concepts to be read.
_WITH_CONCEPTS = frozenset({"complete", "fragment", "example"})
#: URLs whose resources are kept decoded.
_KEPT = 2_000


class Sources(Protocol):
    """Where terminology resources are found; ``Definitions`` is one."""

    #: Grows with every change.
    generation: int

    def versions_of(self, kind: str, url: str) -> Mapping[str, dict[str, Any]]:
        """Return the resources of a kind (CodeSystem, ValueSet, ConceptMap) and URL, by version."""

    def urls_of(self, kind: str) -> Iterable[str]:
        """Return the URLs of R4's own resources of a kind."""

    def all_of(self, kind: str) -> Iterable[dict[str, Any]]:
        """Return all resources of a kind that were added to R4's own."""


@dataclass(slots=True)
class Imported:
    """The imported code systems: header and key by URL and version; and what is remembered of their concepts."""

    systems: dict[str, dict[str, tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    concepts: ConceptCache = field(default_factory=ConceptCache)


class Shelf:
    """Code systems that were read, kept for all requests until the definitions change."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.imported = Imported()
        self._read: dict[tuple[str, str, tuple[str, ...]], CodeSystem] = {}
        #: What was chosen for a URL and version, False for nothing.
        self.places: dict[tuple[str, str, bool, tuple[str, ...]], CodeSystem | Literal[False]] = {}
        self._sets: dict[str, dict[str, Any]] | None = None
        self._resources: dict[tuple[str, str], Mapping[str, dict[str, Any]]] = {}
        self._generation = sources.generation

    def check(self) -> None:
        """Drop what was read if the definitions changed since."""
        if self._generation != self.sources.generation:
            self.forget()

    def forget(self) -> None:
        """Drop what was read."""
        self._generation = self.sources.generation
        self.places.clear()
        self._read.clear()
        self._resources.clear()
        self._sets = None

    def versions_of(self, kind: str, url: str) -> Mapping[str, dict[str, Any]]:
        """Return the resources of a kind and URL by version, decoded once."""
        found = self._resources.get((kind, url))
        if found is None:
            if len(self._resources) >= _KEPT:  # clients may ask for any URL
                self._resources.clear()
            found = self._resources[kind, url] = self.sources.versions_of(kind, url)
        return found

    def listed(self, resource: dict[str, Any], supplements: Sequence[dict[str, Any]]) -> CodeSystem:
        """Return a code system of the definitions, read once."""
        key = (resource["url"], str(resource.get("version", "")), tuple(one["url"] for one in supplements))
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = ListedSystem(resource, supplements)
        return found

    def urls(self) -> set[str]:
        """Return the URLs of all code systems of which concepts are known."""
        added = {
            str(r["url"]) for r in self.sources.all_of("CodeSystem") if r.get("content") in _WITH_CONCEPTS
        }
        return {*self.sources.urls_of("CodeSystem"), *added, *self.imported.systems, *RULE_SYSTEMS}

    def added_versions(self, url: str) -> list[str]:
        """Return the versions of a code system that was added or imported, the highest first."""
        added = {
            str(r.get("version", ""))
            for r in self.sources.all_of("CodeSystem")
            if r["url"] == url and r.get("content") in _WITH_CONCEPTS
        }
        return sorted({*added, *self.imported.systems.get(url, {})}, key=version_order, reverse=True)

    def of_all_codes(self, url: str) -> dict[str, Any] | None:
        """Return the value set that a code system names as that of all its codes."""
        if self._sets is None:
            self._sets = {
                system["valueSet"].partition("|")[0]: of_system(system["valueSet"], system["url"])
                for system in self.sources.all_of("CodeSystem")
                if isinstance(system.get("valueSet"), str)
            }
        return self._sets.get(url)


@dataclass(frozen=True, slots=True)
class Library:
    """What one request can see.

    ``lenient``: a version that isn't here is replaced by the highest one that is, as validation wants it.
    """

    shelf: Shelf
    resources: tuple[dict[str, Any], ...] = ()
    answers: Answers = field(default_factory=dict)
    rules: VersionRules = field(default_factory=VersionRules)
    supplements: tuple[str, ...] = ()
    lenient: bool = False

    def _all(self, kind: str, url: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a kind and URL by version; those of the request first."""
        found = dict(self.shelf.versions_of(kind, url))
        for resource in self.resources:
            if resource.get("resourceType") == kind and resource.get("url") == url:
                found[str(resource.get("version", ""))] = resource
        return found

    def versions(self, url: str) -> list[str]:
        """Return the versions of a code system that are here."""
        listed = [v for v, r in self._all("CodeSystem", url).items() if r.get("content") in _WITH_CONCEPTS]
        return [*listed, *self.shelf.imported.systems.get(url, {})]

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system with concepts; None when it isn't here in this version ("": the highest)."""
        if self.resources:
            return self._system(url, version)
        places, key = self.shelf.places, (url, version, self.lenient, self.supplements)
        place = places.get(key)
        if place is None:
            if len(places) >= _KEPT:
                places.clear()
            place = places[key] = self._system(url, version) or False
        if isinstance(place, ImportedSystem):
            return ImportedSystem(place.key, place.header, self.shelf.imported.concepts, self.answers)
        return place or None

    def _system(self, url: str, version: str) -> CodeSystem | None:
        listed = {v: r for v, r in self._all("CodeSystem", url).items() if r.get("content") in _WITH_CONCEPTS}
        imported = self.shelf.imported.systems.get(url, {})
        known = [*listed, *imported]
        found = chosen(known, version)
        if found is None and self.lenient:
            found = chosen(known, "")
        if found is None:
            return RULE_SYSTEMS.get(url) if not version or self.lenient else None
        if found in imported:
            key, header = imported[found]
            return ImportedSystem(key, header, self.shelf.imported.concepts, self.answers)
        resource = listed[found]
        more = self._supplements(url)
        if any(resource is own for own in self.resources) or any(
            one is own for own in self.resources for one in more
        ):
            return ListedSystem(resource, more)
        return self.shelf.listed(resource, more)

    def _supplements(self, url: str) -> list[dict[str, Any]]:
        """Return the supplements of a system that the request or the value set wants."""
        return [found for found in map(self.supplement, self.supplements) if found is not None
                and str(found.get("supplements", "")).partition("|")[0] == url]  # fmt: skip

    def supplement(self, canonical: str) -> dict[str, Any] | None:
        """Return a supplement by its URL."""
        url, _, version = canonical.partition("|")
        found = {v: r for v, r in self._all("CodeSystem", url).items() if r.get("content") == "supplement"}
        name = chosen(found, version)
        return None if name is None else found[name]

    def code_system(self, url: str, version: str = "") -> dict[str, Any] | None:
        """Return the CodeSystem resource itself, whatever it holds."""
        found = self._all("CodeSystem", url)
        name = chosen(found, version)
        return None if name is None else found[name]

    def value_set(self, canonical: str) -> dict[str, Any] | None:
        """Return a ValueSet by canonical URL; None when it isn't here."""
        url, _, version = canonical.partition("|")
        found = self._all("ValueSet", url)
        name = chosen(found, version or self.rules.value_set.get(url, ""))
        if name is None and self.lenient:
            name = chosen(found, "")
        if name is not None:
            return found[name]
        return self.shelf.of_all_codes(url) or implicit(url)

    def concept_maps(self) -> Iterable[dict[str, Any]]:
        """Return all ConceptMaps."""
        yield from (r for r in self.resources if r.get("resourceType") == "ConceptMap")
        yield from self.shelf.sources.all_of("ConceptMap")

    def concept_map(self, canonical: str) -> dict[str, Any] | None:
        """Return a ConceptMap by canonical URL; None when it isn't here."""
        url, _, version = canonical.partition("|")
        found = self._all("ConceptMap", url)
        name = chosen(found, version)
        return None if name is None else found[name]


def with_supplements(library: Library, supplements: tuple[str, ...]) -> Library:
    """Return the library in which code systems have these supplements."""
    return replace(library, supplements=supplements) if supplements else library
