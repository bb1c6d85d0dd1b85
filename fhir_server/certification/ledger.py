"""What a run has found: for each rule who kept it and what broke it, with the exchanges that show it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fhir_server.certification.traffic import Call, Traffic

#: Exchanges that are kept for each sentence; further ones are counted.
SHOWN = 3


@dataclass
class Breach:
    """What one sentence says: how often, and the first exchanges that it is about."""

    count: int = 0
    shown: list[tuple[str, Traffic]] = field(default_factory=list)


@dataclass
class Account:
    """One rule: how many calls kept it, one of them, and what broke it by sentence."""

    kept: int = 0
    example: tuple[str, Traffic] | None = None
    breaches: dict[str, Breach] = field(default_factory=dict)


class Ledger:
    """Books what rules say of calls."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.requests = 0
        #: Numbers of requests that the judge failed at; the log has the reason.
        self.unjudged: list[int] = []

    def book(self, rule: str, call: Call, sentences: list[str]) -> None:
        """Note what a rule says of a call; no sentence: the call keeps it."""
        account = self.accounts.setdefault(rule, Account())
        if not sentences:
            account.kept += 1
            account.example = account.example or (call.where, call.traffic)
        for sentence in sentences:
            breach = account.breaches.setdefault(sentence, Breach())
            breach.count += 1
            if len(breach.shown) < SHOWN:
                breach.shown.append((call.where, call.traffic))
