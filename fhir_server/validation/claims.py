"""Which profiles a resource is checked against: those it claims, that its code implies, that are imposed or asked for.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import JUDGED, Findings, Run, has_errors
from fhir_server.validation.rules.implied_profile import implied_profile

if TYPE_CHECKING:
    from fhir_server.validation.compiler import Compiler

_LOG = logging.getLogger("fhir_server")
#: Combinations of claims that are remembered; the senders choose them.
_REMEMBERED = 4096


class Claims:
    """Finds, and keeps, what checks resources with the same claims."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._known: dict[tuple[str, tuple[str, ...], tuple[str, ...], str], Handler] = {}
        self._logged: set[str] = set()

    def forget(self) -> None:
        """Drop what is known, because definitions changed."""
        self._known.clear()

    def handler(self, resource: dict[str, Any], name: str, asked: Sequence[str] = ()) -> Handler:
        """Return what checks a resource of type ``name``: its profiles, each of which contains the base."""
        meta = resource.get("meta")
        claimed = meta.get("profile") if type(meta) is dict else None
        imposed = self._compiler.policy.imposed
        implied = implied_profile(resource) if name == "Observation" else ""
        if claimed is None and not asked and not imposed and not implied:
            return self._compiler.function(name)
        claims = tuple(c for c in claimed if type(c) is str) if type(claimed) is list else ()
        key = (name, claims, tuple(asked), implied)
        known = self._known.get(key)
        if known is None:
            known = self._made(name, claims, (*asked, *imposed.get(name, ())), implied)
            if len(self._known) < _REMEMBERED:
                self._known[key] = known
        return known

    def _made(self, name: str, claims: tuple[str, ...], asked: tuple[str, ...], implied: str) -> Handler:
        self._log(claims + asked, name)
        checks: dict[str, Handler] = {}
        problems: list[tuple[str, str, str, str]] = []
        places = [(c, f".meta.profile[{i}]") for i, c in enumerate(claims)] + [(a, "") for a in asked]
        for url, path in places:
            problem = self._add(url, name, checks, is_claim=bool(path))
            if problem is not None:
                problems.append((*problem, path))
        handlers = list(checks.values()) or [self._compiler.function(name)]
        if implied and not any(self._derives(url.partition("|")[0], implied) for url in checks):
            handlers[-1] = _with_implied(handlers[-1], self._compiler.function(implied), is_base=not checks)
        if len(handlers) == 1 and not problems:
            return handlers[0]

        def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found: Findings = []
            for check in handlers:
                found += check(value, parent, run) or ()
            for severity, code, text, path in problems:
                found += run.finding(severity, code, text, "profile", path)
            return found or None

        return handler

    def _derives(self, url: str, ancestor: str) -> bool:
        """Tell whether a profile is, or is derived from, another one."""
        seen = set()
        while url and url != ancestor and url not in seen:
            seen.add(url)
            definition = self._compiler.definitions.structure(url)
            url = str(definition.get("baseDefinition", "")) if definition is not None else ""
        return url == ancestor

    def _log(self, profiles: tuple[str, ...], name: str) -> None:
        """Tell the operator, once for each profile and start, which of its constraints can't be checked."""
        for url in profiles:
            if url not in self._logged and self._compiler.is_known(url):
                self._logged.add(url)
                for issue in self._compiler.unevaluated.issues((url,), name):
                    _LOG.warning("%s", issue.diagnostics)

    def _add(
        self, url: str, name: str, checks: dict[str, Handler], *, is_claim: bool
    ) -> tuple[str, str, str] | None:
        """Add what checks a profile; return severity, code and text of the issue if it can't be used."""
        definition = self._compiler.definitions.structure(url, exact=True)
        if definition is None:
            severity = self._compiler.policy.unknown_profile if is_claim else "error"
            if severity == "ignore":
                return None
            advice = (
                say("load its package, or leave the claim out") if is_claim else say("load its package first")
            )
            return (
                severity,
                "not-found",
                say("The profile {url} isn't known here: {advice}.", url=_shown(url), advice=advice),
            )
        type_ = definition["type"]
        if not self._compiler.types.is_subtype(name, type_):
            return (
                "error",
                "value",
                say(
                    "The profile {url} is one on {type}, not on {name}.",
                    url=_shown(url),
                    type=type_,
                    name=name,
                ),
            )
        if definition["url"].rpartition("/")[2] == name and definition.get("derivation") != "constraint":
            return None
        try:
            checks.setdefault(
                f"{definition['url']}|{definition.get('version', '')}", self._compiler.function(url)
            )
        except (LookupError, ValueError) as reason:
            severity = "warning" if is_claim else "error"
            return (
                severity,
                "not-supported",
                say("The profile {url} can't be used: {reason}.", url=_shown(url), reason=reason),
            )
        return None


def _with_implied(claimed: Handler, implied: Handler, *, is_base: bool) -> Handler:
    """Return what checks a resource against what it claims and a profile that its code implies.

    The implied profile contains the base definition (``is_base``: nothing else is claimed): what keeps it keeps both.
    """

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        more = implied(value, parent, run)
        if more is None and is_base:
            return None
        found = claimed(value, parent, run)
        if not more or (found and has_errors(found)):
            return found
        for finding in more:
            if finding.severity == "error":
                finding.severity = JUDGED
        return [*(found or ()), *more]

    return handler


def _shown(url: str) -> str:
    return url if len(url) <= 200 else url[:200] + "..."
