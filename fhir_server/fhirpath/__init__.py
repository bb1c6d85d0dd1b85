"""FHIRPath (N1) with the additions of FHIR R4; see README.md."""

from fhir_server.fhirpath.env import Env
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.parser import parse

__all__ = ["Env", "FhirPathError", "parse"]
