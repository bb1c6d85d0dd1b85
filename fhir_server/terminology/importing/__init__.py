"""Readers of the files in which large code systems are published; see README.md in the package above."""

from fhir_server.terminology.importing.formats import FORMATS, detected
from fhir_server.terminology.importing.source import Files, Source, SourceConcept

__all__ = ["FORMATS", "Files", "Source", "SourceConcept", "detected"]
