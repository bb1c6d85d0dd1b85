"""Tree navigation: https://hl7.org/fhirpath/N1/#tree-navigation."""

from __future__ import annotations

from fhir_server.fhirpath.evaluation.items import Items, children
from fhir_server.fhirpath.evaluation.run import Run
from fhir_server.fhirpath.functions.tables import Table


def _children(run: Run, source: Items) -> Items:
    found = [child for item in source for child in children(item, run.types)]
    run.spend(len(found))
    return found


def _descendants(run: Run, source: Items) -> Items:
    found: Items = []
    level = source
    while level:
        level = _children(run, level)
        found += level
    return found


VALUES: Table = {"children": (_children, 0), "descendants": (_descendants, 0)}
