"""What a validation finds: findings with paths that grow from the inside out, and the issues made of them.

Findings are made on the failure path only; a valid resource has none and costs no path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fhir_server.messages import say
from fhir_server.outcome import Issue

#: Issues that one validation lists at most: it stops after so many errors, and lists no more warnings.
MAX_ISSUES = 100
MAX_WARNINGS = 50
#: Steps of FHIRPath that the costly invariants of one resource may take, about a second, and more for each entry.
MAX_STEPS = 1_000_000
ENTRY_STEPS = 2_000
#: Severity of what is an error in a verdict, but only a warning about a resource that is to be stored.
JUDGED = "judged"


class Finding:
    """One defect, on its way up: ``path`` is relative to the node that is being left.

    A ``rule`` that ends with ``@`` is completed with the path of the element's definition.
    """

    __slots__ = ("code", "path", "rule", "severity", "text")

    def __init__(self, severity: str, code: str, text: str, rule: str, path: str = "") -> None:
        self.severity = severity
        self.code = code
        self.text = text
        self.rule = rule
        self.path = path


class Contexts(Protocol):
    """Contexts of an extension that need the whole path."""

    def allow(self, path: str, run: Run) -> bool:
        """Tell whether the extension at a path is in one of them."""


class Misplaced(Finding):
    """An extension outside the contexts that its own node can tell.

    On its way up it gathers the paths of outer elements; it is dropped if one of them is in ``allowed``.
    """

    __slots__ = ("allowed", "contexts", "trail", "urls")

    def __init__(self, text: str, allowed: frozenset[str], urls: frozenset[str], contexts: Contexts) -> None:
        super().__init__("pending", "extension", text, "extension-context@")
        self.allowed = allowed
        self.urls = urls
        self.contexts = contexts
        self.trail: list[str] = []

    def is_allowed(self, types_of: Callable[[str], Iterable[str]], run: Run) -> bool:
        """Tell whether an outer path, or a type (``types_of`` a path) on the way, is a context after all."""
        if self.contexts.allow(self.path, run):
            return True
        # The first entry is the extension itself, seen from the element that holds it.
        if self.urls and self.trail[1:2] == ["Extension.value[x]"]:
            holder = found_at(run.root, self.path.rpartition(".value")[0])
            url = holder.get("url") if isinstance(holder, dict) else None
            return isinstance(url, str) and url in self.urls
        suffix = ""
        for number, entry in enumerate(self.trail[1:]):
            path = entry.replace("[x]", "")
            if path + suffix in self.allowed:
                return True
            if number == 0 and not self.allowed.isdisjoint(types_of(entry)):
                return True
            suffix = "." + path.partition(".")[2] + suffix
        return False


def found_at(resource: dict[str, Any], path: str) -> Any:
    """Return what stands at the path of a finding (``.name[0].given[1]``), None if it can't be found."""
    node: Any = resource
    for name, index in re.findall(r"\.(\w+)(?:\[(\d+)\])?", re.sub(r"\.ofType\(\w+\)", "", path)):
        node = node.get(name) if isinstance(node, dict) else None
        if index:
            node = node[int(index)] if isinstance(node, list) and int(index) < len(node) else None
    return node


Findings = list[Finding]


class BundleIndex:
    """The entries of a Bundle by what references call them."""

    __slots__ = ("_by_type_and_id", "_by_url")

    def __init__(self, bundle: dict[str, Any]) -> None:
        self._by_url: dict[str, dict[str, Any]] = {}
        self._by_type_and_id: dict[str, dict[str, Any]] = {}
        entries = bundle.get("entry")
        for entry in entries if type(entries) is list else ():
            resource = entry.get("resource") if type(entry) is dict else None
            if type(resource) is not dict:
                continue
            url, type_, id_ = entry.get("fullUrl"), resource.get("resourceType"), resource.get("id")
            if type(url) is str:
                self._by_url.setdefault(url, resource)
            if type(id_) is str:
                self._by_type_and_id.setdefault(f"{type_}/{id_}", resource)

    def target(self, text: str, base: str) -> dict[str, Any] | None:
        """Return the resource of a reference in an entry whose fullUrl starts with ``base``."""
        text = text.partition("/_history/")[0].partition("#")[0]
        found = self._by_url.get(text)
        if found is None and ":" not in text:
            found = self._by_url.get(base + text) or self._by_type_and_id.get(text)
        return found


