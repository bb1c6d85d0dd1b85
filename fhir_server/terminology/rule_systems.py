"""Code systems that a rule tells, not a list: units, languages, media types, countries, currencies.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fhir_server.messages import say
from fhir_server.outcome import error
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept
from fhir_server.terminology.filters import test
from fhir_server.terminology.questions import Selection
from fhir_server.terminology.rule_sets import (
    COUNTRIES,
    CURRENCIES,
    is_country,
    is_currency,
    is_language_tag,
    is_mime_type,
    is_ucum_unit,
)


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    accepts: Callable[[str], bool]
    #: The codes, where they can be listed.
    codes: tuple[str, ...] = ()
    is_case_sensitive: bool = True


_RULES = {
    "urn:ietf:bcp:13": _Rule("MediaTypes", is_mime_type),
    "urn:ietf:bcp:47": _Rule("LanguageTags", is_language_tag, is_case_sensitive=False),
    "urn:iso:std:iso:4217": _Rule("Currencies", is_currency, tuple(sorted(CURRENCIES))),
    "urn:iso:std:iso:3166": _Rule("Countries", is_country, tuple(sorted(COUNTRIES))),
    "http://unitsofmeasure.org": _Rule("UCUM", is_ucum_unit),
}


class RuleSystem(CodeSystem):
    """A code system that a rule tells."""

    def __init__(self, url: str, rule: _Rule) -> None:
        super().__init__(
            {
                "resourceType": "CodeSystem",
                "url": url,
                "name": rule.name,
                "status": "active",
                "content": "complete",
                "caseSensitive": rule.is_case_sensitive,
            }
        )
        self._rule = rule
        self.is_listed = bool(rule.codes)

    def find(self, code: str) -> Concept | None:
        """Return the concept of a code that the rule accepts; its display is the code."""
        return Concept(code, code) if self._rule.accepts(code) else None

    def parents(self, code: str) -> Iterable[str]:  # noqa: ARG002 - these systems are flat
        """Return nothing."""
        return ()

    def children(self, code: str) -> Iterable[str]:  # noqa: ARG002 - these systems are flat
        """Return nothing."""
        return ()

    def select(self, wanted: Selection) -> tuple[int | None, list[Concept]]:
        """Return the codes that match; FhirError 422 when there is no end to them."""
        tests = [test(one, self) for one in wanted.filters]
        codes = self._rule.codes
        for one in wanted.filters:
            if one.op in {"=", "in"} and one.property in {"concept", "code"}:
                codes = tuple(code for code in one.words if self._rule.accepts(code))
        if not codes and not wanted.filters:
            raise error(
                "too-costly",
                say(
                    "The code system {url} is a grammar: its codes can be checked, but not listed.",
                    url=self.url,
                ),
            )
        found = [
            concept
            for concept in (Concept(code, code) for code in codes)
            if all(is_met(concept) for is_met in tests) and wanted.has_words_of(concept)
        ]
        return len(found), found[wanted.offset : wanted.end]


#: The systems by URL.
RULE_SYSTEMS = {url: RuleSystem(url, rule) for url, rule in _RULES.items()}
