"""Combining: https://hl7.org/fhirpath/N1/#combining."""

from __future__ import annotations

from fhir_server.fhirpath.evaluation.items import Items
from fhir_server.fhirpath.evaluation.run import Run
from fhir_server.fhirpath.functions.tables import Table
from fhir_server.fhirpath.operators.collections import union


def _combine(_run: Run, source: Items, other: Items) -> Items:
    return [*source, *other]


VALUES: Table = {"union": (union, 1), "combine": (_combine, 1)}
