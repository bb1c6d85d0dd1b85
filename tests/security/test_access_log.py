"""C25 and C26: the citizen reads who did what, when and why; professionals don't read the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhir_server.access import OPEN
from fhir_server.access.audit import Act, Situation, event
from fhir_server.access.audit_chain import Signer
from fhir_server.access.caller import Caller, Kind
from fhir_server.interactions.audit_event import visible
from fhir_server.interactions.exchange import FhirRequest
from fhir_server.outcome import FhirError
from fhir_server.store import Store

DOCTOR = Caller(Kind.PROFESSIONAL, "Practitioner/dr", organization="Organization/chu", name="Dr Anne Roux")
UNNAMED = Caller(Kind.PROFESSIONAL, "Practitioner/known", purpose="BTG")
CITIZEN = Caller(Kind.CITIZEN, "Patient/c1", patient="c1")
INSURER = Caller(Kind.INSURER, "Organization/ins")
NOW = 1_790_000_000_000

SENTENCES = [
    (
        (DOCTOR, Act("read", NOW, entity="DocumentReference/secret-id/_history/1", patient="c1")),
        "Dr Anne Roux, of CHU de Lyon, read a document to treat you.",
        "Dr Anne Roux (CHU de Lyon) a consulté un document pour vous soigner.",
    ),
    (
        (
            UNNAMED,
            Act("search-type", NOW + 1, query="GET Observation?patient=c1,other-patient", patient="c1"),
        ),
        "Dr Luc Petit looked through your record in an emergency.",
        "Dr Luc Petit a parcouru votre dossier en urgence.",
    ),
    (
        (CITIZEN, Act("create", NOW + 2, entity="Consent/k/_history/1", patient="c1")),
        "You added one of your decisions about sharing at your request.",
        "Vous avez ajouté une de vos décisions de partage à votre demande.",
    ),
    (
        (INSURER, Act("read", NOW + 3, 403, "forbidden", "Observation/o", patient="c1")),
        "A person whose name is not known was refused to read a measurement or result for reimbursement.",
        (
            "Une personne dont le nom n'est pas connu s'est vu refuser la consultation : une mesure ou un résultat"
            " pour un remboursement."
        ),
    ),
]


@pytest.fixture(scope="module")
def site(
    site_with: Callable[[dict[str, Any]], Any], mongod_uri: str, module_database_name: str
) -> Iterator[httpx.Client]:
    """The application with an audit that knows some events of other callers."""

    async def fill() -> None:
        store = await Store.connect(mongod_uri, database=module_database_name, indexes=lambda _: ())
        log = store.audit_log(Signer(b"k" * 32), None)
        for (caller, act), _, _ in SENTENCES:
            await log.record([event(Situation("http://x/fhir", "192.0.2.1", "r", caller), act)])
            await asyncio.sleep(0.002)
        await log.close()
        await store.close()

    with (
        site_with({"audit.mode": "on"}) as site,
        httpx.Client(base_url=site.base_url.join("fhir/")) as client,
    ):
        asyncio.run(fill())
        client.put(
            "Organization/chu", json={"resourceType": "Organization", "id": "chu", "name": "CHU de Lyon"}
        )
        client.put(
            "Practitioner/known",
            json={
                "resourceType": "Practitioner",
                "id": "known",
                "name": [{"prefix": ["Dr"], "given": ["Luc"], "family": "Petit"}],
            },
        )
        yield client


def told(site: httpx.Client, language: str, **params: Any) -> list[dict[str, Any]]:
    """Return the accesses by the names of their parts, oldest first."""
    answer = site.get("Patient/c1/$access-log", params=params, headers={"accept-language": language})
    assert answer.status_code == 200, answer.text
    rows = [p["part"] for p in answer.json().get("parameter", ()) if p["name"] == "access"]
    return [
        {part["name"]: next(value for key, value in part.items() if key != "name") for part in row}
        for row in reversed(rows)
    ]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_c25_the_citizen_reads_the_access_history(site: httpx.Client, language: str) -> None:
    rows = told(site, language)[:4]
    assert [row["sentence"] for row in rows] == [en if language == "en" else fr for _, en, fr in SENTENCES]
    assert [row["emergency"] for row in rows] == [False, True, False, False]
    assert [row["refused"] for row in rows] == [False, False, False, True]
    assert rows[0]["when"] == "2026-09-21T14:13:20.000Z"


def test_c25_it_tells_no_ids_and_no_queries(site: httpx.Client) -> None:
    text = str(told(site, "en"))
    for secret in ("secret-id", "other-patient", "Practitioner/", "Organization/", "192.0.2.1"):
        assert secret not in text


def test_c25_it_has_pages_and_periods(site: httpx.Client) -> None:
    whole = told(site, "en", start="2026-01-01", _count=1000)
    answer = site.get("Patient/c1/$access-log", params={"_count": 3, "start": "2026-01-01"}).json()
    found = answer["parameter"]
    while found[-1]["name"] == "next":
        found += site.get(found.pop()["valueUrl"]).json()["parameter"]
        assert len(found) < 1000
    times = [row["part"][0]["valueInstant"] for row in found]
    oldest_first = [row["when"] for row in whole]
    assert [time for time in reversed(times) if time in oldest_first] == oldest_first
    assert told(site, "en", end="2020-01-01") == []
    assert site.get("Patient/c1/$access-log", params={"who": "x"}).status_code == 400


def request(caller: Caller) -> FhirRequest:
    """Return a request of a caller."""
    return FhirRequest(
        "GET",
        ("AuditEvent",),
        access=replace(OPEN, caller=caller, own=frozenset({caller.patient} if caller.patient else ())),
    )


@pytest.mark.parametrize("caller", [DOCTOR, INSURER, UNNAMED], ids=["doctor", "insurer", "emergency"])
def test_c26_others_than_the_citizen_and_auditors_are_refused(caller: Caller) -> None:
    with pytest.raises(FhirError) as refused:
        visible(request(caller))
    assert refused.value.status == 403


def test_c26_the_citizen_sees_the_own_record_and_auditors_all() -> None:
    assert visible(request(CITIZEN)) == {"p": {"$in": ["c1"]}}
    assert visible(request(Caller(Kind.AUDITOR, "Practitioner/a"))) == {}
