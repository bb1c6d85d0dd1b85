"""The story of the examples: the searches that people of a health space make find what they look for."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "pass"
STORY: list[dict[str, Any]] = json.loads(Path(__file__).with_name("story.json").read_text(encoding="utf-8"))


@pytest.fixture
def client(fhir_base):
    with httpx.Client(base_url=fhir_base, headers={"Accept": "application/fhir+json"}) as client:
        yield client


def ids(bundle: dict[str, Any]) -> list[str]:
    return [
        entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"
    ]


def in_order(found: list[str], step: dict[str, Any]) -> list[str]:
    return found if step.get("ordered") else sorted(found)


@pytest.mark.parametrize("step", STORY, ids=[step["who"] for step in STORY])
def test_a_search_finds_what_is_looked_for(client, step):
    answer = client.get(step["query"])
    assert answer.status_code == 200, answer.text
    assert in_order(ids(answer.json()), step) == in_order(step["ids"], step)


@pytest.mark.parametrize("step", STORY, ids=[step["who"] for step in STORY])
def test_the_same_search_may_be_posted(client, step):
    type_, _, query = step["query"].partition("?")
    form = dict_of_lists(query)
    answer = client.post(f"{type_}/_search", data=form)
    assert answer.status_code == 200, answer.text
    assert in_order(ids(answer.json()), step) == in_order(step["ids"], step)


def dict_of_lists(query: str) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    for name, value in parse_qsl(query):
        form.setdefault(name, []).append(value)
    return form


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.json")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_example_comes_back_as_it_was_written(client, path):
    answer = client.get(f"{path.parent.name}/{path.stem}")
    assert answer.status_code == 200, answer.text
    stored = as_written(answer.text)
    written = as_written(path.read_text(encoding="utf-8"))
    assert stored.pop("meta").get("profile") == written.pop("meta", {}).get("profile")
    assert stored == written
    assert list(stored) == list(written)


def as_written(text: str) -> dict[str, Any]:
    """Return JSON with the text of its numbers: 72.50 differs from 72.5."""
    value: dict[str, Any] = json.loads(text, parse_float=str, parse_int=str)
    return value


def test_the_pages_of_a_search_hold_everything_once(client):
    found: list[str] = []
    pages = 0
    url = "Observation?patient=camille-exemple&_sort=-date&_count=3&_total=accurate"
    while url:
        bundle = client.get(url).raise_for_status().json()
        assert bundle["total"] == 10
        found += ids(bundle)
        pages += 1
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert pages == 4
    assert len(found) == len(set(found)) == 10


def test_the_links_of_a_page_lead_to_the_address_that_was_asked(client, fhir_base):
    bundle = client.get("Observation?patient=camille-exemple&_count=2").raise_for_status().json()
    assert {urlsplit(link["url"]).netloc for link in bundle["link"]} == {urlsplit(fhir_base).netloc}
    assert {entry["fullUrl"] for entry in bundle["entry"]} == {
        f"{fhir_base}/Observation/{id_}" for id_ in ids(bundle)
    }


def test_a_document_leads_to_its_bytes(client):
    document = client.get("DocumentReference/cr-hospitalisation-camille").raise_for_status().json()
    attachment = document["content"][0]["attachment"]
    binary = client.get(attachment["url"]).raise_for_status().json()
    content = base64.b64decode(binary["data"])
    assert content.startswith(b"%PDF-")
    assert base64.b64encode(hashlib.sha1(content).digest()).decode() == attachment["hash"]
