"""The HTTP file does what its "# expect" lines say; read here as the VS Code extension "REST Client" reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

FILE = Path(__file__).parents[2] / "examples" / "clients" / "main_job.http"
RECORD_TYPES = ("DocumentReference", "Consent", "RelatedPerson", "Observation", "ExplanationOfBenefit")

_VARIABLE = re.compile(r"\{\{([^{}]+)\}\}")
_ANSWER = re.compile(r"(\w+)\.response\.(?:headers\.([\w-]+)|body\.(\$.*))")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\?\(@\.(\w+)=='([^']*)'\)\]")
_ABSENT = object()


@dataclass
class Block:
    """What stands between two lines of ``###``."""

    title: str
    name: str = ""
    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    expectations: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)


def blocks(text: str) -> Iterator[Block]:
    """Yield the requests of an HTTP file; a first block without request carries the file's variables."""
    for part in re.split(r"^###", "###" + text.removeprefix("###"), flags=re.MULTILINE)[1:]:
        title, *lines = part.split("\n")
        block = Block(title.strip())
        while lines and (not lines[0] or lines[0][0] in "#@"):
            line = lines.pop(0)
            if line.startswith("# @name "):
                block.name = line.removeprefix("# @name ").strip()
            elif line.startswith("# expect "):
                block.expectations.append(line.removeprefix("# expect ").strip())
            elif line.startswith("@"):
                variable, _, value = line[1:].partition("=")
                block.variables[variable.strip()] = value.strip()
        if lines:
            block.method, _, block.url = lines.pop(0).partition(" ")
        while lines and lines[0]:
            header, _, value = lines.pop(0).partition(":")
            block.headers[header] = value.strip()
        block.body = "\n".join(lines).strip()
        yield block


def at(body: Any, path: str) -> Any:
    """Return the value at a JSONPath of names, indexes and filters on one property, or _ABSENT."""
    found = body
    end = 1
    for step in _STEP.finditer(path):
        assert step.start() == end, f"not understood: {path[end:]}"
        end = step.end()
        key, index, property_, value = step.groups()
        if key is not None:
            found = found.get(key, _ABSENT) if isinstance(found, dict) else _ABSENT
        elif index is not None:
            found = found[int(index)] if isinstance(found, list) and int(index) < len(found) else _ABSENT
        else:
            items = found if isinstance(found, list) else []
            found = next((item for item in items if item.get(property_) == value), _ABSENT)
    assert end == len(path), f"not understood: {path[end:]}"
    return found


class Run:
    """One pass over the file: the variables and named answers so far."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.variables: dict[str, str] = {}
        self.answers: dict[str, httpx.Response] = {}

    def filled(self, text: str) -> str:
        while "{{" in text:
            text = _VARIABLE.sub(lambda match: self.value(match[1].strip()), text)
        return text

    def value(self, name: str) -> str:
        if name in self.variables:
            return self.variables[name]
        match = _ANSWER.fullmatch(name)
        assert match, f"unknown variable {name}"
        answer = self.answers[match[1]]
        found = answer.headers.get(match[2]) if match[2] else at(answer.json(), match[3])
        assert isinstance(found, str), f"{name} has no value"
        return found

    def send(self, block: Block) -> None:
        self.variables.update(block.variables)
        if not block.method:
            return
        body = block.body
        if body.startswith("<@ "):
            body = (FILE.parent / body.removeprefix("<@ ").strip()).read_text(encoding="utf-8")
        answer = self.client.request(
            block.method,
            self.filled(block.url),
            headers={name: self.filled(value) for name, value in block.headers.items()},
            content=self.filled(body).encode() if body else None,
        )
        for expectation in block.expectations:
            check(block.title, expectation, answer)
        if block.name:
            self.answers[block.name] = answer


def check(title: str, expectation: str, answer: httpx.Response) -> None:
    """Assert one line of ``# expect``: ``status 200``, ``$.path = JSON`` or ``$.path absent``."""
    if expectation.startswith("status "):
        wanted = expectation.removeprefix("status ").split(" or ")
        assert str(answer.status_code) in wanted, f"{title}: {answer.text}"
    elif expectation.endswith(" absent"):
        assert at(answer.json(), expectation.removesuffix(" absent")) is _ABSENT, f"{title}: {expectation}"
    else:
        path, _, value = expectation.partition(" = ")
        assert at(answer.json(), path) == json.loads(value), f"{title}: {expectation}: {answer.text}"


def test_the_http_file_does_the_main_job(fhir_base):
    with httpx.Client() as client:
        run = Run(client)
        for block in blocks(FILE.read_text(encoding="utf-8")):
            if "base" in block.variables:
                block.variables["base"] = fhir_base
            run.send(block)
    assert {f"{name[0].lower()}{name[1:]}Page" for name in RECORD_TYPES} <= set(run.answers)


def test_every_request_says_what_is_expected():
    requests = [block for block in blocks(FILE.read_text(encoding="utf-8")) if block.method]
    assert len(requests) > 60
    assert [block.title for block in requests if not block.expectations] == []


@pytest.mark.parametrize("type_", RECORD_TYPES)
def test_each_type_goes_through_all_interactions(type_):
    requests = [
        block for block in blocks(FILE.read_text(encoding="utf-8")) if block.title.startswith(f"{type_}:")
    ]
    done = [block.method for block in requests]
    assert {method: done.count(method) for method in ("POST", "GET", "PUT", "DELETE")} == {
        "POST": 3,
        "GET": 7,
        "PUT": 2,
        "DELETE": 3,
    }
    assert any("status 410" in block.expectations for block in requests)
    assert any("status 412" in block.expectations for block in requests)


def test_a_wrong_answer_is_noticed():
    answer = httpx.Response(200, json={"status": "final", "entry": [{"n": 1}]})
    check("right", '$.status = "final"', answer)
    check("right", "$.entry[1] absent", answer)
    for wrong in ("status 201", '$.status = "amended"', "$.entry[0].n absent", "$.nothing = 1"):
        with pytest.raises(AssertionError):
            check("wrong", wrong, answer)
