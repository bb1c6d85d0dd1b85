"""Resources against definitions; see README.md."""

from fhir_server.validation.policy import Policy
from fhir_server.validation.validator import Validator

__all__ = ["Policy", "Validator"]
