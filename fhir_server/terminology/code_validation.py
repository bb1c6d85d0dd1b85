"""$validate-code: is a code in a value set, or in a code system, and what is to be said about it?

https://hl7.org/fhir/R4/valueset-operation-validate-code.html, https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhir_server.definitions.core import version_order
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept
from fhir_server.terminology.display_check import display_issues
from fhir_server.terminology.included import clauses_of
from fhir_server.terminology.issues import TerminologyIssue, issue
from fhir_server.terminology.languages import Languages, best
from fhir_server.terminology.library import Library
from fhir_server.terminology.membership import Asked, Membership, Verdict, name_of
from fhir_server.terminology.remarks import (
    at_,
    deprecated_in,
    not_in_value_set,
    remarks,
    row_of,
    states,
    unknown_code,
)
from fhir_server.terminology.versions import is_match


@dataclass(frozen=True, slots=True)
class Options:
    """What a request says beside the code."""

    languages: Languages = field(default_factory=Languages)
    allow_abstract: bool = True
    active_only: bool = False
    infer_system: bool = False
    #: Nothing about displays is an error.
    lenient_display: bool = False
    membership_only: bool = False


@dataclass(slots=True)
class Answer:
    """The verdict on one coding and what belongs to it; ``is_member`` None: it can't be known."""

    coding: dict[str, Any]
    issues: list[TerminologyIssue] = field(default_factory=list)
    is_member: Verdict = False
    system: CodeSystem | None = None
    concept: Concept | None = None
    display: str = ""
    unknown_system: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether nothing can be said because a version of a code system isn't here."""
        return "|" in self.unknown_system

    @property
    def result(self) -> bool:
        """Whether the code is valid."""
        return self.is_member is True and all(one.severity != "error" for one in self.issues)


