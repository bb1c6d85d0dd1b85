"""Values and formats of FHIR data; see README.md."""
