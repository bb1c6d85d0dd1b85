"""Code systems, value sets and concept maps: membership, expansion, lookup, subsumption, translation; see README.md."""

from fhir_server.terminology.code_sets import CodeSet, CodeSets
from fhir_server.terminology.library import Library, Sources
from fhir_server.terminology.questions import Needed
from fhir_server.terminology.versions import VersionRules

__all__ = ["CodeSet", "CodeSets", "Library", "Needed", "Sources", "VersionRules"]