class CodeValidator:
    """Validates codes against the value sets and code systems of a library."""

    def __init__(self, library: Library, options: Options) -> None:
        self._library = library
        self._options = options
        self._membership = Membership(library)

    def in_value_set(self, value_set: dict[str, Any], coding: dict[str, Any], at: str) -> Answer:
        """Return the answer for one coding; ``at`` is its place: "" for a code by itself, ``Coding``, ..."""
        answer = Answer(dict(coding))
        url = self._system_of(value_set, coding, at, answer)
        if not url:
            return answer
        clauses = [one for one in clauses_of(self._library, value_set) if one["system"] == url]
        if not clauses:
            self._outside(value_set, url, at, answer)
            return answer
        best_: Answer | None = None
        for clause in self._in_order(url, clauses, coding):
            tried = Answer(answer.coding, list(answer.issues))
            self._try(value_set, url, clause, at, tried)
            if best_ is None or (_rank(tried) > _rank(best_)):
                best_ = tried
            if tried.result:
                break
        assert best_ is not None
        return best_

    def _in_order(
        self, url: str, clauses: list[dict[str, Any]], coding: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return one clause for each version, those that fit the coding's first, then the highest."""
        by_version: dict[str, dict[str, Any]] = {}
        for clause in clauses:
            by_version.setdefault(self._library.rules.of_include(url, clause.get("version", "")), clause)
        wanted = coding.get("version", "")
        return [
            by_version[version]
            for version in sorted(
                by_version,
                key=lambda v: (bool(wanted) and is_match(wanted, v), version_order(v)),
                reverse=True,
            )
        ]

    def _system_of(self, value_set: dict[str, Any], coding: dict[str, Any], at: str, answer: Answer) -> str:
        url = str(coding.get("system", ""))
        code = str(coding.get("code", ""))
        if url:
            if "://" not in url and not url.startswith("urn:"):
                answer.issues.append(issue("Terminology_TX_System_Relative", at=at_(at, "system")))
            elif self._library.system(url) is None and self._library.value_set(url) is not None:
                answer.issues.append(issue("Terminology_TX_System_ValueSet2", url, at=at_(at, "system")))
            return url
        if self._options.infer_system:
            systems = {
                str(clause["system"])
                for clause in clauses_of(self._library, value_set)
                if self._membership.in_value_set(value_set, Asked(clause["system"], code)) is True
            }
            if len(systems) == 1:
                [url] = systems
                answer.coding["system"] = url
                return url
        answer.issues.append(not_in_value_set(value_set, coding, at))
        if self._options.infer_system:
            named = name_of(value_set).rstrip("|")
            answer.issues.append(issue("UNABLE_TO_INFER_CODESYSTEM", code, named, at=at_(at, "code")))
        else:
            answer.issues.append(issue("Coding_has_no_system__cannot_validate", at=at or "code"))
        return ""

    def _outside(self, value_set: dict[str, Any], url: str, at: str, answer: Answer) -> None:
        """Say that a value set has no code of this system."""
        version = str(answer.coding.get("version", ""))
        answer.issues.append(not_in_value_set(value_set, answer.coding, at))
        system = self._known(url, version, at, answer, "unknown-and-not-in-vs")
        if system is None:
            return
        answer.system = system
        answer.concept = system.find(str(answer.coding.get("code", "")))
        if answer.concept is None:
            answer.issues.append(unknown_code(system, str(answer.coding.get("code", "")), at))
        else:
            self._show(answer)

    def _known(
        self, url: str, version: str, at: str, answer: Answer, message: str = "UNKNOWN_CODESYSTEM"
    ) -> CodeSystem | None:
        """Return a code system; say so if it isn't here."""
        system = self._library.system(url, version)
        if system is not None:
            return system
        known = self._library.versions(url)
        if version and known:
            listed = " or ".join(sorted(known, key=version_order))
            answer.issues.append(
                issue("UNKNOWN_CODESYSTEM_VERSION", url, version, listed, at=at_(at, "system"))
            )
        else:
            answer.issues.append(issue(message, url, at=at_(at, "system")))
        answer.unknown_system = f"{url}|{version}" if version else url
        return None

    def _try(
        self, value_set: dict[str, Any], url: str, clause: dict[str, Any], at: str, answer: Answer
    ) -> None:
        coding, rules = answer.coding, self._library.rules
        code, own = str(coding.get("code", "")), str(coding.get("version", ""))
        included = str(clause.get("version", ""))
        version = rules.of_include(url, included)
        if not version and own and self._library.system(url, own) is not None:
            version = own
        version = version or rules.check.get(url, "")
        if own and is_match(own, version) and self._library.system(url, own) is not None:
            version = own  # the coding says which one of those that fit
        system = self._library.system(url, version)
        if own and not (own == version or (system is not None and system.version == own)):
            self._mismatch(clause, version, system, at, answer)
        if system is None:
            if not self._library.versions(url):
                answer.issues.append(not_in_value_set(value_set, coding, at))
            self._known(url, version, at, answer)
            return
        answer.system = system
        wanted = rules.check.get(url)
        if wanted is not None and not is_match(system.version, wanted):
            answer.issues.insert(
                0, issue("VALUESET_VERSION_CHECK", url, system.version, wanted, at=at_(at, "version"))
            )
        answer.concept = system.find(code)
        answer.is_member = self._membership.in_value_set(value_set, Asked(url, code, system.version))
        self._judge(value_set, system, at, answer)

    def _mismatch(
        self, clause: dict[str, Any], version: str, system: CodeSystem | None, at: str, answer: Answer
    ) -> None:
        url, included = str(clause["system"]), str(clause.get("version", ""))
        own = str(answer.coding["version"])
        place = at_(at, "version")
        if not version:
            used = "" if system is None else system.version
            answer.issues.append(issue("VALUESET_VALUE_MISMATCH_DEFAULT", url, used, own, at=place))
        elif version == included:
            answer.issues.append(issue("VALUESET_VALUE_MISMATCH", url, version, own, at=place))
        else:
            answer.issues.append(
                issue("VALUESET_VALUE_MISMATCH_CHANGED", url, version, included, own, at=place)
            )
        if system is not None and self._library.system(url, own) is None:
            self._known(url, own, at, answer)

    def _judge(self, value_set: dict[str, Any], system: CodeSystem, at: str, answer: Answer) -> None:
        code, concept = str(answer.coding.get("code", "")), answer.concept
        if concept is None:
            if system.is_complete:
                answer.is_member = False
                answer.issues.append(not_in_value_set(value_set, answer.coding, at))
            elif answer.is_member is None:
                answer.is_member = True
            answer.issues.append(unknown_code(system, code, at))
            return
        self._show(answer)
        if answer.is_member is not True:
            answer.issues.append(not_in_value_set(value_set, answer.coding, at))
        else:
            answer.issues += states(self._library, value_set, system)
        answer.issues += remarks(
            system,
            concept,
            code,
            at,
            active_only=self._options.active_only,
            allow_abstract=self._options.allow_abstract,
        )
        if answer.is_member is True:
            answer.issues += deprecated_in(value_set, system, concept, at)
        if answer.coding.get("display") and not self._options.membership_only:
            answer.issues += display_issues(
                system, concept, str(answer.coding["display"]), self._options.languages,
                at=at_(at, "display"), extra=row_of(value_set, system, concept),
                lenient=self._options.lenient_display,
            )  # fmt: skip

    def in_code_system(self, system: CodeSystem, coding: dict[str, Any], at: str) -> Answer:
        """Return the answer for one coding of a code system."""
        answer = Answer(dict(coding), system=system)
        code = str(coding.get("code", ""))
        answer.coding["system"] = system.url
        answer.concept = concept = system.find(code)
        if concept is None:
            answer.is_member = not system.is_complete
            answer.issues.append(unknown_code(system, code, at))
            return answer
        answer.is_member = True
        self._show(answer)
        answer.issues += remarks(
            system,
            concept,
            code,
            at,
            active_only=self._options.active_only,
            allow_abstract=self._options.allow_abstract,
        )
        if system.status(concept) == "deprecated":
            answer.issues.append(issue("DEPRECATED_CONCEPT_FOUND", "", code, at=at_(at, "code")))
        if coding.get("display"):
            answer.issues += display_issues(
                system, concept, str(coding["display"]), self._options.languages,
                at=at_(at, "display"), lenient=self._options.lenient_display,
            )  # fmt: skip
        return answer

    def _show(self, answer: Answer) -> None:
        system, concept = answer.system, answer.concept
        assert system is not None
        assert concept is not None
        display, _ = best(concept.display, system.language, concept.designations, self._options.languages)
        answer.display = display or concept.display


def _rank(answer: Answer) -> tuple[bool, bool, int]:
    errors = sum(one.severity == "error" for one in answer.issues)
    return answer.result, answer.is_member is True, -errors
