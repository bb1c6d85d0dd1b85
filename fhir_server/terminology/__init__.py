"""Which codes belong to which value set; see README.md."""

from fhir_server.terminology.code_sets import CodeSet, CodeSets
from fhir_server.terminology.expansion import Sources

__all__ = ["CodeSet", "CodeSets", "Sources"]
