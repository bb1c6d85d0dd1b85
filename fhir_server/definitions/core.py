"""Definitions by canonical URL: those of R4 core from the artefact in the wheel, and those added to them.

https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from fhir_server.definitions.artefact import SINGLE, Artefact, trim
from fhir_server.definitions.typemodel import TypeModel

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


#: The kinds of definitions that can be added.
ADDABLE = ("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "Questionnaire")
#: Those of which nothing but the narrative is dropped: operations give them back.
_WHOLE = frozenset({"ValueSet", "CodeSystem", "ConceptMap", "Questionnaire"})


class Definitions:
    """Conformance resources of the core package, decoded when asked for and not kept, and of others.

    ``url`` arguments may carry ``|version``. Without it the highest version is meant; where that version isn't there,
    another one is returned unless the caller wants the ``exact`` one. R4's own types can't be replaced.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._artefact = Artefact(path or Path(__file__).with_name("r4.artefact"))
        #: Package and version, ``hl7.fhir.r4.core#4.0.1``.
        self.package = self._artefact.package

        self._added: dict[str, dict[str, dict[str, dict[str, Any]]]] = {kind: {} for kind in ADDABLE}
        #: Grows with every change, so that who keeps something made of definitions knows when to drop it.
        self.generation = 0

    @cached_property
    def types(self) -> TypeModel:
        """The type model of R4."""
        return TypeModel(self._artefact.group("types"))

    def structure(self, url: str, *, exact: bool = False) -> dict[str, Any] | None:
        """Return a StructureDefinition by URL or by the name of a base type, or None."""
        if "/" not in url and ":" not in url:
            return self._artefact.resource("StructureDefinition", _STRUCTURE + url.partition("|")[0])
        return self._find("StructureDefinition", url, exact=exact)

    def value_set(self, url: str) -> dict[str, Any] | None:
        """Return a ValueSet (url, version, compose) by URL, or None."""
        return self._find("ValueSet", url, exact=False)

    def code_system(self, url: str) -> dict[str, Any] | None:
        """Return a CodeSystem (content, caseSensitive, concept tree) by URL, or None."""
        return self._find("CodeSystem", url, exact=False)

    def questionnaire(self, url: str) -> dict[str, Any] | None:
        """Return a Questionnaire by URL, or None."""
        return self._find("Questionnaire", url, exact=False)

    def add(self, resource: dict[str, Any]) -> bool:
        """Add a StructureDefinition, ValueSet, CodeSystem, ConceptMap or Questionnaire beside other versions of it.

        One of the same version is replaced.

        Returns whether it was taken: what has no url, and R4's own types, aren't.
        """
        kind, url = resource.get("resourceType", ""), resource.get("url")
        if kind not in self._added or not isinstance(url, str) or not url:
            return False
        if kind == "StructureDefinition" and (
            resource.get("derivation") != "constraint" or not isinstance(resource.get("type"), str)
        ):
            return False
        if kind in _WHOLE:
            trimmed = {name: value for name, value in resource.items() if name != "text"}
        else:
            trimmed = trim(resource)
        if kind == "StructureDefinition" and not resource.get("snapshot", {}).get("element"):
            trimmed["differential"] = resource.get("differential", {})
        self._added[kind].setdefault(url, {})[str(resource.get("version", ""))] = trimmed
        self.generation += 1
        return True

    def remove(self, kind: str, url: str, version: str = "") -> None:
        """Take out a definition that was added; nothing happens if it isn't there."""
        versions = self._added[kind].get(url, {})
        if versions.pop(version, None) is not None:
            self.generation += 1
        if not versions:
            self._added[kind].pop(url, None)

    def added(self) -> Iterator[dict[str, Any]]:
        """Yield the definitions that were added."""
        for by_url in self._added.values():
            for versions in by_url.values():
                yield from versions.values()

    def profiles(self) -> list[str]:
        """Return the canonical URLs of all profiles and extensions, R4's own first."""
        own = self.urls_of("StructureDefinition")
        found = [u for u in own if (self.structure(u) or {}).get("derivation") == "constraint"]
        return [*found, *self._added["StructureDefinition"]]

    def urls_of(self, kind: str) -> list[str]:
        """Return the URLs of R4's own resources of a kind (StructureDefinition, ValueSet, CodeSystem)."""
        return self._artefact.urls(kind)

    def all_of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the definitions of a kind that were added."""
        for versions in self._added[kind].values():
            yield from versions.values()

    def versions_of(self, kind: str, url: str) -> dict[str, dict[str, Any]]:
        """Return all definitions of a kind (one of ADDABLE) and URL by their version ("" if they have none)."""
        known = dict(self._added[kind].get(url, {}))
        core = self._artefact.resource(kind, url) if kind in SINGLE else None
        if core is not None:
            known.setdefault(str(core.get("version", "")), core)
        return known

    def _find(self, kind: str, canonical: str, *, exact: bool) -> dict[str, Any] | None:
        url, _, version = canonical.partition("|")
        known = self.versions_of(kind, url)
        if not known:
            return None
        if len(known) == 1 and not exact:
            return next(iter(known.values()))
        if version:
            for name, resource in known.items():
                if _is_version(name, version):
                    return resource
            if exact:
                return None
        return known[max(known, key=version_order)]

    def search_parameters(self) -> list[dict[str, Any]]:
        """Return all SearchParameter resources of the package."""
        found: list[dict[str, Any]] = self._artefact.group("SearchParameter")
        return found

    def compartments(self) -> list[dict[str, Any]]:
        """Return the CompartmentDefinition resources (Patient, Encounter, Practitioner, Device, RelatedPerson)."""
        found: list[dict[str, Any]] = self._artefact.group("CompartmentDefinition")
        return found

    def operations(self) -> list[dict[str, Any]]:
        """Return the OperationDefinition resources of the package."""
        found: list[dict[str, Any]] = self._artefact.group("OperationDefinition")
        return found


def _is_version(actual: str, wanted: str) -> bool:
    """Tell whether a version is the one that a canonical names: the same, or one of the same major.minor."""
    return actual == wanted or (wanted.count(".") < 2 and actual.startswith(wanted + "."))


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return what versions are sorted by: numbers as numbers, a release after its previews."""
    release, _, preview = version.partition("-")
    parts = [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"[.+]", release)]
    return (*parts, (0, 0, preview) if preview else (0, 1, ""))
