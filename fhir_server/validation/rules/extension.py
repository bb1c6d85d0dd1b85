"""Extensions: by their own definitions, where their context allows them; and those that nobody knows.

https://hl7.org/fhir/R4/extensibility.html, https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Misplaced, Run
from fhir_server.validation.rules.extension_context import Contexts

_BASE = "http://hl7.org/fhir/StructureDefinition/"
#: Extensions that the official R4 definitions themselves use outside the contexts that they give them.
_WIDER = frozenset(
    _BASE + name
    for name in ("structuredefinition-fhir-type", "structuredefinition-normative-version", "regex")
)


class Surroundings(Protocol):
    """What the rules on extensions ask of the compiler."""

    def function(self, structure: str) -> Handler:
        """Return the function of a type or profile."""

    def extension_definition(self, url: str) -> dict[str, Any] | None:
        """Return the StructureDefinition of an extension, or None."""

    def is_subtype(self, name: str, ancestor: str) -> bool:
        """Tell whether a type is or derives from another."""

    def is_known(self, url: str) -> bool:
        """Tell whether there is a definition that can be used."""

    def base_of(self, url: str) -> str:
        """Return the type that a definition constrains."""

    def conforms(self, value: Any, profile: str, run: Run) -> bool:
        """Tell whether a value conforms to a profile, or to an element of one."""

    def allows(
        self, rule: str, holder: dict[str, Any], type_name: str, extension: dict[str, Any], run: Run
    ) -> bool:
        """Tell whether a context invariant is true of the element that holds an extension."""

    def selects(self, expression: str, holder: dict[str, Any], run: Run) -> bool:
        """Tell whether a FHIRPath on the resource selects the element that holds the extension."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """One definition: its function, the contexts as (type, expression), and the rules on its use (FHIRPath)."""

    url: str
    check: Handler
    contexts: tuple[tuple[str, str], ...]
    invariants: tuple[str, ...]
    is_modifier: bool


class Extensions:
    """The rules on extensions; keeps the definitions that were met."""

    def __init__(self, around: Surroundings, *, unknown: str, unknown_modifier: str) -> None:
        self._around = around
        self._unknown = unknown
        self._unknown_modifier = unknown_modifier
        self._known: dict[str, _Known | None] = {}

    def forget(self) -> None:
        """Drop what is known of definitions, because they changed."""
        self._known.clear()

    def site(self, place: str, profile: str, *, is_modifier: bool) -> Handler:
        """Return the handler of one extension at the element whose path is ``place``.

        ``profile`` is the definition that a profile demands, "" if the url alone decides.
        """
        holder = place.rpartition(".")[0]
        plain = self._around.function("Extension")
        fits: dict[_Known, bool] = {}

        def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            url = value.get("url") if type(value) is dict else None
            if type(url) is not str:
                return plain(value, parent, run)
            known = self._of(profile or url)
            if known is None:
                return join(plain(value, parent, run), self._report_unknown(url, run, holder, is_modifier))
            found = known.check(value, parent, run)
            if known.is_modifier != is_modifier:
                found = join(found, self._wrong_kind(known, run))
            for rule in known.invariants:
                if not self._around.allows(rule, parent, holder, value, run):
                    found = join(found, self._unfit(known, rule, run))
            fit = fits.get(known)
            if fit is None:
                fit = fits[known] = self._fits(known, holder)
            return found if fit else join(found, self._misplaced(known, holder, parent, run))

        return handler

    def _of(self, url: str) -> _Known | None:
        if url in self._known:
            return self._known[url]
        definition = self._around.extension_definition(url) if ":" in url else None
        known = None
        if definition is not None:
            contexts = tuple((c["type"], c["expression"]) for c in definition.get("context", ()))
            root = definition["snapshot"]["element"][0]
            known = _Known(
                definition["url"],
                self._around.function(url),
                contexts,
                tuple(definition.get("contextInvariant", ())),
                bool(root.get("isModifier")),
            )
        if len(self._known) < 10_000:
            self._known[url] = known
        return known

    def _report_unknown(self, url: str, run: Run, holder: str, is_modifier: bool) -> Findings:
        if ":" not in url:
            if holder == "Extension":
                return []  # a part of a complex extension
            text = "The url of an extension must be absolute, except in the parts of another extension."
            return run.judged("value", text, "extension-url@", ".url")
        if is_modifier:
            text = (
                "The modifier extension isn't known to this server, so the element can't be understood safely:"
                " load its definition, or leave it out."
            )
            return run.finding(self._unknown_modifier, "extension", text, "unknown-extension@")
        text = "The extension isn't known to this server, so only its form was checked."
        return run.finding(self._unknown, "extension", text, "unknown-extension@")

    @staticmethod
    def _wrong_kind(known: _Known, run: Run) -> Findings:
        text = (
            say("{url} is a modifier: it must be in modifierExtension.", url=known.url)
            if known.is_modifier
            else say("{url} isn't a modifier: it must be in extension.", url=known.url)
        )
        return run.error("extension", text, "extension-kind@")

    @staticmethod
    def _unfit(known: _Known, rule: str, run: Run) -> Findings:
        text = say(
            "The extension {url} must not be used like this: on the element that holds it, this must be true: {rule}.",
            url=known.url,
            rule=rule,
        )
        return run.error("extension", text, "extension-invariant@")

    def _fits(self, known: _Known, holder: str) -> bool:
        """Tell whether the definition alone says that the extension may be here."""
        if not known.contexts or known.url in _WIDER or ("element", "Element") in known.contexts:
            return True
        path = holder.replace("[x]", "")
        return any(
            kind == "element"
            and (expression.replace("[x]", "") == path or self._around.is_subtype(path, expression))
            for kind, expression in known.contexts
        )

    def _misplaced(self, known: _Known, holder: str, parent: dict[str, Any], run: Run) -> Findings:
        """Return a finding that is dropped if an outer path turns out to be a context."""
        for kind, expression in known.contexts:
            if kind == "extension" and holder == "Extension" and parent.get("url") == expression:
                return []
            if kind == "fhirpath" and self._around.selects(expression, parent, run):
                return []
        allowed = {e.replace("[x]", "") for kind, e in known.contexts if kind == "element"}
        # An extension on the value of an extension: which one that is shows when the whole path is known.
        urls = frozenset(e for kind, e in known.contexts if kind == "extension")
        named = ", ".join(sorted(e for _, e in known.contexts))
        text = say(
            "The extension {url} must not be used here: its definition allows it on {named}.",
            url=known.url,
            named=named,
        )
        if run.left <= 0:
            return []
        contexts = Contexts(
            tuple(e for kind, e in known.contexts if kind == "element" and "#" in e),
            tuple(e for kind, e in known.contexts if kind == "extension"),
            self._around,
        )
        return [Misplaced(text, frozenset(allowed), urls, contexts)]


def join(found: Findings | None, more: Findings) -> Findings | None:
    """Return both lists as one, None if there is nothing in them."""
    return [*(found or ()), *more] or None
