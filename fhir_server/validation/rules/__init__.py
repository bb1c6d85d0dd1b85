"""The rules of validation, one file per facet of an element.

``RULES`` lists those that look at a whole object once its structure is right; the other facets (cardinality,
choice, primitive, binding, unknown_element, invariant) are asked for each element by ``compiler``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.attachment import stated_hash, stated_size
from fhir_server.validation.rules.bundle import entries, full_url, links, searchset
from fhir_server.validation.rules.contained import contained_rules
from fhir_server.validation.rules.document import document_entries
from fhir_server.validation.rules.reference import References
from fhir_server.validation.rules.system import (
    coding_system,
    definition_url,
    identifier_system,
    quantity_system,
    security_labels,
)

#: Checks a structurally valid object; None when it is right.
NodeCheck = Callable[[dict[str, Any], Run], Findings | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on nodes of one type (``*`` for all resources), asked when all ``elements`` are present.

    ``make`` takes the names of the resource types.
    """

    type_name: str
    elements: tuple[str, ...]
    make: Callable[[frozenset[str]], NodeCheck]


RULES: tuple[Rule, ...] = (
    Rule("*", ("contained",), lambda _: contained_rules),
    Rule("Reference", ("reference",), lambda types: References(types).text),
    Rule("Bundle.entry", ("fullUrl",), lambda types: partial(full_url, types)),
    Rule("Bundle", ("type", "entry"), lambda types: partial(searchset, types)),
    Rule("Bundle", ("type", "entry"), lambda _: entries),
    Rule("Bundle", ("type", "entry"), lambda _: document_entries),
    Rule("Bundle", ("type", "link"), lambda _: links),
    Rule("*", ("url",), lambda _: definition_url),
    Rule("Identifier", ("system",), lambda _: identifier_system),
    Rule("Coding", ("system",), lambda _: coding_system),
    Rule("Quantity", ("system",), lambda _: quantity_system),
    Rule("Meta", ("security",), lambda _: security_labels),
    Rule("Attachment", ("data", "size"), lambda _: stated_size),
    Rule("DocumentReference.content", ("attachment",), lambda _: stated_hash),
)
