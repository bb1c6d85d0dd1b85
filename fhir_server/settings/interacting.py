"""FHIR's interactions: searches, what is checked before a write, and what a write may do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fhir_server.settings.section import Section


class Search(Section):
    """Answers to searches and histories (https://hl7.org/fhir/R4/search.html)."""

    default_count: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Matches in a page when the request has no _count."""
    max_count: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most matches in a page, whatever _count asks for."""
    handling: Literal["strict", "lenient"] = "strict"
    """What an unknown search parameter does when the request has no Prefer: handling. strict: 400; lenient:
    it is ignored and the answer says so."""
    time_limit_ms: Annotated[int, Field(ge=100, le=600_000)] = 10_000
    """Milliseconds that the database may work on one query of a search; then the search is refused (422) with
    advice."""
    without_content: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]+(,[A-Z][A-Za-z]+)*)?$")] = (
        "AuditEvent,Claim,ExplanationOfBenefit,MedicationAdministration,Observation,Provenance"
    )
    """Resource types (comma list) that _content doesn't search. Their records come in masses and hold few words, and
    each word costs a key of an index. After a change, $reindex."""
    explain: bool = False
    """Whether _explain=true adds to a search how each of its queries was run: index, keys examined, filter,
    milliseconds. For development: it runs each query twice, and shows what access allows."""

    @property
    def types_without_content(self) -> frozenset[str]:
        """The types as a set."""
        return frozenset(self.without_content.split(",")) - {""}


class Validation(Section):
    """What is checked before a resource is stored (https://hl7.org/fhir/R4/validation.html)."""

    warnings: Annotated[str, Field(pattern=r"^([A-Za-z0-9-]+(,[A-Za-z0-9-]+)*)?$")] = "txt-2"
    """Rules (constraint keys, comma list) whose breach is a warning and no error. txt-2, an empty narrative,
    is one by default: the official R4 examples break it, and the reference implementation accepts them. "none"
    makes every rule an error."""

    profiles: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]+=[^\s,=]+(,\s*[A-Z][A-Za-z]+=[^\s,=]+)*)?$")] = (
        ""
    )
    """Profiles that every resource of a type must keep, whatever it claims: Type=url pairs, comma list, such as
    Patient=https://example.org/StructureDefinition/patient. A type may be named more than once."""
    unknown_profile: Literal["ignore", "information", "warning", "error"] = "warning"
    """What a profile in meta.profile that this server doesn't know is: nothing at all, or an issue of this severity.
    """
    unknown_extension: Literal["information", "warning", "error"] = "information"
    """Severity of an extension whose definition this server doesn't know."""
    unknown_modifier_extension: Literal["information", "warning", "error"] = "warning"
    """The same of a modifierExtension, which changes the meaning of what holds it."""

    @property
    def imposed_profiles(self) -> dict[str, tuple[str, ...]]:
        """The profiles by type."""
        found: dict[str, tuple[str, ...]] = {}
        for pair in filter(None, (self.profiles or "").split(",")):
            name, _, url = pair.strip().partition("=")
            found[name] = (*found.get(name, ()), url)
        return found

    @property
    def warning_rules(self) -> frozenset[str]:
        """The rules as a set."""
        return frozenset(self.warnings.split(",")) - {""}


class Packages(Section):
    """FHIR packages with profiles and terminology (https://hl7.org/fhir/R4/packages.html)."""

    dir: Path | None = None
    """Folder of the installed packages. Default: packages in the data directory. "fhir-server packages" fills it;
    what it holds is loaded when the server starts."""
    install: str | None = None
    """Packages that start-up installs if they aren't: comma list of .tgz files, folders, or name#version from the
    FHIR package cache (~/.fhir/packages)."""


class Update(Section):
    """PUT (https://hl7.org/fhir/R4/http.html#update)."""

    create: bool = True
    """Whether PUT to an id that doesn't exist creates the resource (update as create). When false it is a
    405."""


class Delete(Section):
    """Conditional DELETE, by search (https://hl7.org/fhir/R4/http.html#3.1.0.7.1)."""

    conditional: Literal["single", "multiple"] = "single"
    """What happens when several resources match. single: 412 with their number; multiple: all are deleted, in
    one transaction."""
    conditional_max: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most resources that one request deletes when delete.conditional is multiple; above that 412."""


class Expunge(Section):
    """$expunge: versions removed for good, for operators only (docs/api.md)."""

    allow: Literal["off", "on", "everything"] = "off"
    """off: there is no such operation. on: previous versions and deleted resources can be removed. everything: all
    data of the server at once, too; for test servers. There is no sign-in yet: whoever reaches the server is an
    operator."""


class Bundle(Section):
    """Batches and transactions (https://hl7.org/fhir/R4/http.html#transaction)."""

    max_entries: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    """Most entries of one Bundle; more are answered with 413. See also http.max_bundle_mb."""


class Integrity(Section):
    """Referential integrity between the resources of this server."""

    references: Literal["off", "write", "delete", "both"] = "off"
    """write: a literal reference to this server must lead to a resource, else 422. delete: what others refer to
    can't be deleted, 409; this sees resources that were written since it was switched on. both: both. off: references
    may dangle."""
