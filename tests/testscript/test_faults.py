"""A server that spoils its answers in one way is found out by our suites, each time by the test that is about it."""

from __future__ import annotations

import re

import pytest

from fhir_server.testscript import Endpoints
from fhir_server.testscript.collecting import collect
from tests.testscript.stub import Fault, Traffic, spoiled

SCRIPTS = {script.name: script for script in collect([])}


def when(condition, **changes):
    """Return what sets parts of those answers to which a condition applies."""
    return lambda t: t.set(**changes) if condition(t) else None


def edit(condition, change):
    """Return what changes the JSON of those answers to which a condition applies."""

    def spoil(t: Traffic) -> None:
        if condition(t) and t.answer[:1] == b"{":
            content = t.json()
            change(content)
            t.set(content=content)

    return spoil


def did(method, place=".*", status=None):
    """Return the condition that a request has a method and place, and its answer a status."""
    pattern = re.compile(place)
    return lambda t: t.method == method and pattern.fullmatch(t.place) and status in {None, t.status}


def drop_parameter(name):
    def ask(t: Traffic) -> None:
        path, _, query = t.path.partition("?")
        kept = [part for part in query.split("&") if not part.startswith(name)]
        t.path = path + ("?" + "&".join(kept) if kept else "")

    return ask


def without_header(name):
    return lambda t: t.headers.pop(name, None)


def relation_removed(name):
    return lambda bundle: bundle.update(link=[it for it in bundle.get("link", []) if it["relation"] != name])


def entries(change):
    return lambda bundle: [change(entry) for entry in bundle.get("entry", [])]


CREATE, READ, UPDATE = (
    did("POST", "[A-Z][a-z]+", 201),
    did("GET", "Patient/[^/]+", 200),
    did("PUT", "Patient/[^/]+", 200),
)
SEARCH, HISTORY = did("GET", "[A-Z][A-Za-z]+", 200), did("GET", "Patient/[^/]+/_history", 200)
BUNDLE = did("POST", "", 200)

