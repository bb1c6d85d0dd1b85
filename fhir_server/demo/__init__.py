"""Synthetic citizens with the records of their health spaces. Entry: ``population``."""

from __future__ import annotations

from fhir_server.demo.population import population

__all__ = ["population"]
