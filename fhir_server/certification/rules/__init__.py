"""The rules for clients: a function each, by the id that ``conformance/clients/rules.csv`` explains.

A rule returns None when it says nothing about a call, else the sentences on what breaks it; none: the call keeps it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fhir_server.certification.rules import addresses, conduct, contents, headers, searches
from fhir_server.certification.session import Session
from fhir_server.certification.traffic import Call

Check = Callable[[Call, Session], list[str] | None]

RULES: dict[str, Check] = {
    "url-form": addresses.url_form,
    "body-fits-url": addresses.body_fits_url,
    "no-secret-in-url": addresses.no_secret_in_url,
    "no-identifier-in-url": addresses.no_identifier_in_url,
    "content-type": headers.content_type,
    "charset": headers.charset,
    "accept": headers.accept,
    "prefer": headers.prefer,
    "version-form": headers.version_form,
    "update-version": headers.update_version,
    "if-none-exist": headers.if_none_exist,
    "search-parameter": searches.search_parameters,
    "paging": searches.paging,
    "body-readable": contents.readable,
    "retry-after": conduct.waits,
    "conflict": conduct.reads_again,
    "refused-again": conduct.stops,
    "bearer": conduct.bearer,
    "token-in-time": conduct.token_in_time,
    "token-replaced": conduct.token_replaced,
}

#: The rule whose check asks the server.
RESOLVES = "reference-resolves"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule is called: SHALL or SHOULD, its statement and page, and what to mend when it is broken."""

    id: str
    level: str
    statement: str
    page: str
    mend: str


def read_rules(folder: Path) -> dict[str, Rule]:
    """Return the rules in ``rules.csv`` of a folder by their ids."""
    with (folder / "rules.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: Rule(**row) for row in csv.DictReader(file)}


def judged(call: Call, session: Session) -> Iterator[tuple[str, list[str]]]:
    """Yield each rule that has to do with a call, with the sentences on what breaks it."""
    for name, check in RULES.items():
        if (found := check(call, session)) is not None:
            yield name, found
    yield from (contents.sorted_issues(call, session) or {}).items()
