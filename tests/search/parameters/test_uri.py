from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError


def _value_set(url, version=None):
    made = {"resourceType": "ValueSet", "url": url}
    return {**made, "version": version} if version else made


PROFILED = {"resourceType": "Patient", "meta": {"profile": ["http://p/a|1.0"], "source": "http://s/x#1"}}

CASES = [
    (_value_set("http://a/b/c"), "url", {"http://a/b/c", "x,http://a/b/c"}, {"http://a/b", "http://A/b/c", "http://a/b/c/"}),
    (_value_set("http://a/b/c"), "url:below", {"http://a/b", "http://a/b/", "http", "http://a/b/c"}, {"http://a/b/c/d", "http://A"}),
    (_value_set("http://a/b"), "url:above", {"http://a/b", "http://a/b/c", "http://a/b/c/d/"}, {"http://a", "http://a/bc", "http://x/a/b"}),
    (_value_set("urn:oid:1.2.3"), "url", {"urn:oid:1.2.3"}, {"urn:oid:1.2"}),
    (_value_set("http://a", "1.2.3"), "url", {"http://a", "http://a|1.2.3"}, {"http://a|1.2", "http://b|1.2.3"}),
    (_value_set("http://a", "1.2.3"), "url:below", {"http://a|1", "http://a|1.2", "http://a|1.2.3", "http://"}, {"http://a|1.2.30", "http://a|2", "http://a|1."}),
    (PROFILED, "_profile", {"http://p/a", "http://p/a|1.0"}, {"http://p/a|1", "http://p"}),
    (PROFILED, "_profile:below", {"http://p", "http://p/a|1", "http://p/a|1.0"}, {"http://p/a|0"}),
    (PROFILED, "_profile:missing", {"false"}, {"true"}),
    (PROFILED, "_source", {"http://s/x#1"}, {"http://s/x"}),
    (PROFILED, "_source:below", {"http://s/x"}, {"http://t"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "name", "found", "other"), CASES, ids=lambda v: str(v)[:70])
def test_matches(asked, resource, name, found, other):
    assert {value for value in found | other if asked.matches(resource, name, value)} == found


@pytest.mark.parametrize("modifier", ["below", "above"])
def test_urns_have_no_hierarchy(asked, modifier):
    with pytest.raises(FhirError, match="have no hierarchy"):
        asked.expression("ValueSet", f"url:{modifier}", "urn:oid:1.2")
