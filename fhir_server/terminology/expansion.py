"""$expand: from a value set to its codes, in order, as one page or a tree.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions.core import version_order
from fhir_server.terminology.code_system import CodeSystem, UnknownSystem
from fhir_server.terminology.concept import Concept, matches, text_of, value_of
from fhir_server.terminology.imported_system import ImportedSystem
from fhir_server.terminology.issues import MissingValueSetError, refused
from fhir_server.terminology.library import Library
from fhir_server.terminology.membership import Asked, Membership, Trail, filters_of, imported, name_of
from fhir_server.terminology.questions import Codes, Needed, Selection
from fhir_server.terminology.versions import is_match

#: Codes of an expansion that is asked for without paging, and of one page.
MOST_CODES = 1_000
MOST_OF_PAGE = 10_000
#: Codes that an expansion may have to look at to find its page.
MOST_LOOKED_AT = 100_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks of an expansion."""

    words: tuple[str, ...] = ()
    offset: int = 0
    count: int | None = None
    active_only: bool = False
    excluded_systems: tuple[str, ...] = ()
    exclude_not_for_ui: bool = False

    @property
    def is_paged(self) -> bool:
        """Whether one page is asked for."""
        return self.count is not None or self.offset > 0


@dataclass(frozen=True, slots=True)
class Member:
    """One code of an expansion; ``row`` is its ``compose.include.concept`` if it is listed there."""

    system: CodeSystem
    concept: Concept
    row: dict[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others."""
        return self.system.url, self.system.version, self.concept.code


class Expander:
    """Finds the members of value sets of a library."""

    def __init__(self, library: Library, *, keep_unknown: bool = False) -> None:
        self._library = library
        #: Codes that are listed count even if their code system isn't here, or has other codes.
        self._keep_unknown = keep_unknown
        self._membership = Membership(library)
        #: What was used: the resources by the name of the expansion's parameter and the canonical.
        self.used: dict[tuple[str, str], dict[str, Any]] = {}
        #: Code systems whose version the request decided, because the value set doesn't.
        self.defaulted: set[str] = set()
        #: Whether a code counts as the same in all versions of its system.
        self.versions_match = False
        #: Whether the hierarchy of the code systems may be shown: no codes were listed one by one.
        self.is_tree = True

    @property
    def versioned(self) -> set[str]:
        """The code systems of which several versions were used."""
        versions: dict[str, set[str]] = {}
        for name, canonical in self.used:
            if name == "used-codesystem":
                url, _, version = canonical.partition("|")
                versions.setdefault(url, set()).add(version)
        return {url for url, found in versions.items() if len(found) > 1}

    def members(self, value_set: dict[str, Any], wanted: Wanted) -> tuple[list[Member], int | None]:
        """Return the wanted page of members and how many there are.

        Raises FhirError when a part isn't known or there are too many, and Needed.
        """
        page = self._one_question(value_set, wanted)
        if page is not None:
            return page
        found = self._all(value_set, wanted, ())
        limit = MOST_OF_PAGE if wanted.is_paged else MOST_CODES
        end = len(found) if wanted.count is None else wanted.offset + wanted.count
        shown = found[wanted.offset : end]
        if len(shown) > limit:
            raise refused("VALUESET_TOO_COSTLY", name_of(value_set).rstrip("|"), str(limit))
        return shown, len(found)

    def pairs(self, value_set: dict[str, Any], wanted: Wanted) -> set[tuple[str, str]]:
        """Return all members as (system, code); raises as ``members`` does."""
        return {(m.system.url, m.concept.code) for m in self._all(value_set, wanted, ())}

    def _one_question(
        self, value_set: dict[str, Any], wanted: Wanted
    ) -> tuple[list[Member], int | None] | None:
        """Return a page that the database selects by itself: of one include of an imported system."""
        compose = value_set.get("compose", {})
        includes = compose.get("include", ())
        if len(includes) != 1 or compose.get("exclude") or wanted.excluded_systems:
            return None
        [clause] = includes
        if "system" not in clause or "concept" in clause or "valueSet" in clause:
            return None
        system = self._system(clause, 0)
        if system.is_listed or not isinstance(system, ImportedSystem) or wanted.exclude_not_for_ui:
            return None
        self.used["used-codesystem", system.canonical] = system.header
        limit = MOST_OF_PAGE if wanted.is_paged else MOST_CODES
        count = limit + 1 if wanted.count is None else min(wanted.count, limit)
        total, concepts = system.select(
            Selection(
                filters_of(clause), wanted.words, wanted.active_only or compose.get("inactive") is False,
                wanted.offset, count,
            )
        )  # fmt: skip
        if len(concepts) > limit:
            raise refused("VALUESET_TOO_COSTLY", name_of(value_set).rstrip("|"), str(limit))
        self.is_tree = False
        return [Member(system, concept) for concept in concepts], total

    def _all(self, value_set: dict[str, Any], wanted: Wanted, trail: Trail) -> list[Member]:
        name = name_of(value_set)
        if name in trail:
            shown = [one.rstrip("|") for one in (*trail, name)]
            raise refused("VALUESET_CIRCULAR_REFERENCE", shown[-1], ", ".join(shown[1:]))
        trail = (*trail, name)
        compose = value_set.get("compose")
        if compose is None:
            return self._stored(value_set)
        if compose.get("inactive") is False:
            wanted = replace(wanted, active_only=True)
        found: dict[tuple[str, str, str], Member] = {}
        parameters = parameters_of(value_set)
        is_merged = parameters.get("versionsMatch") == "true"
        for index, clause in enumerate(compose.get("include", ())):
            for member in self._clause(value_set, clause, index, wanted, trail):
                found.setdefault(member.key, member)
                if len(found) > MOST_LOOKED_AT:
                    raise refused("VALUESET_TOO_COSTLY", name.rstrip("|"), str(MOST_LOOKED_AT))
        members: Iterable[Member] = found.values()
        if is_merged:
            self.versions_match = True
            members = _highest_versions(members)
        return self._without_excluded(value_set, list(members), trail, parameters)

    def _without_excluded(
        self, value_set: dict[str, Any], members: list[Member], trail: Trail, parameters: dict[str, str]
    ) -> list[Member]:
        excludes = value_set["compose"].get("exclude", ())
        if not excludes:
            return members
        for index, clause in enumerate(excludes):
            if "system" in clause:
                system = self._system(clause, index)
                self.used["used-codesystem", system.canonical] = system.header
            for url in clause.get("valueSet", ()):
                self._circle(value_set, url, trail)
        self.versions_match = parameters.get("versionsMatch") != "false" and bool(self.versioned)
        kept = []
        for member in members:
            version = member.system.version if parameters.get("versionsMatch") == "false" else ""
            asked = Asked(member.system.url, member.concept.code, version)
            if not any(self._membership.in_clause(value_set, one, asked, trail) for one in excludes):
                kept.append(member)
        return kept

    def _circle(self, value_set: dict[str, Any], url: str, trail: Trail) -> None:
        other = self._imported(value_set, url)
        if name_of(other) in trail:
            shown = [one.rstrip("|") for one in (*trail, name_of(other))]
            raise refused("VALUESET_CIRCULAR_REFERENCE", shown[-1], ", ".join(shown[1:]))
        for clause in other.get("compose", {}).get("exclude", ()):
            for further in clause.get("valueSet", ()):
                self._circle(other, further, (*trail, name_of(other)))

    def _imported(self, value_set: dict[str, Any], url: str) -> dict[str, Any]:
        other = imported(self._library, value_set, url)
        if other is None:
            raise MissingValueSetError(url)
        if not url.startswith("#"):
            canonical = f"{other.get('url', '')}|{other['version']}" if "version" in other else other["url"]
            self.used["used-valueset", canonical] = other
        return other

    def _clause(
        self, value_set: dict[str, Any], clause: dict[str, Any], index: int, wanted: Wanted, trail: Trail
    ) -> list[Member]:
        others = [self._imported(value_set, url) for url in clause.get("valueSet", ())]
        if clause.get("system") in wanted.excluded_systems:
            return []
        if "system" in clause:
            members = self._of_system(clause, index, wanted)
        elif others:
            self.is_tree = False
            members = self._all(others[0], wanted, trail)
            others = others[1:]
        else:
            return []
        if others:
            self.is_tree = False
            listed = [
                {(m.system.url, m.concept.code) for m in self._all(one, Wanted(), trail)} for one in others
            ]
            members = [m for m in members if all((m.system.url, m.concept.code) in one for one in listed)]
        return members

    def _system(self, clause: dict[str, Any], index: int) -> CodeSystem:
        url = clause["system"]
        rules = self._library.rules
        version = rules.of_include(url, clause.get("version", "")) or rules.check.get(url, "")
        if version and not clause.get("version"):
            self.defaulted.add(url)
        system = self._library.system(url, version)
        if self._keep_unknown and "concept" in clause:
            return UnknownSystem({"url": url, "version": "" if system is None else system.version})
        if self._keep_unknown and system is not None and not system.is_complete:
            system = None
        if system is None:
            known = self._library.versions(url)
            if known and version:
                raise refused("UNKNOWN_CODESYSTEM_VERSION_EXP", url, version, " or ".join(sorted(known)))
            raise refused("UNKNOWN_CODESYSTEM_EXP", url)
        wanted = rules.check.get(url)
        if wanted is not None and not is_match(system.version, wanted):
            raise refused("VALUESET_VERSION_CHECK", url, system.version, wanted)
        for number, row in enumerate(clause.get("filter", ())):
            if not row.get("value"):
                at = f"ValueSet.compose.include[{index}].filter[{number}]"
                values = (url, row.get("property", ""), row.get("op", ""))
                raise refused("UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE", *values, at=at)
        return system

    def _of_system(self, clause: dict[str, Any], index: int, wanted: Wanted) -> list[Member]:
        system = self._system(clause, index)
        self.used["used-codesystem", system.canonical] = system.header
        if "concept" in clause:
            self.is_tree = False
            members = self._listed(system, clause["concept"])
        else:
            count = None if system.is_listed else MOST_LOOKED_AT // 10 + 1
            selection = Selection(filters_of(clause), wanted.words, wanted.active_only, 0, count)
            _, concepts = system.select(selection)
            if count is not None and len(concepts) >= count:
                raise refused("VALUESET_TOO_COSTLY", system.canonical, str(count - 1))
            members = [Member(system, concept) for concept in concepts]
        return [member for member in members if self._is_wanted(member, wanted)]

    def _listed(self, system: CodeSystem, rows: list[dict[str, Any]]) -> list[Member]:
        if isinstance(system, ImportedSystem):
            missing = frozenset(row["code"] for row in rows if not system.knows(row["code"]))
            if missing:
                raise Needed(Codes(system.key, system.folded(missing)))
        found = []
        for row in rows:
            concept = system.find(row["code"])
            if concept is None and not system.is_complete:
                concept = Concept(row["code"], row.get("display", ""))
            if concept is not None:
                found.append(Member(system, concept, row))
        return found

    @staticmethod
    def _is_wanted(member: Member, wanted: Wanted) -> bool:
        concept = member.concept
        if member.row is not None:
            if wanted.active_only and member.system.is_inactive(concept):
                return False
            own = member.row.get("display", "")
            shown = replace(
                concept, display=own, designations=(*concept.designations, {"value": concept.display})
            )
            if wanted.words and not matches(wanted.words, shown if own else concept):
                return False
        return not (wanted.exclude_not_for_ui and member.system.is_abstract(concept))

    def _stored(self, value_set: dict[str, Any]) -> list[Member]:
        """Return the members of a value set that has nothing but an expansion."""
        expansion = value_set.get("expansion")
        if expansion is None or expansion.get("total", 0) > _count(expansion.get("contains", ())):
            raise refused("Unable_to_resolve_value_Set_", value_set.get("url", ""))
        found: list[Member] = []
        waiting = list(reversed(expansion.get("contains", ())))
        while waiting:
            row = waiting.pop()
            waiting += reversed(row.get("contains", ()))
            if "code" in row and not row.get("abstract", False):
                url, version = row.get("system", ""), row.get("version", "")
                system = self._library.system(url, version) or UnknownSystem({"url": url, "version": version})
                concept = system.find(row["code"]) or Concept(row["code"], row.get("display", ""))
                found.append(Member(system, concept))
        return found


def _count(rows: Iterable[dict[str, Any]]) -> int:
    return sum(1 + _count(row.get("contains", ())) for row in rows)


def _highest_versions(members: Iterable[Member]) -> list[Member]:
    """Return each code in the highest version that has it."""
    best: dict[tuple[str, str], Member] = {}
    for member in members:
        key = (member.system.url, member.concept.code)
        known = best.get(key)
        if known is None or version_order(known.system.version) < version_order(member.system.version):
            best[key] = member
    return list(best.values())


def parameters_of(value_set: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of expansion that a value set itself gives, by name."""
    found = {}
    for row in value_set.get("compose", {}).get("extension", ()):
        if row.get("url", "").endswith("/valueset-expansion-parameter"):
            parts = {part["url"]: text_of(part) for part in row.get("extension", ())}
            found[parts.get("name", "")] = parts.get("value", "")
    return found


def supplements_of(value_set: dict[str, Any]) -> list[str]:
    """Return the supplements that a value set needs."""
    return [
        str(value_of(row)[1])
        for row in value_set.get("extension", ())
        if row.get("url", "").endswith("/valueset-supplement")
    ]