FAULTS = [
    Fault("create answers 200", "http_create_status", when(CREATE, status=200)),
    Fault("create has no Location", "http_create_location", when(CREATE, location=None)),
    Fault("Location without version", "http_create_location", lambda t: t.set(location=t.answer_headers["location"].partition("/_history")[0]) if CREATE(t) else None),
    Fault("no ETag", "http_create_headers", when(CREATE, etag=None)),
    Fault("strong ETag", "http_create_headers", lambda t: t.set(etag=t.answer_headers["etag"].removeprefix("W/")) if CREATE(t) else None),
    Fault("no Last-Modified", "http_create_headers", when(CREATE, last_modified=None)),
    Fault("an element gets lost", "http_create_content", edit(READ, lambda p: p.pop("birthDate", None))),
    Fault("a given name gets lost", "http_create_content", edit(READ, lambda p: p["name"][0]["given"].pop())),
    Fault("a decimal loses its zeros", "http_create_decimal", lambda t: t.set(content=t.answer.replace(b"72.500", b"72.5"))),
    Fault("malformed is a 500", "http_create_malformed", when(did("POST", "Patient", 400), status=500)),
    Fault("errors without OperationOutcome", "http_create_malformed", when(did("POST", "Patient", 400), content=b"{}")),
    Fault("minimal has a body", "http_create_return_minimal", ask=without_header("prefer")),
    Fault("unknown is 200", "http_read_unknown", when(did("GET", ".*", 404), status=200)),
    Fault("deleted is 404", "http_read_deleted", when(did("GET", ".*", 410), status=404)),
    Fault("ETag is not the version", "http_read_id_and_headers", when(READ, etag='W/"77"')),
    Fault("If-None-Match ignored", "http_read_not_modified_etag", ask=without_header("if-none-match")),
    Fault("If-Modified-Since ignored", "http_read_not_modified_since", ask=without_header("if-modified-since")),
    Fault("summary not tagged", "http_read_summary", edit(READ, lambda p: p["meta"].pop("tag", None))),
    Fault("vread gives the current version", "http_read_vread", ask=lambda t: setattr(t, "path", re.sub("/_history/.*", "", t.path))),
    Fault("update answers 201", "http_update_status", when(UPDATE, status=201)),
    Fault("update keeps the version", "http_update_version", edit(UPDATE, lambda p: p["meta"].update(versionId="1"))),
    Fault("If-Match ignored", "http_update_if_match_stale", ask=without_header("if-match")),
    Fault("stale If-Match is 409", "http_update_if_match_stale", when(did("PUT", ".*", 412), status=409)),
    Fault("update as create answers 200", "http_update_as_create", when(did("PUT", ".*", 201), status=200)),
    Fault("delete answers 404", "http_delete_again", when(did("DELETE", ".*", 204), status=404)),
    Fault("If-None-Exist ignored", "http_conditional_create_one", ask=without_header("if-none-exist")),
    Fault("several matches are 400", "http_conditional_create_several", when(did("POST", ".*", 412), status=400)),
    Fault("history is oldest first", "http_history_order", edit(HISTORY, lambda b: b["entry"].reverse())),
    Fault("history has no requests", "http_history_request", edit(HISTORY, entries(lambda e: e.pop("request", None)))),
    Fault("history is a searchset", "http_history_bundle", edit(HISTORY, lambda b: b.update(type="searchset"))),
    Fault("_count ignored", "search_results_count", ask=drop_parameter("_count")),
    Fault("no next link", "search_results_pages", edit(SEARCH, relation_removed("next"))),
    Fault("no self link", "search_results_self", edit(SEARCH, relation_removed("self"))),
    # Left out, the order would be that of ids of one moment: by chance, now and then, the one that was asked for.
    Fault("_sort the other way", "search_results_sort", ask=lambda t: setattr(t, "path", t.path.replace("_sort=", "_sort=-"))),
    Fault("a parameter is ignored", "search_string_begins", ask=drop_parameter("family")),
    Fault("a date prefix is ignored", "search_date_gt", ask=lambda t: setattr(t, "path", t.path.replace("date=gt", "date="))),
    Fault("a modifier is ignored", "search_string_exact_part", ask=lambda t: setattr(t, "path", t.path.replace(":exact", ""))),
    Fault("_include ignored", "search_reference_include", ask=drop_parameter("_include")),
    Fault("included are matches", "search_reference_include", edit(SEARCH, entries(lambda e: e["search"].update(mode="match")))),
    Fault("total counts the page", "search_results_total", edit(SEARCH, lambda b: b.update(total=len(b.get("entry", []))))),
    Fault("no fullUrl", "search_results_full_url", edit(SEARCH, entries(lambda e: e.pop("fullUrl", None)))),
    Fault("_elements ignored", "search_results_elements", ask=drop_parameter("_elements")),
    Fault("lenient is strict", "search_results_unknown_lenient", ask=lambda t: t.headers.update(prefer="handling=strict")),
    Fault("strict is lenient", "search_results_unknown_strict", ask=lambda t: t.headers.update(prefer="handling=lenient")),
    Fault("XML is not offered", "http_formats_xml", ask=lambda t: t.headers.update(accept="application/fhir+json")),
    Fault("wrong Content-Type", "http_formats_json", when(READ, content_type="text/html")),
    Fault("_format ignored", "http_formats_format_json", ask=drop_parameter("_format")),
    Fault("Latin-1", "http_formats_charset", lambda t: t.set(content=t.answer.decode().encode("latin-1", "replace")) if READ(t) else None),
    Fault("transaction as batch", "http_transaction_all_or_nothing", ask=lambda t: setattr(t, "body", t.body.replace(b'"transaction"', b'"batch"'))),
    Fault("response type is batch-response", "http_transaction_create_and_refer", edit(BUNDLE, lambda b: b.update(type="batch-response"))),
    Fault("answers in another order", "http_transaction_order", edit(BUNDLE, lambda b: b["entry"].reverse())),
    Fault("entries without etag", "http_transaction_batch_headers", edit(BUNDLE, entries(lambda e: e["response"].pop("etag", None)))),
    Fault("patch does nothing", "http_patch_json", ask=lambda t: setattr(t, "body", b"[]") if t.method == "PATCH" else None),
    Fault("failed test is 200", "http_patch_test_fails", when(did("PATCH", ".*", 422), status=200)),
    Fault("fhirVersion is R5", "http_capabilities_version", edit(did("GET", "metadata"), lambda c: c.update(fhirVersion="5.0.0"))),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_fault_is_found(fault, run, site):
    with spoiled(str(site.base_url), fault) as base:
        [result] = run([SCRIPTS[fault.found_by]], endpoints=Endpoints({1: base})).scripts
    assert result.result == "fail", [(step.result, step.message) for _, step in result.steps()]


def test_without_a_fault_the_same_tests_pass(run, site):
    with spoiled(str(site.base_url)) as base:
        result = run(
            [SCRIPTS[name] for name in dict.fromkeys(f.found_by for f in FAULTS)],
            endpoints=Endpoints({1: base}),
        )
    assert {
        s.name: [step.message for _, step in s.steps()] for s in result.scripts if s.result != "pass"
    } == {}


LINKS = {"first", "next", "last"}


@pytest.mark.parametrize("missing", [None, *sorted(LINKS)])
def test_navigation_links(missing, run, written, site):
    """Our server has no last link; the stub adds what a server with numbered pages has."""

    def link(bundle):
        kept = [it for it in bundle.get("link", []) if it["relation"] not in LINKS]
        bundle["link"] = kept + [{"relation": r, "url": f"http://h/{r}"} for r in sorted(LINKS - {missing})]

    with spoiled(str(site.base_url), Fault("", "", edit(SEARCH, link))) as base:
        script = written([{"search": "Patient?_count=1"}, {"links": True}])
        [result] = run([script], endpoints=Endpoints({1: base})).scripts
    assert result.result == ("fail" if missing else "pass")
