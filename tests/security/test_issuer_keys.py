"""Keys of issuers over time, and tokens that issuers take back: T10, T12, T35, T36."""

from __future__ import annotations

import logging

import httpx
import pytest
from joserfc.jwk import RSAKey

from fhir_server.access.issuer import Client
from fhir_server.access.issuer import Issuer as Described
from fhir_server.outcome import FhirError
from fhir_server.rest.authentication import Authenticator, Trusted
from fhir_server.rest.issuer_keys import KEPT, PAUSE, IssuerKeys
from tests.security.conftest import CLIENTS, Issuer

BASE = "https://fhir.example.org/fhir"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def own():
    made = Issuer()
    yield made
    made.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def authenticator(own, clock):
    described = Described(own.url, {"portal": Client("person")})
    return Authenticator([Trusted(described, IssuerKeys(described, clock))], BASE, {"Patient"})


async def status(authenticator, token):
    try:
        await authenticator.caller({"authorization": f"Bearer {token}"})
    except FhirError as problem:
        return problem.status
    return 200


async def test_T36_a_new_key_is_found_by_one_download(own, clock, authenticator):
    assert await status(authenticator, own.token(BASE)) == 200
    own.keys["k2"] = RSAKey.generate_key(2048, {"kid": "k2"})
    assert await status(authenticator, own.token(BASE, key="k2")) == 401
    clock.now += PAUSE
    assert await status(authenticator, own.token(BASE, key="k2", jti="t2")) == 200
    assert own.downloads == 2


async def test_T36_a_key_that_is_gone_counts_no_longer(own, clock, authenticator):
    assert await status(authenticator, own.token(BASE)) == 200
    own.keys["k2"] = RSAKey.generate_key(2048, {"kid": "k2"})
    gone = own.keys.pop("k1")
    clock.now += KEPT
    own.keys["k1"] = gone
    token = own.token(BASE, jti="later")
    del own.keys["k1"]
    assert await status(authenticator, token) == 401


async def test_T35_keys_are_not_used_beyond_their_time(own, clock, authenticator):
    assert await status(authenticator, own.token(BASE)) == 200
    own.broken = "500"
    clock.now += KEPT - 1
    assert await status(authenticator, own.token(BASE, jti="t2")) == 200
    clock.now += 1
    assert await status(authenticator, own.token(BASE, jti="t3")) == 503
    assert set(authenticator.health().values()) == {"keys unreachable"}
    own.broken = ""
    assert await status(authenticator, own.token(BASE, jti="t4")) == 503  # not asked again at once
    clock.now += PAUSE
    assert await status(authenticator, own.token(BASE, jti="t5")) == 200


async def test_T34_a_key_set_elsewhere_is_not_followed(own, authenticator):
    own.broken = "redirect"
    assert await status(authenticator, own.token(BASE)) == 503


async def test_T12_a_token_that_its_issuer_takes_back(own, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("s")
    described = Described(
        own.url,
        {"portal": Client("person")},
        introspect="always",
        introspection_endpoint=own.url + "/introspect",
        client_id="fhir",
        client_secret_file=tmp_path / "secret",
    )
    now = 1_900_000_000.0
    authenticator = Authenticator([Trusted(described, IssuerKeys(described))], BASE, {"Patient"}, lambda: now)
    token = own.token(BASE, iat=int(now), exp=int(now) + 3600)
    assert await status(authenticator, token) == 401
    own.active[token] = {"active": True}
    assert await status(authenticator, token) == 200
    del own.active[token]
    now += 59
    assert await status(authenticator, token) == 200
    now += 1
    assert await status(authenticator, token) == 401


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"fhirUser": "Patient/a"}, ("citizen", "Patient/a", "PATRQT")),
        ({"fhirUser": "RelatedPerson/r"}, ("representative", "RelatedPerson/r", "FAMRQT")),
        ({"fhirUser": f"{BASE}/Practitioner/p"}, ("professional", "Practitioner/p", "TREAT")),
        ({"fhirUser": "Practitioner/p", "purpose_of_use": ["TREAT", "HMARKT"]}, ("professional", "Practitioner/p", "HMARKT")),
        (
            {"fhirUser": "Practitioner/p", "extensions": {"ihe_iua": {"purpose_of_use": [{"code": "ETREAT"}]}}},
            ("professional", "Practitioner/p", "ETREAT"),
        ),
        ({"client_id": None, "azp": "app", "patient": "b"}, ("app", "Patient/a", "PATRQT")),
        ({"client_id": "lab", "fhirUser": None, "scope": "system/*.rs patient/*.rs"}, ("system", "Device/lab", "TREAT")),
        ({"client_id": "feed", "fhirUser": None}, ("payer-feed", "Device/feed", "HPAYMT")),
    ],
)  # fmt: skip
async def test_who_a_token_is(own, clock, claims, expected):
    clients = {name: Client(**client) for name, client in CLIENTS.items()} | {"feed": Client("payer-feed")}
    described = Described(own.url, clients)
    authenticator = Authenticator([Trusted(described, IssuerKeys(described, clock))], BASE, {"Patient"})
    found = await authenticator.caller({"authorization": f"Bearer {own.token(BASE, **claims)}"})
    assert (found.kind, found.subject, found.purpose_of_use) == expected
    assert found.token_id == "urn:ietf:params:oauth:jti:t1"
    if found.kind == "system":
        assert [scope.level for scope in found.scopes.resources] == ["system"]
        assert found.organization == "Organization/lab"
    if found.kind == "citizen":
        assert found.patient == "a"


async def test_T33_scopes_of_nobody_grant_nothing(own, authenticator):
    token = own.token(BASE, fhirUser=None, scope="user/*.rs patient/*.rs")
    found = await authenticator.caller({"authorization": f"Bearer {token}"})
    assert found.scopes.resources == ()
    with_user = own.token(BASE, scope="system/*.rs user/*.rs")
    found = await authenticator.caller({"authorization": f"Bearer {with_user}"})
    assert [scope.level for scope in found.scopes.resources] == ["user"]


def test_T10_tokens_are_never_logged(site_with, own, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with site_with(
        {"auth.issuers": [{"issuer": own.url, "clients": CLIENTS}], "log.level": "debug"}
    ) as client:
        base = str(client.base_url) + "/fhir"
        good = own.token(base)
        bad = own.token(base, exp=1)
        httpx.get(f"{base}/Patient", headers={"Authorization": f"Bearer {good}"})
        httpx.get(f"{base}/Patient", headers={"Authorization": f"Bearer {bad}"})
        httpx.get(f"{base}/Patient", params={"access_token": good})
        httpx.post(f"{base}/Patient/_search", data={"access_token": good})
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    written = " ".join(record.getMessage() for record in ours) + "".join(capfd.readouterr())
    assert "token refused: expired" in written
    for token in (good, bad):
        assert token.split(".")[1] not in written
        assert token.split(".")[2] not in written
