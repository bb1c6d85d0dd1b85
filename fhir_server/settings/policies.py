"""What the settings mean to the parts that know no settings: their policies, and this server's own addresses."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fhir_server.interactions.exchange import Policy
from fhir_server.settings.kept import is_audited, professions
from fhir_server.settings.sources import Settings
from fhir_server.validation import Policy as ValidationPolicy


def policy_of(settings: Settings, security: dict[str, Any] | None) -> Policy:
    """Return what the settings say about interactions; ``security`` is what the CapabilityStatement says of it."""
    return Policy(
        update_create=settings.update.create,
        strict_search=settings.search.handling == "strict",
        default_count=settings.search.default_count,
        max_count=settings.search.max_count,
        explain=settings.search.explain,
        max_conditional_deletes=(
            settings.delete.conditional_max if settings.delete.conditional == "multiple" else 1
        ),
        max_bundle_entries=settings.bundle.max_entries,
        max_bundle_mb=settings.http.max_bundle_mb,
        audit=is_audited(settings),
        sandbox=settings.sandbox.on,
        check_references_on_write=settings.integrity.references in ("write", "both"),
        check_references_on_delete=settings.integrity.references in ("delete", "both"),
        expunge=settings.expunge.allow,
        ingest_lines=settings.app.ingest_lines,
        measures_per_day=settings.app.measures_per_day,
        contacts_max=settings.contacts.max,
        enforce_spaces=settings.space.enforce,
        consents_verified=settings.access.verified_consents,
        masked_in_emergency=settings.access.masked_in_emergency,
        professions=professions(settings),
        refuse_test_identities=settings.space.test_identities == "refuse",
        space_cohort=settings.space.auto_opening,
        space_opening_days=settings.space.opening_days,
        space_erasure_years=settings.space.erasure_years,
        security=security,
    )


def validation_policy(settings: Settings) -> ValidationPolicy:
    """Return what the settings say about validation."""
    chosen = settings.validation
    return ValidationPolicy(
        unknown_extension=chosen.unknown_extension,
        unknown_modifier_extension=chosen.unknown_modifier_extension,
        unknown_profile=chosen.unknown_profile,
        imposed=chosen.imposed_profiles,
    )


def own_base(settings: Settings) -> str:
    """Return the base URL that stored absolute references to this server begin with."""
    http = settings.http
    scheme = "http" if http.tls_cert is None else "https"
    return http.base_url or f"{scheme}://{http.host}:{http.port}{http.base_path}"


def auth_url(settings: Settings) -> str:
    """Return the name of the development authorization server: beside the FHIR base, whatever its path."""
    base = urlsplit(own_base(settings))
    return f"{base.scheme}://{base.netloc}/auth"
