"""Which codes belong to which value set; see README.md."""

from fhir_server.terminology.code_sets import CodeSet, CodeSets

__all__ = ["CodeSet", "CodeSets"]
