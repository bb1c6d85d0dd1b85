"""Who may come, what they may do, and the record of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from limits import parse
from pydantic import AfterValidator, Field

from fhir_server.access.discovery import SmartServer
from fhir_server.access.issuer import Issuer
from fhir_server.settings.section import Section


class Auth(Section):
    """Who may come: the authorization servers whose access tokens are accepted (docs/access.md)."""

    issuers: tuple[Issuer, ...] = ()
    """Authorization servers that are believed, each in a table [[auth.issuers]] of the settings file."""
    smart: SmartServer | None = None
    """The authorization server that apps are sent to by .well-known/smart-configuration; it must be the first of the
    issuers. The development authorization server announces itself."""
    origins: Annotated[str, Field(pattern=r"^(https?://[^\s,/]+(,\s*https?://[^\s,/]+)*)?$")] = ""
    """Origins of web pages that may read answers (CORS; comma list), such as https://app.example.org."""
    dev_server: bool = False
    """Whether the development authorization server runs at /auth: anybody can sign in as anybody, to try apps. Never
    in production."""

    @property
    def is_on(self) -> bool:
        """Tell whether callers sign in."""
        return bool(self.issuers) or self.dev_server

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins as a set."""
        return frozenset(origin.strip() for origin in self.origins.split(",")) - {""}


class Access(Section):
    """Who may see and do what."""

    open_anywhere: bool = False
    """Let a server where nobody signs in (no auth.issuers) listen on other addresses than loopback. Whoever reaches
    the port then reads and changes everything."""
    profession_matrix: Path | None = None
    """File that says which professions may see which types of documents, an upper bound that no Consent lifts
    (docs/consent.md). Default: the matrix of the order of 26 October 2023, as far as it is known."""
    verified_consents: bool = False
    """Whether a Consent counts only when it was verified (Consent.verification)."""
    masked_in_emergency: bool = False
    """Whether emergency access shows documents that the citizen masked."""


def _rate(value: str | None) -> str | None:
    if value not in (None, "off"):
        try:
            parse(value)
        except ValueError:
            raise ValueError("must be a number by a unit of time, such as 600/minute, or off") from None
    return value


class Limits(Section):
    """How much a client may ask for (docs/protection.md). Each worker process counts for itself."""

    requests: Annotated[str | None, AfterValidator(_rate)] = None
    """Requests of one client and user, such as 600/minute; more are answered with 429. off: any number. Default: off
    while nobody signs in, 12000/minute as soon as callers do."""
    anonymous: Annotated[str | None, AfterValidator(_rate)] = None
    """The same for one address from which nobody signed in, or whose tokens were refused. Default: off while nobody
    signs in, 3000/minute as soon as callers do."""


class Audit(Section):
    """The audit: who did what with whose data, as AuditEvents that can't be changed unnoticed (docs/audit.md)."""

    mode: Literal["off", "on"] | None = None
    """on: every access, change and refusal is recorded before it is answered; when it can't be, the answer is 503.
    off: nothing is. Default: off while everybody may do everything (development), on as soon as callers sign in."""
    key_file: Path | None = None
    """File with the Ed25519 key (32 bytes) that checkpoints of the audit are signed with. Default: audit.key in the
    data directory, made when it is missing."""
    checkpoint_file: Path | None = None
    """File that each checkpoint is appended to, besides the database. Put it where whoever administers the database
    can't write: without it a truncated audit can't be told from a short one."""