class Run:
    """The state of one validation.

    ``resource`` and ``root`` are what ``%resource`` and ``%rootResource`` mean at this point; ``left`` is
    how many errors may still be found; ``is_conditional`` tells that references may be searches (in
    transactions); ``element_ids`` are those met in this resource, with the identity of the object;
    ``unevaluated`` are the keys of invariants that failed to run.
    """

    __slots__ = (
        "base", "bundle", "checking", "contained", "element_ids", "environment", "is_conditional", "left",
        "resource", "root", "steps", "unevaluated", "warnings_left",
    )  # fmt: skip

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.root = resource
        self.left = MAX_ISSUES
        self.warnings_left = MAX_WARNINGS
        #: The innermost Bundle, and the base URL of the entry that is looked at.
        self.bundle: BundleIndex | None = None
        self.base = ""
        #: Resources that are being checked against profiles, so that circles end.
        self.checking: set[tuple[int, str]] = set()
        self.environment: Any = None
        self.contained: dict[str, str] | None = None
        self.is_conditional = False
        self.element_ids: dict[str, int] = {}
        self.unevaluated: list[str] = []
        #: The steps that are left for invariants whose cost isn't bounded by the size of the resource.
        self.steps = [MAX_STEPS]

    def error(self, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding of severity error, or none if there are too many already."""
        self.left -= 1
        return [Finding("error", code, text, rule, path)] if self.left >= 0 else []

    def judged(self, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding that is an error in a verdict, but a warning when the resource is to be stored."""
        self.left -= 1
        return [Finding(JUDGED, code, text, rule, path)] if self.left >= 0 else []

    def warning(self, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding of severity warning, or none if there are too many already."""
        self.warnings_left -= 1
        return [Finding("warning", code, text, rule, path)] if self.warnings_left >= 0 else []

    def finding(self, severity: str, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding of any severity, or none if there are too many already."""
        if severity == "error":
            return self.error(code, text, rule, path)
        self.warnings_left -= 1
        return [Finding(severity, code, text, rule, path)] if self.warnings_left >= 0 else []

    def inner(self) -> Run:
        """Return a run that asks, without any effect on this one, whether something is valid."""
        run = Run(self.resource)
        run.root, run.bundle, run.base, run.checking = self.root, self.bundle, self.base, self.checking
        run.contained, run.is_conditional, run.steps = self.contained, self.is_conditional, self.steps
        return run

    def target(self, text: str) -> dict[str, Any] | None:
        """Return the resource that a literal reference means if it is contained or in the Bundle."""
        if text[:1] == "#":
            if text == "#":
                return self.root
            contained = self.root.get("contained")
            for inner in contained if type(contained) is list else ():
                if type(inner) is dict and inner.get("id") == text[1:]:
                    return inner
            return None
        return self.bundle.target(text, self.base) if self.bundle is not None else None

    def broken(self, severity: str, text: str, rule: str) -> Findings:
        """Return the finding of a broken invariant."""
        return (self.error if severity == "error" else self.warning)("invariant", text, rule)

    def contained_types(self) -> dict[str, str]:
        """Return the types of the root's contained resources by their ids."""
        if self.contained is None:
            contained = self.root.get("contained")
            self.contained = {
                c["id"]: str(c.get("resourceType", ""))
                for c in (contained if isinstance(contained, list) else ())
                if isinstance(c, dict) and isinstance(c.get("id"), str)
            }
        return self.contained


#: Facets that come from the base definition whatever the profile says.
_BASE_FACETS = ("type@", "unknown@", "primitive@", "xhtml@", "element-id@")


def placed(findings: Findings, segment: str, definition: str, profile: str = "", plain: str = "") -> Findings:
    """Return the findings, moved below ``segment``.

    ``definition`` is the path of that element in ``profile``, ``plain`` that in the definition of its own type.
    """
    for finding in findings:
        finding.path = segment + finding.path
        if finding.rule.endswith("@"):
            if profile and finding.rule not in _BASE_FACETS:
                finding.rule += profile + "#"
            finding.rule += definition
        if isinstance(finding, Misplaced):
            finding.trail.append(plain or definition)
    return findings


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether one of the findings is more than a warning."""
    return any(f.severity == "error" for f in findings)


def issues(
    findings: Findings,
    run: Run,
    root: str,
    as_warnings: frozenset[str],
    types_of: Callable[[str], Iterable[str]],
    *,
    lenient: bool = False,
) -> tuple[Issue, ...]:
    """Return the issues of these findings below ``root``; the last one tells if some were left out.

    Those of the rules ``as_warnings`` are of severity warning, and if ``lenient`` those that are judged. What
    several profiles find alike is one issue.
    """
    listed = []
    seen = set()
    for finding in findings:
        severity = "warning" if finding.rule in as_warnings else finding.severity
        if isinstance(finding, Misplaced):
            if finding.is_allowed(types_of, run):
                continue
            severity = "error"
        if severity == JUDGED:
            severity = "warning" if lenient else "error"
        same = (finding.code, finding.path, finding.text)
        if same in seen:
            continue
        seen.add(same)
        profile = finding.rule.partition("@")[2].rpartition("#")[0]
        text = (
            say("{text} (profile {profile})", text=say(finding.text), profile=profile)
            if profile
            else finding.text
        )
        listed.append(Issue(severity, finding.code, text, root + finding.path, finding.rule))
    listed += [
        Issue(
            "information",
            "incomplete",
            say("Rule {key} could not be evaluated on this content.", key=key),
            root,
            key,
        )
        for key in dict.fromkeys(run.unevaluated)
    ]
    if run.left < 0:
        text = say("More issues were not listed: these are the first {limit} errors.", limit=MAX_ISSUES)
        listed.append(Issue("error", "incomplete", text, root, "incomplete"))
    elif run.warnings_left < 0:
        text = say("More warnings were not listed: these are the first {limit}.", limit=MAX_WARNINGS)
        listed.append(Issue("information", "incomplete", text, root, "incomplete"))
    return tuple(listed)
