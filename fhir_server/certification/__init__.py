"""Judges the clients of a FHIR server by what they send through a proxy; see README.md."""

from __future__ import annotations

from fhir_server.certification.certifying import Certification, Terms

__all__ = ["Certification", "Terms"]
