"""Operators by chapter of https://hl7.org/fhirpath/N1/#operations: one table symbol -> function."""

from __future__ import annotations

from fhir_server.fhirpath.operators import boolean, collections, comparison, equality, math

#: Each takes (run, left, right) as collections. ``and``, ``or``, ``implies`` are in boolean.LAZY instead.
OPERATORS = {
    **equality.OPERATORS,
    **comparison.OPERATORS,
    **collections.OPERATORS,
    **math.OPERATORS,
    **boolean.OPERATORS,
}
