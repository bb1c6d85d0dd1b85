"""Who asks: every call of the store takes an AccessContext, so that there is no path to data without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.policy import EVERYTHING, Clause

#: The letter for what a resource may refer to: what the caller may see, whatever the scopes name.
REFER = "*"

Policy = Callable[[str, str], Clause]
"""Returns which documents of a type a caller may reach by a letter out of ``cruds`` (SMART's scopes)."""


@dataclass(frozen=True, slots=True)
class AccessContext:
    """The caller of an interaction and what the caller may see.

    ``actor`` names the caller in page links and logs; ``authors`` are the references that are kept as those who
    deposited what the caller writes. ``caller`` is None in open mode and for the server itself. ``own`` are the
    patients for whom the caller decides: the person, or who represents the person in everything.
    """

    actor: str
    policy: Policy
    authors: tuple[str, ...] = ()
    caller: Caller | None = None
    own: frozenset[str] = frozenset()

    @property
    def sees_all(self) -> bool:
        """Tell whether nothing is hidden from the caller, who may then choose ids."""
        return self.caller is None or self.caller.kind is Kind.OPERATOR

    @property
    def needs_entries(self) -> bool:
        """Tell whether the policy asks for the index entries of a document, too: scopes have search parameters."""
        return self.caller is not None and any(scope.conditions for scope in self.caller.scopes.resources)

    @property
    def is_open(self) -> bool:
        """Tell whether nobody signed in: open mode, or the server's own work."""
        return self.caller is None

    def decides_for(self, patient: str) -> bool:
        """Tell whether the caller may do what is a patient's own matter: for the patient, as operator, in open mode."""
        return self.sees_all or patient in self.own

    def filter_for(self, type_: str, letter: str) -> Mapping[str, Any] | None:
        """Return the MongoDB filter that each query on a type carries; {} restricts nothing, None: don't ask."""
        return self.policy(type_, letter).as_filter()

    def admits(self, type_: str, letter: str, document: Mapping[str, Any]) -> bool:
        """Tell of a stored document, a version of a resource of that type, what the filter would."""
        return self.policy(type_, letter).admits(document)


def _everything(type_: str, letter: str) -> Clause:  # noqa: ARG001 (as every policy)
    return EVERYTHING


#: Open mode: no sign-in, everything visible; served on loopback only. Also what the server itself works with.
OPEN = AccessContext("anonymous", _everything)
