"""The R4 core definitions by canonical URL, read from the artefact in the wheel.

https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from fhir_server.definitions.artefact import Artefact
from fhir_server.definitions.typemodel import TypeModel

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


class Definitions:
    """Conformance resources of the core package; each is decoded when asked for and not kept.

    ``url`` arguments may carry ``|version``; R4 core has one version of everything, so the version is ignored here.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._artefact = Artefact(path or Path(__file__).with_name("r4.artefact"))
        #: Package and version, ``hl7.fhir.r4.core#4.0.1``.
        self.package = self._artefact.package

    @cached_property
    def types(self) -> TypeModel:
        """The type model of R4."""
        return TypeModel(self._artefact.group("types"))

    def structure(self, url: str) -> dict[str, Any] | None:
        """Return a StructureDefinition by URL or by the name of a base type, or None."""
        if "/" not in url:
            url = _STRUCTURE + url
        return self._artefact.resource("StructureDefinition", url.partition("|")[0])

    def value_set(self, url: str) -> dict[str, Any] | None:
        """Return a ValueSet (url, version, compose) by URL, or None."""
        return self._artefact.resource("ValueSet", url.partition("|")[0])

    def code_system(self, url: str) -> dict[str, Any] | None:
        """Return a CodeSystem (content, caseSensitive, concept tree) by URL, or None."""
        return self._artefact.resource("CodeSystem", url.partition("|")[0])

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
