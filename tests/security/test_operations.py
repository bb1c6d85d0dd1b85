"""Rows O and T30 of the checklist: what is refused at start, who sees what stands beside the API, headers of answers."""

from __future__ import annotations

import re

import httpx
import pytest

from fhir_server.cli.unsafe import unsafe
from fhir_server.settings import load
from tests.cli.test_serve_unsafe import SAFE, UNSAFE


def test_O01_unsafe_settings_are_refused_with_the_remedy():
    assert unsafe(load(SAFE), is_production=True) == []
    for change, name in UNSAFE:
        assert any(name in refusal for refusal in unsafe(load(SAFE | change), is_production=True)), change


def test_O02_metrics_are_for_those_who_watch(site_with):
    flags = {"http.proxies": "127.0.0.1", "http.metrics_for": "127.0.0.1, 10.1.0.0/16"}
    with site_with(flags) as client:
        for sender, status in (
            ("127.0.0.1", 200),
            ("10.1.2.3", 200),
            ("10.2.0.1", 404),
            ("203.0.113.9", 404),
        ):
            assert client.get("metrics", headers={"X-Forwarded-For": sender}).status_code == status
        for path in ("docs", "redoc", "admin"):
            assert client.get(path).status_code == 404


def test_O03_secrets_are_masked():
    settings = load(SAFE)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SAFE["cursor.key"] not in shown
        assert "s3cret" not in shown


PATHS = [
    "fhir/metadata",
    "fhir/Patient",
    "fhir/Patient/absent",
    "health/live",
    "health/ready",
    "metrics",
    "nowhere",
]


@pytest.mark.parametrize("path", PATHS)
def test_O07_each_answer_has_its_headers(site: httpx.Client, path: str):
    headers = site.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "strict-transport-security" not in headers
    if path.startswith("fhir/"):
        vary = headers.get_list("vary", split_commas=True)
        assert {"accept", "authorization"} <= set(vary)


def test_O07_a_page_has_a_policy_of_its_own(site_with):
    with site_with({"auth.dev_server": True}) as client:
        page = client.get("auth/launch")
        assert page.headers["content-type"].startswith("text/html")
        policies = page.headers.get_list("content-security-policy")
        assert len(policies) == 1
        assert re.search(r"style-src 'self'", policies[0])
        assert "unsafe" not in policies[0]
        assert "sandbox" not in policies[0]


def test_O07_https_is_for_a_year(site_with):
    with site_with({"http.base_url": "https://space.example/fhir"}) as client:
        for path in ("fhir/metadata", "health/live"):
            assert client.get(path).headers["strict-transport-security"] == "max-age=31536000"


def test_T30_only_a_trusted_proxy_is_believed(site_with):
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    for proxies, status in (("", 200), ("10.0.0.7", 200), ("127.0.0.1", 404)):
        with site_with({"http.proxies": proxies}) as client:
            assert client.get("metrics", headers=forged).status_code == status, proxies
            link = client.get("fhir/Patient", headers=forged).json()["link"][0]["url"]
            assert link.startswith("https:" if proxies == "127.0.0.1" else "http:")
            assert "evil.example" not in link


def test_T24_pages_of_named_origins_may_read_in_open_mode_too(site_with):
    with site_with({"auth.origins": "https://app.example"}) as client:
        allowed = client.get("fhir/Patient", headers={"Origin": "https://app.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        other = client.get("fhir/Patient", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
