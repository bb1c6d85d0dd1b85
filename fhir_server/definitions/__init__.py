"""Conformance resources by canonical URL, and the type model; see README.md."""

from fhir_server.definitions.core import Definitions
from fhir_server.definitions.typemodel import ElementInfo, TypeInfo, TypeModel

__all__ = ["Definitions", "ElementInfo", "TypeInfo", "TypeModel"]
