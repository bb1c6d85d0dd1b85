"""The development authorization server: T12 to T28 and T37, T38 of the hardening checklist, over HTTP."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.security.app_under_test import CALLBACK, App, Backend, answer_of, challenge
from tests.security.conftest import part


@pytest.fixture(scope="module")
def people(site_with):
    """The people who sign in."""
    with site_with({}) as client:
        for type_, id_, name in (
            ("Patient", "a", "Alice Martin"),
            ("Patient", "b", "Bruno Petit"),
            ("Practitioner", "p", "Paul Durand"),
        ):
            body = {"resourceType": type_, "id": id_, "name": [{"text": name}]}
            assert client.put(f"/fhir/{type_}/{id_}", json=body).status_code in (200, 201)
        role = {
            "resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/p"},
            "organization": {"reference": "Organization/o"}, "code": [{"coding": [{"code": "10"}]}],
        }  # fmt: skip
        assert client.put("/fhir/PractitionerRole/r", json=role).status_code in (200, 201)


@pytest.fixture(scope="module")
def site(site_with, people):
    with site_with({"auth.dev_server": True}) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def app(site):
    return App(site)


@pytest.fixture(scope="module")
def backend(site):
    return Backend(site)


@pytest.fixture(scope="module")
def inspector(site):
    return App(site, token_endpoint_auth_method="client_secret_basic", may_introspect=True)


def data(site, token):
    return httpx.get(f"{site}/fhir/Patient?_id=a", headers={"Authorization": f"Bearer {token}"})


def refused(answer, code, status=400):
    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text
    assert answer.headers["cache-control"] == "no-store"


def claims_of(site, token):
    keys = KeySet.import_key_set(httpx.get(f"{site}/auth/jwks").json())
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


def test_standalone_launch(site, app):
    answer = app.exchange(code=app.code())
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert found["token_type"] == "Bearer"
    assert found["patient"] == "a"
    assert found["scope"] == "openid fhirUser launch/patient patient/*.rs offline_access"
    assert found["expires_in"] == 3600
    assert data(site, found["access_token"]).status_code == 200
    identity = claims_of(site, found["id_token"])
    assert identity["fhirUser"] == f"{site}/fhir/Patient/a"
    assert (identity["aud"], identity["nonce"], identity["iss"]) == (app.id, "n1", f"{site}/auth")
    again = app.refresh(found["refresh_token"]).json()
    assert again["patient"] == "a"
    assert data(site, again["access_token"]).status_code == 200


def test_the_state_and_the_issuer_come_back(site, app):
    answer = answer_of(app.agrees(app.asks()))
    assert answer["state"] == "s<&>é"
    assert answer["iss"] == f"{site}/auth"


def test_ehr_launch(site):
    app = App(site, launch_uri="https://app.example.org/launch")
    form = {"client_id": app.id, "patient": "b", "encounter": "e1", "user": "Practitioner/p"}
    launch = answer_of(httpx.post(f"{site}/auth/launch", data=form))
    assert launch["iss"] == f"{site}/fhir"
    asked = {"scope": "launch openid fhirUser patient/*.rs user/*.rs", "launch": launch["launch"]}
    found = app.tokens(asked, persona="Patient/a", patient="a")
    assert (found["patient"], found["encounter"]) == ("b", "e1")
    claims = claims_of(site, found["access_token"])
    assert claims["fhirUser"] == "Practitioner/p"
    assert (claims["organization"], claims["profession"]) == ("Organization/o", "10")
    assert answer_of(app.asks(**asked | {"launch": "other"}))["error"] == "invalid_request"
    assert answer_of(app.asks(**asked | {"launch": None}))["error"] == "invalid_request"
    assert "<select" in httpx.get(f"{site}/auth/launch").text


def test_a_professional_chooses_a_patient(app):
    found = app.tokens(persona="Practitioner/p", patient="b")
    assert found["patient"] == "b"


def test_scopes_can_be_refused_one_by_one(app):
    asked = {
        "scope": "launch/patient patient/Observation.rs?category=vital-signs patient/Condition.rs patient/Nonsense.rs"
    }
    page = app.asks(**asked)
    assert "mesures" in app_page(app, asked, "fr").text
    found = answer_of(
        app.agrees(page, scope=["patient/Observation.rs?category=vital-signs", "patient/Patient.cruds"])
    )
    tokens = app.exchange(code=found["code"]).json()
    assert tokens["scope"] == "patient/Observation.rs?category=vital-signs"


def app_page(app, asked, language):
    query = {
        "response_type": "code", "client_id": app.id, "redirect_uri": CALLBACK, "state": "s", "aud": app.base,
        "code_challenge": challenge(app.verifier), "code_challenge_method": "S256", **asked,
    }  # fmt: skip
    return httpx.get(f"{app.site}/auth/authorize", params=query, headers={"Accept-Language": language})


def test_authorize_by_post(app):
    asked = app.asks().request.url.params
    page = httpx.post(f"{app.site}/auth/authorize", data=dict(asked))
    assert page.status_code == 200
    assert "code" in answer_of(app.agrees(page))


def test_backend_keys_at_an_address(site, issuer):
    backend = Backend(site, jwks=None, jwks_uri=issuer.url + "/jwks")
    backend.key = issuer.keys["e1"]
    backend.algorithm = "ES384"
    assertion = backend.assertion(header={"kid": "e1", "jku": issuer.url + "/jwks"})
    assert backend.asks_token(assertion).status_code == 200
    refused(backend.asks_token(backend.assertion(header={"kid": "e2"})), "invalid_client")


def test_refusal_goes_to_the_app(app):
    assert answer_of(app.agrees(app.asks(), action="deny"))["error"] == "access_denied"
    assert answer_of(app.agrees(app.asks(), scope=None))["error"] == "access_denied"
    assert answer_of(app.agrees(app.asks(), persona="Patient/unknown"))["error"] == "access_denied"
    assert answer_of(app.agrees(app.asks(), simulate="server_error"))["error"] == "server_error"


def test_T12_revoked_tokens_end_at_once(site, app):
    found = app.tokens()
    other = App(site)
    form = {"token": found["access_token"], "client_id": other.id}
    assert httpx.post(f"{site}/auth/revoke", data=form).status_code == 200
    assert data(site, found["access_token"]).status_code == 200
    assert httpx.post(f"{site}/auth/revoke", data=form | {"client_id": app.id}).status_code == 200
    assert data(site, found["access_token"]).status_code == 401
    refused(app.refresh(found["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_T13_backend_services_and_replay(site, algorithm):
    backend = Backend(site, algorithm)
    assertion = backend.assertion()
    answer = backend.asks_token(assertion)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 300, "system/*.rs")
    assert "refresh_token" not in found
    assert data(site, found["access_token"]).status_code == 200
    refused(backend.asks_token(assertion), "invalid_client")


@pytest.mark.parametrize(
    "change",
    [
        {"exp": int(time.time()) + 3600},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"iss": "other"},
        {"sub": "other"},
        {"aud": "https://other.example.org/token"},
        {"aud": None},
        {"jti": None},
        {"header": {"kid": "other"}},
        {"header": {"jku": "https://evil.example.org/jwks"}},
    ],
)
def test_T14_assertions_that_prove_nothing(backend, change):
    refused(backend.asks_token(backend.assertion(**change)), "invalid_client")


def test_T14_signatures_and_types(site, backend):
    head, payload, signature = backend.assertion().split(".")
    refused(backend.asks_token(f"{head}.{payload}.{signature[:-6]}AAAAAA"), "invalid_client")
    unsigned = f"{part({'alg': 'none', 'kid': 'b1', 'typ': 'JWT'})}.{payload}."
    refused(backend.asks_token(unsigned), "invalid_client")
    refused(backend.asks_token(client_assertion_type="urn:other"), "invalid_client")
    stranger = Backend(site)
    refused(backend.asks_token(stranger.assertion(iss=backend.id, sub=backend.id)), "invalid_client")
    refused(backend.asks_token(scope="patient/*.rs"), "invalid_scope")


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        (None, "invalid_request"),
        ("telepathy", "unsupported_grant_type"),
        ("password", "unsupported_grant_type"),
        ("implicit", "unsupported_grant_type"),
    ],
)
def test_T15_grant_types(app, grant, code):
    refused(app.exchange(grant_type=grant, code="x"), code)


@pytest.mark.parametrize(
    "change", [{"code_challenge": None}, {"code_challenge_method": "plain"}, {"code_challenge": "short"}]
)
def test_T16_pkce_is_required(app, change):
    answer = answer_of(app.asks(**change))
    assert answer["error"] == "invalid_request"
    assert "code" not in answer


@pytest.mark.parametrize("verifier", [None, "", "w" * 50, "CHALLENGE"])
def test_T16_a_wrong_verifier_burns_the_code(app, verifier):
    code = app.code()
    wrong = challenge(app.verifier) if verifier == "CHALLENGE" else verifier
    refused(app.exchange(code=code, code_verifier=wrong), "invalid_grant")
    refused(app.exchange(code=code), "invalid_grant")


def test_T17_codes(site, app, mongo_client, module_database_name):
    refused(app.exchange(code="unknown"), "invalid_grant")
    code = app.code()
    found = app.exchange(code=code).json()
    assert data(site, found["access_token"]).status_code == 200
    refused(app.exchange(code=code), "invalid_grant")
    assert data(site, found["access_token"]).status_code == 401
    refused(app.refresh(found["refresh_token"]), "invalid_grant")
    other = App(site)
    refused(other.exchange(code=app.code(), code_verifier=app.verifier), "invalid_grant")
    refused(app.exchange(code=app.code(), redirect_uri=CALLBACK + "/x"), "invalid_grant")
    refused(app.exchange(code=app.code(), redirect_uri=None), "invalid_grant")
    late = app.code()
    entries = mongo_client[module_database_name]["oauth"]
    assert all(late not in str(entry) for entry in entries.find())
    [ends] = [e["until"] for e in entries.find({"entry": "code"}).sort("until", -1).limit(1)]
    assert ends.replace(tzinfo=UTC) <= datetime.now(UTC) + timedelta(seconds=60)
    entries.update_many({"entry": "code"}, {"$set": {"until": datetime.now(UTC) - timedelta(seconds=1)}})
    refused(app.exchange(code=late), "invalid_grant")


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK[:-1],
        CALLBACK + "/x",
        CALLBACK.replace(".org", ".org:8443"),
        "https://app.example.org/../callback",
        "https://user@app.example.org/callback",
        CALLBACK + "#x",
        "javascript:alert(1)",
        CALLBACK.replace("https", "http"),
        CALLBACK.upper(),
    ],
)
def test_T18_redirect_uris_by_their_exact_text(app, uri):
    answer = app.asks(redirect_uri=uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")


def test_T18_missing_with_several_registered(site, app):
    several = App(site, redirect_uris=[CALLBACK, CALLBACK + "2"])
    assert several.asks(redirect_uri=None).status_code == 400
    assert app.asks(redirect_uri=None).status_code == 200
    assert app.asks(client_id="unknown").status_code == 400


@pytest.mark.parametrize(
    "uri", ["http://app.example.org/cb", "https://a/b#c", "javascript:x", "data:x", "myapp:cb", ""]
)
def test_T18_redirect_uris_that_are_not_registered(site, uri):
    answer = httpx.post(f"{site}/auth/register", json={"redirect_uris": [uri]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


def test_T19_state(app):
    assert answer_of(app.asks(state=None))["error"] == "invalid_request"
    assert app.asks(state="x" * 2048).status_code == 400
    markup = '"><script>alert(1)</script>'
    response = app.agrees(app.asks(state=markup))
    assert answer_of(response)["state"] == markup
    assert "<script>" not in response.headers["location"]


def test_T20_audience(app):
    for aud in (None, "https://other.example.org/fhir"):
        answer = answer_of(app.asks(aud=aud))
        assert answer["error"] == "invalid_request"
        assert "code" not in answer
    assert app.asks(aud=app.base + "/").status_code == 200


def test_T21_a_refresh_token_used_twice_ends_the_family(site, app):
    first = app.tokens()
    second = app.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    refused(app.refresh(first["refresh_token"]), "invalid_grant")
    refused(app.refresh(second["refresh_token"]), "invalid_grant")
    assert data(site, second["access_token"]).status_code == 401


def test_a_public_client_need_not_name_itself_when_it_refreshes(site, app):
    token = app.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert httpx.post(f"{site}/auth/token", data=form).json()["access_token"]
    refused(httpx.post(f"{site}/auth/token", data=form | {"refresh_token": "other"}), "invalid_client")
    confidential = App(site, token_endpoint_auth_method="client_secret_basic")
    form["refresh_token"] = confidential.tokens()["refresh_token"]
    refused(httpx.post(f"{site}/auth/token", data=form), "invalid_client")


def test_the_launch_page_may_lead_on_to_the_apps(site):
    App(site, launch_uri="https://launched.example.org/launch")
    policy = httpx.get(f"{site}/auth/launch").headers["content-security-policy"]
    [allowed] = [part for part in policy.split("; ") if part.startswith("form-action ")]
    assert "https://launched.example.org" in allowed.split()
    assert "*" not in allowed


def test_a_person_with_a_given_name_that_is_null(site_with, site, app):
    body = {
        "resourceType": "Patient", "id": "null",
        "name": [{"family": "Nouveau", "given": [None], "_given": [{"extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}]}],
    }  # fmt: skip
    with site_with({}) as client:
        assert client.put("/fhir/Patient/null", json=body).status_code in (200, 201)
    assert "Nouveau" in app.asks().text


def test_T22_scopes_of_a_refresh(site, app):
    found = app.tokens()
    refused(app.refresh(found["refresh_token"], scope="patient/*.cruds"), "invalid_scope")
    refused(App(site).refresh(found["refresh_token"]), "invalid_grant")
    fewer = app.refresh(found["refresh_token"], scope="patient/Observation.r")
    assert fewer.status_code == 200
    assert fewer.json()["scope"] == "patient/Observation.r"


def test_T23_introspection(site, app, inspector):
    found = app.tokens()
    url, form = f"{site}/auth/introspect", {"token": found["access_token"]}
    assert httpx.post(url, data=form).status_code == 401
    unentitled = App(site, token_endpoint_auth_method="client_secret_basic")
    assert httpx.post(url, data=form, auth=unentitled.auth).status_code == 403
    known = httpx.post(url, data=form, auth=inspector.auth).json()
    assert known["active"] is True
    assert {"scope", "client_id", "exp"} <= set(known)
    assert (known["patient"], known["fhirUser"]) == ("a", f"{site}/fhir/Patient/a")
    assert (known["iss"], known["sub"]) == (f"{site}/auth", "Patient/a")
    httpx.post(f"{site}/auth/revoke", data=form | {"client_id": app.id})
    for token in (found["access_token"], "unknown", "a.b.c", "", found["id_token"]):
        answer = httpx.post(url, data={"token": token}, auth=inspector.auth)
        assert (answer.status_code, answer.json()) == (200, {"active": False})


def test_client_secrets_go_by_basic(site, inspector):
    assert inspector.exchange(code=inspector.code()).status_code == 200
    wrong = httpx.post(
        f"{site}/auth/token", data={"grant_type": "authorization_code"}, auth=(inspector.id, "wrong")
    )
    refused(wrong, "invalid_client", 401)
    assert wrong.headers["www-authenticate"].startswith("Basic")
    without = httpx.post(
        f"{site}/auth/token", data={"grant_type": "authorization_code", "client_id": inspector.id}
    )
    refused(without, "invalid_client")
    twice = httpx.post(
        f"{site}/auth/token",
        content="grant_type=a&grant_type=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    refused(twice, "invalid_request")


def test_T24_cors_of_registered_apps(site, app):
    origin = {"Origin": "https://app.example.org"}
    asked = origin | {"Access-Control-Request-Method": "POST"}
    assert (
        httpx.options(f"{site}/auth/token", headers=asked).headers["access-control-allow-origin"]
        == origin["Origin"]
    )
    answer = httpx.post(f"{site}/auth/token", data={"x": "y"}, headers=origin)
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]
    other = httpx.post(f"{site}/auth/token", data={"x": "y"}, headers={"Origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in other.headers
    assert (
        httpx.get(f"{site}/fhir/Patient", headers=origin).headers["access-control-allow-origin"]
        == origin["Origin"]
    )
    assert httpx.get(f"{site}/auth/jwks").headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("change", [{"request": None}, {"request": "foreign"}, {"cookie": "foreign"}])
def test_T25_forms_from_elsewhere(app, change):
    answer = app.agrees(app.asks(), **change)
    assert answer.status_code == 403
    assert "location" not in answer.headers


def test_T25_a_form_counts_once(app):
    page = app.asks()
    assert app.agrees(page).status_code == 303
    assert app.agrees(page).status_code == 403


def test_T26_pages(site, app):
    for page in (app.asks(), httpx.get(f"{site}/auth/launch"), app.asks(redirect_uri="x")):
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text
        assert 'lang="en"' in page.text
    assert "&lt;b&gt;Demo" in app.asks().text
    assert "<b>Demo" not in app.asks().text


def test_the_page_is_accessible(app):
    text = app_page(app, {"scope": "launch/patient patient/*.rs"}, "fr-FR,fr").text
    assert '<html lang="fr">' in text
    assert "Autoriser" in text
    assert text.count("<h1>") == 1
    assert len(re.findall(r"<fieldset>", text)) == len(re.findall(r"<legend>", text))
    # each field stands in a label
    outside = re.sub(r"<label\b.*?</label>", "", text)
    assert not re.search(r"<(select|input(?! type=\"hidden\"))", outside)


def test_T27_the_cookie_of_a_browser(site, app):
    first, second = app.asks().headers["set-cookie"], app.asks().headers["set-cookie"]
    assert first.partition(";")[0] != second.partition(";")[0]
    assert all(attribute in first for attribute in ("HttpOnly", "SameSite=lax", "Path=/"))


def test_T27_the_cookie_over_https(site_with):
    with site_with({"auth.dev_server": True, "http.base_url": "https://fhir.example.org/fhir"}) as client:
        app = App(str(client.base_url).rstrip("/"))
        app.base = "https://fhir.example.org/fhir"
        cookie = app.asks().headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        found = client.get(
            "/fhir/.well-known/smart-configuration", headers={"Host": "evil.example.org"}
        ).json()
        assert found["token_endpoint"] == "https://fhir.example.org/auth/token"
        assert client.get("/fhir/metadata", headers={"Host": "evil.example.org"}).text.count("evil") == 0


def test_T29_discovery(site):
    found = httpx.get(f"{site}/fhir/.well-known/smart-configuration").json()
    assert found["issuer"] == f"{site}/auth"
    assert found["jwks_uri"] == f"{site}/auth/jwks"
    assert {"RS384", "ES384"} <= set(found["token_endpoint_auth_signing_alg_values_supported"])
    assert {"launch-ehr", "launch-standalone", "sso-openid-connect"} <= set(found["capabilities"])
    openid = httpx.get(f"{site}/auth/.well-known/openid-configuration").json()
    assert openid["issuer"] == found["issuer"]
    for name in (
        "authorization_endpoint",
        "token_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "registration_endpoint",
    ):
        assert openid[name] == found[name]
    [key] = httpx.get(found["jwks_uri"]).json()["keys"]
    assert "d" not in key
    assert key["kty"] == "RSA"


def test_T31_other_tokens_at_the_api(site, app):
    found = app.tokens()
    assert data(site, found["id_token"]).status_code == 401
    assert data(site, found["refresh_token"]).status_code == 401


def test_T38_a_disabled_client(site):
    app = App(site)
    found = app.tokens()
    url = app.registered["registration_client_uri"]
    assert httpx.delete(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
    manager = app.registered["registration_access_token"]
    assert httpx.delete(url, headers={"Authorization": f"Bearer {manager}"}).status_code == 204
    assert data(site, found["access_token"]).status_code == 401
    refused(app.refresh(found["refresh_token"]), "invalid_client")
    assert app.asks().status_code == 400


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"},
        {"redirect_uris": [CALLBACK], "grant_types": ["implicit"]},
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"},
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"},
        {"redirect_uris": [CALLBACK], "kind": "king"},
        {"redirect_uris": [CALLBACK], "jwks_uri": "http://10.0.0.1/keys"},
    ],
)
def test_registrations_that_are_refused(site, document):
    answer = httpx.post(f"{site}/auth/register", json=document)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_without_the_setting_there_is_no_such_server(site_with):
    with site_with({}) as client:
        for path in ("authorize", "jwks", ".well-known/openid-configuration"):
            assert client.get(f"/auth/{path}").status_code == 404
        assert client.get("/fhir/.well-known/smart-configuration").status_code == 404
        assert "security" not in client.get("/fhir/metadata").json()["rest"][0]


def test_fhirclient_py_launches(site, app):
    from fhirclient.client import FHIRClient

    settings = {
        "app_id": app.id,
        "api_base": app.base,
        "redirect_uri": CALLBACK,
        "scope": "patient/*.rs openid fhirUser offline_access",
    }
    client = FHIRClient(settings=settings, save_func=lambda state: None)
    assert client.prepare() is False
    page = httpx.get(client.authorize_url)
    assert page.status_code == 200
    client.handle_callback(app.agrees(page).headers["location"])
    assert client.ready
    assert client.patient.name[0].text == "Alice Martin"
    client.reauthorize()
    assert client.ready


def seen(site, token, path):
    return httpx.get(f"{site}/fhir/{path}", headers={"Authorization": f"Bearer {token}"})


def test_T37_without_scopes_there_is_no_data(site, app):
    found = app.tokens({"scope": "openid fhirUser"})
    assert seen(site, found["access_token"], "metadata").status_code == 200
    assert seen(site, found["access_token"], "Patient").status_code == 403
    assert seen(site, found["access_token"], "Patient/a").status_code == 403


def test_scopes_and_the_patient_are_held_to(site, app):
    token = app.tokens({"scope": "launch/patient patient/Patient.rs"})["access_token"]
    assert seen(site, token, "Patient/a").status_code == 200
    hidden, absent = seen(site, token, "Patient/b"), seen(site, token, "Patient/never")
    assert (hidden.status_code, hidden.text.replace("/b", "/x")) == (404, absent.text.replace("/never", "/x"))
    assert [e["resource"]["id"] for e in seen(site, token, "Patient").json()["entry"]] == ["a"]
    assert seen(site, token, "Observation").status_code == 403
    body = {"resourceType": "Patient", "id": "a"}
    changed = httpx.put(f"{site}/fhir/Patient/a", json=body, headers={"Authorization": f"Bearer {token}"})
    assert changed.status_code == 403
