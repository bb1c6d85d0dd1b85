"""A FHIR R4 (4.0.1) server for citizens' digital health spaces."""

__version__ = "0.1.0"
