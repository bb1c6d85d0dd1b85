"""Resources against definitions; see README.md."""

from fhir_server.validation.validator import Validator

__all__ = ["Validator"]
