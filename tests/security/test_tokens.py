"""Tokens of external issuers: T01 to T12 and T29 to T40 of the hardening checklist, over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from tests.security.conftest import CLIENTS, Issuer, part


@pytest.fixture(scope="module")
def base(site_with, issuer, tmp_path_factory):
    secret = tmp_path_factory.mktemp("secret") / "introspection"
    secret.write_text("s3cret\n")
    opaque = {
        "issuer": issuer.url, "clients": CLIENTS, "introspect": "opaque", "client_id": "fhir",
        "introspection_endpoint": issuer.url + "/introspect", "client_secret_file": str(secret),
    }  # fmt: skip
    smart = {
        "authorization_endpoint": "https://auth.example.org/authorize",
        "token_endpoint": "https://auth.example.org/token",
        "capabilities": ["launch-standalone", "client-public"],
    }
    away = {"issuer": "http://127.0.0.1:9/away", "clients": CLIENTS}
    flags = {
        "auth.issuers": [opaque, away],
        "auth.smart": smart,
        "auth.origins": "https://app.example.org",
        "update.create": True,
    }
    with site_with(flags) as client:
        yield str(client.base_url) + "/fhir"


def get(base, token=None, **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.get(f"{base}/Patient?_id=a", headers=headers)


def refused(answer, code="login"):
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    issue = answer.json()["issue"][0]
    assert issue["code"] == code
    assert issue["diagnostics"] == "The access token is not accepted; sign in again."


def test_a_good_token_is_accepted(base, issuer):
    assert get(base, issuer.token(base)).status_code == 200
    assert get(base, issuer.token(base, key="e1", algorithm="ES384")).status_code == 200
    assert get(base, issuer.token(base, aud=["https://x.example.org", base + "/"])).status_code == 200
    assert get(base, issuer.token(base, fhirUser=f"{base}/Patient/a")).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}])
def test_T01_no_token_is_asked_for_without_an_error(base, headers):
    answer = httpx.get(f"{base}/Patient", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["issue"][0]["code"] == "login"
    assert answer.json()["resourceType"] == "OperationOutcome"


NOW = time.time
HEAD = {"alg": "RS256", "typ": "at+jwt", "kid": "k1"}


def signed(issuer, payload, head=HEAD):
    return jws.serialize_compact(head, payload, issuer.keys["k1"], ["RS256"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (lambda: {"exp": int(NOW()) - 1}, "expired"),
        (lambda: {"nbf": int(NOW()) + 120}, "login"),
        (lambda: {"iat": int(NOW()) + 120}, "login"),
        (lambda: {"exp": None}, "login"),
        (lambda: {"exp": str(int(NOW()) + 300)}, "login"),
        (lambda: {"exp": NOW() + 300.5}, "login"),
        (lambda: {"exp": 10**30}, "login"),
        (lambda: {"exp": True}, "login"),
        (lambda: {"iat": "yesterday"}, "login"),
    ],
)
def test_T02_dates(base, issuer, changes, code):
    refused(get(base, issuer.token(base, **changes())), code)


def test_T02_clocks_may_differ_by_less_than_a_minute(base, issuer):
    now = int(time.time())
    assert get(base, issuer.token(base, nbf=now + 30, iat=now + 30)).status_code == 200


@pytest.mark.parametrize("name", ["none", "None", "NONE"])
@pytest.mark.parametrize("signature", ["", part(b"x")])
def test_T03_unsigned(base, issuer, name, signature):
    head = {"alg": name, "typ": "at+jwt", "kid": "k1"}
    refused(get(base, f"{part(head)}.{part(issuer.claims(base))}.{signature}"))


def test_T04_public_key_as_a_shared_secret(base, issuer):
    body = f"{part({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'k1'})}.{part(issuer.claims(base))}"
    signature = hmac.new(issuer.keys["k1"].as_pem(private=False), body.encode(), hashlib.sha256).digest()
    refused(get(base, f"{body}.{part(signature)}"))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://unknown.example.org"},
        {"aud": "https://other.example.org/fhir"},
        {"aud": None},
        {"aud": []},
        {"client_id": "stranger"},
        {"client_id": None},
        {"client_id": ["portal"]},
        {"iss": None},
        {"iss": ["x"]},
    ],
)
def test_T05_issuer_audience_client(base, issuer, changes):
    refused(get(base, issuer.token(base, **changes)))


def test_T05_issuer_by_its_exact_name(base, issuer):
    refused(get(base, issuer.token(base, iss=issuer.url + "/")))
    refused(get(base, issuer.token(base, iss=issuer.url.upper())))


def test_T05_another_issuers_key_proves_nothing(base, issuer):
    stranger = Issuer()
    try:
        refused(get(base, stranger.token(base, iss=issuer.url)))
    finally:
        stranger.stop()


def test_T06_random_kids_cause_no_downloads(base, issuer):
    get(base, issuer.token(base))
    before = issuer.downloads
    with httpx.Client() as client:
        for number in range(200):
            token = issuer.token(base, header={"kid": f"r{number}"})
            answer = client.get(f"{base}/Patient", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401
    assert issuer.downloads <= before + 1


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../etc/passwd"},
        {"kid": "URL"},
        {"kid": "k" * 5000},
        {"kid": None},
        {"kid": 5},
        {"kid": "unknown", "jku": "URL"},
        {"kid": "unknown", "x5u": "URL"},
        {"kid": "unknown", "x5c": ["MIIB"]},
        {"kid": "unknown", "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
    ],
)
def test_T07_keys_are_the_issuers_alone(base, issuer, header):
    stranger = Issuer()
    try:
        head = {k: stranger.url + "/jwks" if v == "URL" else v for k, v in header.items()}
        sent = {"alg": "RS256", "typ": "at+jwt"} | {k: v for k, v in head.items() if v is not None}
        refused(get(base, f"{part(sent)}.{part(issuer.claims(base))}.{part(b'x' * 256)}"))
        assert stranger.requests == []
    finally:
        stranger.stop()


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False}]
)
def test_T08_critical_extensions(base, issuer, extra):
    token = issuer.token(base)
    _, payload, signature = token.split(".")
    head = {"alg": "RS256", "typ": "at+jwt", "kid": "k1"} | extra
    refused(get(base, f"{part(head)}.{payload}.{signature}"))


def test_T08_type_of_token(base, issuer):
    refused(get(base, issuer.token(base, header={"typ": "dpop+jwt"})))
    refused(get(base, signed(issuer, json.dumps(issuer.claims(base)), {"alg": "RS256", "kid": "k1"})))
    assert get(base, issuer.token(base, header={"typ": "JWT"})).status_code == 200


def test_T09_tampered(base, issuer):
    head, payload, signature = issuer.token(base).split(".")
    refused(get(base, f"{head}.{part(issuer.claims(base, scope='user/*.cruds'))}.{signature}"))
    refused(get(base, f"{head}.{payload}.{signature[:-8]}"))
    refused(get(base, f"{head}.{payload}.{signature}="))
    refused(get(base, "a.b.c"))
    refused(get(base, f"{head}.{payload}."))
    refused(get(base, issuer.token(base, padding="x" * 9000)))


def test_T09_huge(base):
    answer = get(base, "x" * 40_000)
    assert answer.status_code == 431
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_T10_tokens_elsewhere_are_no_tokens(base, issuer):
    token = issuer.token(base)
    answer = httpx.get(f"{base}/Patient", params={"access_token": token})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.post(f"{base}/Patient/_search", data={"access_token": token}).status_code == 401


def test_T11_two_tokens(base, issuer):
    token = issuer.token(base)
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    for headers in (
        twice,
        {"Authorization": f"Bearer {token} {token}"},
        {"Authorization": f"Bearer {token}, x"},
    ):
        answer = httpx.get(f"{base}/Patient", headers=headers)
        assert answer.status_code == 400
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_request"'


def test_T12_opaque_tokens_are_asked_about(base, issuer):
    now = int(time.time())
    issuer.active["good-opaque"] = {"active": True, **issuer.claims(base)}
    issuer.active["short-opaque"] = {"active": True, **issuer.claims(base, exp=now + 2)}
    assert get(base, "good-opaque").status_code == 200
    assert get(base, "short-opaque").status_code == 200
    refused(get(base, "unknown-opaque"))
    issuer.active["foreign-opaque"] = {"active": True, **issuer.claims(base, aud="https://x.example.org")}
    refused(get(base, "foreign-opaque"))
    del issuer.active["short-opaque"]
    time.sleep(2.1)
    refused(get(base, "short-opaque"))


def test_T29_the_configured_base_only(base):
    forged = {
        "Host": "evil.example.org",
        "X-Forwarded-Host": "evil.example.org",
        "Forwarded": "host=evil.example.org",
    }
    for path in ("/.well-known/smart-configuration", "/metadata", "/Patient"):
        answer = httpx.get(base + path, headers=forged)
        assert "evil" not in answer.text
        assert "evil" not in str(answer.headers)


def test_T24_cors(base, issuer):
    known, other = "https://app.example.org", "https://evil.example.org"
    token = issuer.token(base)
    assert get(base, token, Origin=known).headers["access-control-allow-origin"] == known
    for origin in (other, "null", known + ".evil.org", known.upper()):
        assert "access-control-allow-origin" not in get(base, token, Origin=origin).headers
    asked = {
        "Origin": known,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = httpx.options(f"{base}/Patient", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == known
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert (
        "access-control-allow-origin"
        not in httpx.options(f"{base}/Patient", headers=asked | {"Origin": other}).headers
    )
    # A refusal can be read by the page too.
    assert (
        httpx.get(f"{base}/Patient", headers={"Origin": known}).headers["access-control-allow-origin"]
        == known
    )


def test_T24_the_configuration_is_for_all(base):
    answer = httpx.get(
        f"{base}/.well-known/smart-configuration",
        headers={"Origin": "https://app.example.org", "Accept": "text/html"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    found = answer.json()
    assert found["authorization_endpoint"] == "https://auth.example.org/authorize"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert "authorization_code" in found["grant_types_supported"]
    assert {"permission-v1", "permission-v2", "launch-standalone"} <= set(found["capabilities"])
    assert "issuer" not in found
    assert "jwks_uri" not in found


def test_the_capability_statement_says_how_to_sign_in(base):
    answer = httpx.get(f"{base}/metadata")
    assert answer.status_code == 200
    security = answer.json()["rest"][0]["security"]
    assert security["cors"] is True
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    uris = {e["url"]: e["valueUri"] for e in security["extension"][0]["extension"]}
    assert uris == {
        "authorize": "https://auth.example.org/authorize",
        "token": "https://auth.example.org/token",
    }
    assert httpx.get(f"{base}/metadata", headers={"Authorization": "Bearer bad"}).status_code == 200


def test_T31_id_tokens_and_refresh_tokens(base, issuer):
    refused(get(base, issuer.token(base, aud="portal", nonce="n")))
    refused(get(base, issuer.token(base, at_hash="x")))
    refused(get(base, issuer.token(base, typ="ID")))
    refused(get(base, issuer.token(base, typ="Refresh")))


def test_T33_users_who_are_nobody_here(base, issuer):
    refused(get(base, issuer.token(base, fhirUser="https://other.example.org/fhir/Practitioner/1")))
    refused(get(base, issuer.token(base, fhirUser="Device/1")))
    refused(get(base, issuer.token(base, fhirUser="Patient/a/b")))
    refused(get(base, issuer.token(base, patient="../b")))


def test_T35_an_issuer_that_is_away(base, issuer):
    answer = get(base, issuer.token(base, iss="http://127.0.0.1:9/away"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert get(base, issuer.token(base)).status_code == 200
    ready = httpx.get(base.removesuffix("/fhir") + "/health/ready").json()
    assert ready["issuers"] == {issuer.url: "ready", "http://127.0.0.1:9/away": "keys unreachable"}


@pytest.mark.parametrize("broken", ["500", "redirect", "large", "slow"])
def test_T34_an_introspection_endpoint_that_fails(base, issuer, broken):
    issuer.broken = broken
    try:
        answer = get(base, f"asked-while-{broken}")
    finally:
        issuer.broken = ""
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_T39_bound_to_a_key(base, issuer):
    refused(get(base, issuer.token(base, cnf={"jkt": "x"})))


def test_T40_payloads_that_two_readers_read_differently(base, issuer):
    text = json.dumps(issuer.claims(base))
    assert get(base, signed(issuer, text)).status_code == 200
    refused(get(base, signed(issuer, text[:-1] + ', "fhirUser": "Patient/b"}')))
    refused(get(base, signed(issuer, f"[{text}]")))
    refused(get(base, signed(issuer, text.encode()[:-1] + b', "x": "\xff"}')))
    refused(get(base, signed(issuer, text[:-1] + ', "x": NaN}')))


def test_T40_a_known_token_ends_with_its_exp(base, issuer):
    token = issuer.token(base, exp=int(time.time()) + 2)
    assert get(base, token).status_code == 200
    time.sleep(2.1)
    refused(get(base, token), "expired")


@pytest.mark.parametrize(
    ("kty", "message"),
    [("oct", "public RSA or EC keys"), ("private", "public RSA or EC keys"), ("none", "can't be read")],
)
def test_T04_a_symmetric_or_private_key_in_the_settings(tmp_path, kty, message):
    from fhir_server.access.issuer import Client
    from fhir_server.access.issuer import Issuer as Described
    from fhir_server.rest.authentication import trusted

    file = tmp_path / "keys.json"
    if kty == "oct":
        file.write_text(json.dumps({"keys": [{"kty": "oct", "k": part(b"-----BEGIN PUBLIC KEY-----")}]}))
    elif kty == "private":
        file.write_text(json.dumps({"keys": [RSAKey.generate_key(2048).as_dict(private=True)]}))
    with pytest.raises(ValueError, match=message):
        trusted([Described("https://a.example.org", {"x": Client("app")}, jwks_file=file)])


def test_T32_a_patient_whom_nobody_knows(base, issuer):
    token = issuer.token(base, client_id="app", fhirUser=None, patient="never", scope="patient/*.rs")
    assert get(base, token).json().get("entry", []) == []
    answer = httpx.get(f"{base}/Patient/never", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 404


def test_T33_a_user_scope_without_a_user(base, issuer):
    assert get(base, issuer.token(base, fhirUser=None, scope="user/*.rs")).status_code == 403


def test_T37_a_token_without_scopes_of_resources(base, issuer):
    token = issuer.token(base, scope="openid fhirUser")
    assert get(base, token).status_code == 403
    assert httpx.get(f"{base}/metadata", headers={"Authorization": f"Bearer {token}"}).status_code == 200
