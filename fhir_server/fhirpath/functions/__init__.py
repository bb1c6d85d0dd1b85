"""Functions by chapter of https://hl7.org/fhirpath/N1/#functions: a table name -> (function, arity) each.

``VALUES`` functions get (run, source, *arguments) as collections. ``EXPRESSIONS`` functions get
(run, source, scope, *closures) and evaluate their arguments themselves, on each item of the source.
"""

from __future__ import annotations

from fhir_server.fhirpath.functions import (
    additions,
    boundaries,
    combining,
    conversion,
    existence,
    filtering,
    math,
    navigation,
    strings,
    subsetting,
    text_encoding,
    utility,
)

VALUES = {
    **existence.VALUES,
    **filtering.VALUES,
    **subsetting.VALUES,
    **combining.VALUES,
    **conversion.VALUES,
    **strings.VALUES,
    **text_encoding.VALUES,
    **math.VALUES,
    **navigation.VALUES,
    **utility.VALUES,
    **boundaries.VALUES,
    **additions.VALUES,
}
EXPRESSIONS = {**existence.EXPRESSIONS, **filtering.EXPRESSIONS, **utility.EXPRESSIONS}
