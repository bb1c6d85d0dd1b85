"""Each page that the server serves: accessible, without complaint of the browser, the same without JavaScript."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import httpx
import pytest

from fhir_server.definitions.content import examples_that_pass
from tests.browser.accessibility import violations

CALLBACK = "http://127.0.0.1:9/callback"
#: Apps ask for these.
SCOPE = "openid fhirUser launch/patient patient/Observation.rs?category=vital-signs patient/*.cruds user/*.r offline_access"
LOCALES = ("en-GB", "fr-FR")
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def site(site_with):
    """The origin of a server with the citizens of the examples, whose passport may be read without signing in."""
    with site_with({}) as client:
        for type_, id_, body in examples_that_pass():
            if "camille-exemple" in f"{id_}{body.decode()}" or type_ in ("Patient", "Practitioner"):
                client.put(
                    f"/fhir/{type_}/{id_}", content=body, headers={"Content-Type": "application/fhir+json"}
                )
        yield str(client.base_url)


@pytest.fixture(scope="module")
def signing_in(site_with, site):
    """The origin of the development authorization server, and the id of a client."""
    with site_with({"auth.dev_server": True}) as client:
        document = {
            "client_name": "Mes <b>mesures</b>", "redirect_uris": [CALLBACK], "launch_uri": CALLBACK,
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        }  # fmt: skip
        answer = client.post("/auth/register", json=document)
        yield str(client.base_url), answer.json()["client_id"]


def consent(signing_in):
    origin, client_id = signing_in
    challenge = urlsafe_b64encode(hashlib.sha256(b"verifier").digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": SCOPE, "state": "s",
        "aud": f"{origin}/fhir", "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    return str(httpx.URL(f"{origin}/auth/authorize", params=query))


PAGES = {
    "consent": consent,
    "launch": lambda signing_in: f"{signing_in[0]}/auth/launch",
    "refusal": lambda signing_in: f"{signing_in[0]}/auth/authorize?client_id=nobody",
}


@pytest.fixture(params=[(locale, scheme) for locale in LOCALES for scheme in SCHEMES], ids="-".join)
def seen(request, browser):
    """A page of somebody with a language and a colour scheme, on a telephone."""
    locale, scheme = request.param
    size = {"width": 390, "height": 844}
    context = browser.new_context(locale=locale, color_scheme=scheme, viewport=size)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_of_signing_in_are_accessible(name, seen, signing_in):
    seen.goto(PAGES[name](signing_in))
    assert violations(seen) == []
    assert seen.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "scrolls sideways on a telephone"
    )


def test_the_passport_is_accessible(seen, site):
    answer = seen.goto(f"{site}/fhir/Patient/camille-exemple/$passport")
    assert answer.headers["content-type"].startswith("text/html")
    assert violations(seen) == []
    assert seen.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "scrolls sideways on a telephone"
    )


def test_the_browser_complains_of_nothing(page, signing_in):
    for address in PAGES.values():
        page.goto(address(signing_in))


def test_the_passport_is_one_pdf(page, site):
    page.goto(f"{site}/fhir/Patient/camille-exemple/$passport")
    assert page.pdf().startswith(b"%PDF-")


def test_consent_works_with_the_keyboard_alone(page, signing_in):
    page.goto(consent(signing_in))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "deny":
            break
    with page.expect_request(lambda request: request.url.startswith(CALLBACK)) as sent:
        page.keyboard.press("Enter")
    assert "error=access_denied" in sent.value.url
