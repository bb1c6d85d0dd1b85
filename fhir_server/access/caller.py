"""Who asks: what a verified token and the client's registration say of the caller, never what a header claims."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fhir_server.access.purposes import FORBIDDEN
from fhir_server.access.scopes import Scopes


class Kind(StrEnum):
    """The kinds of actor; a caller of none of them is denied everything."""

    CITIZEN = "citizen"
    REPRESENTATIVE = "representative"
    PROFESSIONAL = "professional"
    APP = "app"
    PAYER_FEED = "payer-feed"
    INSURER = "insurer"
    SYSTEM = "system"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    #: Did not sign in.
    ANONYMOUS = "anonymous"


#: What each kind uses data for, when its token names no purpose (v3-ActReason).
DEFAULT_PURPOSE = {
    Kind.CITIZEN: "PATRQT",
    Kind.REPRESENTATIVE: "FAMRQT",
    Kind.PROFESSIONAL: "TREAT",
    Kind.APP: "PATRQT",
    Kind.PAYER_FEED: "HPAYMT",
    Kind.INSURER: "HPAYMT",
    Kind.SYSTEM: "TREAT",
    Kind.AUDITOR: "HSYSADMIN",
    Kind.OPERATOR: "HSYSADMIN",
    Kind.ANONYMOUS: "",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller.

    ``subject`` is the local identity (``Patient/x``, ``Practitioner/x``, ``RelatedPerson/x``, ``Device/x``),
    ``patient`` the patient of the launch context or of the citizen; ``organization`` the one on whose behalf a
    professional or a system acts; ``profession`` a code of TRE_G15. ``token_id`` is what the audit keeps of the token,
    ``name`` the person's or system's name as the token gives it.
    """

    kind: Kind
    subject: str
    client: str = ""
    scopes: Scopes = field(default_factory=lambda: Scopes(()))
    patient: str | None = None
    organization: str | None = None
    profession: str | None = None
    roles: frozenset[str] = frozenset()
    purpose: str = ""
    token_id: str = ""
    name: str = ""

    @property
    def purpose_of_use(self) -> str:
        """The purpose that the token names, or else the one of the kind."""
        return self.purpose or DEFAULT_PURPOSE[self.kind]

    @property
    def may_read(self) -> bool:
        """Tell whether the law lets this caller read personal data at all, whatever anybody consented to."""
        if self.kind in (Kind.INSURER, Kind.PAYER_FEED, Kind.ANONYMOUS):
            return False
        return self.purpose_of_use not in FORBIDDEN


#: Who did not sign in: sees what is public, the conformance resources.
ANONYMOUS = Caller(Kind.ANONYMOUS, "")
