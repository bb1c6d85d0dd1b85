"""Row O10 of the checklist: a rate that is used up; and which clients share one."""

from __future__ import annotations

import pytest

from fhir_server.rest.rate_limits import RateLimit, Throttled
from fhir_server.settings import SettingsError, load


def test_O10_a_rate_is_used_up_and_comes_back():
    now = [1000.0]
    rate = RateLimit("requests", "3/minute", lambda: now[0])
    for _ in range(3):
        rate.hit("a")
    firsts = []
    for _ in range(3):
        with pytest.raises(Throttled) as refused:
            rate.hit("a")
        firsts.append(refused.value.is_first)
    assert firsts == [True, False, False]
    assert refused.value.status == 429
    assert refused.value.headers == {
        "Retry-After": "21",
        "RateLimit-Policy": '"requests";q=3;w=60',
        "RateLimit": '"requests";r=0;t=21',
    }
    rate.hit("b")
    now[0] += 21
    rate.hit("a")


def test_O10_what_failed_before_is_looked_at_without_counting():
    rate = RateLimit("failures", "2/minute", lambda: 0.0)
    rate.check("a")
    rate.hit("a")
    rate.check("a")
    rate.hit("a")
    with pytest.raises(Throttled) as refused:
        rate.check("a")
    assert refused.value.is_first
    rate.check("b")


def test_O10_requests_in_open_mode_are_counted_by_address(site_with):
    with site_with({"limits.anonymous": "2/hour"}) as client:
        answers = [client.get("fhir/Patient") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["issue"][0]["code"] == "throttled"
    assert int(answers[2].headers["Retry-After"]) <= 3601
    assert "r=0" in answers[2].headers["RateLimit"]


def test_O10_without_settings_nobody_is_counted_in_open_mode(site):
    assert all(site.get("fhir/metadata").status_code == 200 for _ in range(50))


def test_O10_clients_and_users_have_a_rate_each_and_the_audit_tells_once(
    site_with, own_issuer, mongo_client, module_database_name
):
    flags = {"auth.issuers": own_issuer.settings(), "limits.requests": "2/hour", "limits.anonymous": "3/hour"}
    with site_with(flags) as client:
        base = str(client.base_url).rstrip("/") + "/fhir"

        def asks(**claims):
            token = own_issuer.token(base, **claims) if claims else "nonsense"
            return client.get("fhir/Observation", headers={"Authorization": f"Bearer {token}"}).status_code

        assert [asks(fhirUser="Patient/a", jti=str(n)) for n in range(4)] == [200, 200, 429, 429]
        assert asks(fhirUser="Patient/b") == 200
        assert [asks() for _ in range(5)] == [401, 401, 401, 429, 429]
        # Others behind the same address who can't be told apart yet wait, too.
        assert asks(fhirUser="Patient/b", jti="later") == 429
    database = mongo_client[module_database_name]
    audits = [name for name in database.list_collection_names() if name.startswith("audit.")]
    events = [bytes(row["j"]) for name in audits for row in database[name].find()]
    assert sum(b"throttled" in event for event in events) == 2


def test_O10_settings_that_are_no_rates_are_refused():
    with pytest.raises(SettingsError, match="600/minute"):
        load({"limits.requests": "many"})
