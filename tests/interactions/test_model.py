"""Random sequences of all interactions against a model: https://hl7.org/fhir/R4/http.html.

After each step the server holds what the model says; at the end the histories of all levels tell how it came to be.
"""

from __future__ import annotations

import base64
import json
import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.interactions.model import ORDER, Model, expected_refusals, must_refuse

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
labels = st.sampled_from("xyz")
genders = st.sampled_from(["male", "female", "other"])
tags = st.sampled_from(["t1", "t2"])
matches = st.none() | st.integers(1, 4)
formats = st.sampled_from(["json", "xml", "fhirpath", "fhirpath-xml"])

changes = st.one_of(
    st.tuples(st.just("PUT"), names, labels, genders, matches),
    st.tuples(st.just("DELETE"), names, matches),
    st.tuples(st.just("PATCH"), names, genders, matches),
)
conditional = st.one_of(
    st.tuples(st.sampled_from(["PUT?", "POST?", "PATCH?"]), labels, genders),
    st.tuples(st.just("DELETE?"), labels),
)


@pytest.fixture(scope="module")
def fhir(site_with):
    with site_with({"delete.conditional": "multiple"}) as client:
        client.base_url = client.base_url.join("fhir/")
        yield client


def patch_body(form, gender):
    """Return (content type, body) of a patch of the gender, which each patient has."""
    if form == "json":
        return "application/json-patch+json", json.dumps(
            [{"op": "replace", "path": "/gender", "value": gender}]
        )
    if form == "xml":
        text = f'<replace sel="f:Patient/f:gender/@value">{gender}</replace>'
        return "application/xml-patch+xml", f'<diff xmlns:f="http://hl7.org/fhir">{text}</diff>'
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": gender},
    ]
    if form == "fhirpath":
        return "application/fhir+json", json.dumps(
            {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
        )
    inner = "".join(
        f'<part><name value="{part["name"]}"/><{key} value="{value}"/></part>'
        for part in parts
        for key, value in part.items()
        if key != "name"
    )
    return (
        "application/fhir+xml",
        f'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>{inner}</parameter></Parameters>',
    )


class Machine(RuleBasedStateMachine):
    """The rules; ids are made unique by a prefix, so that each run has its own resources in one database."""

    def __init__(self, fhir):
        super().__init__()
        self.fhir = fhir
        self.prefix = uuid.uuid4().hex
        self.system = f"urn:model:{self.prefix}"
        self.model = Model()
        self.number = 0

    # What is sent

    def id(self, name):
        return f"{self.prefix}-{name}" if name in NAMES else name

    def known(self, step):
        """Return a step with the ids in place of the names."""
        return (step[0], self.id(step[1]), *step[2:]) if not step[0].endswith("?") else step

    def body(self, label, gender, id_=None):
        made = {
            "resourceType": "Patient",
            "identifier": [{"system": self.system, "value": label}],
            "gender": gender,
        }
        return made if id_ is None else {**made, "id": id_}

    def request(self, step, form="json"):
        """Return method, url, headers, content type and body of a step."""
        kind, *rest = step
        match = rest[-1] if kind in ("PUT", "DELETE", "PATCH") else None
        headers = {} if match is None else {"If-Match": f'W/"{match}"'}
        address = f"Patient/{rest[0]}"
        if kind.endswith("?"):
            address = f"Patient?identifier={self.system}%7C{rest[0]}"
        if kind == "POST?":
            return (
                "POST",
                "Patient",
                {"If-None-Exist": address.partition("?")[2]},
                "application/fhir+json",
                json.dumps(self.body(*rest)),
            )
        if kind.startswith("PATCH"):
            return "PATCH", address, headers, *patch_body(form, rest[1])
        if kind.startswith("DELETE"):
            return "DELETE", address, headers, None, None
        body = self.body(*rest[1:3], rest[0]) if kind == "PUT" else self.body(*rest)
        return "PUT", address, headers, "application/fhir+json", json.dumps(body)

    def send(self, step, form="json", **more):
        method, url, headers, media, body = self.request(step, form)
        if media:
            headers["Content-Type"] = media
        headers["Accept"] = "application/fhir+json"
        return self.fhir.request(method, url, content=body, headers={**headers, **more})

    def entry(self, step, form):
        method, url, headers, media, body = self.request(step, form)
        names = {"If-Match": "ifMatch", "If-None-Exist": "ifNoneExist"}
        request = {"method": method, "url": url, **{names[name]: value for name, value in headers.items()}}
        if body is None:
            return {"request": request}
        if method == "PATCH" and form != "fhirpath":
            data = base64.b64encode(body.encode()).decode()
            return {
                "request": request,
                "resource": {"resourceType": "Binary", "contentType": media, "data": data},
            }
        return {"request": request, "resource": json.loads(body)}

    def bundle(self, type_, listed, form):
        entries = [self.entry(step, form) for step in listed]
        return self.fhir.post("", json={"resourceType": "Bundle", "type": type_, "entry": entries})

    # Writes

    @rule(label=labels, gender=genders)
    def create(self, label, gender):
        answer = self.fhir.post("Patient", json=self.body(label, gender))
        assert answer.status_code == self.model.write(answer.json()["id"], label, gender, "POST") == 201

    @rule(step=changes | conditional, form=formats)
    def change(self, step, form):
        step = self.known(step)
        answer = self.send(step, form)
        new_id = answer.json().get("id", "") if answer.content else ""
        assert answer.status_code == self.model.single(step, new_id), answer.text

    @rule(step=changes | conditional, form=formats)
    def dry_run(self, step, form):
        step = self.known(step)
        answer = self.send(step, form, **{"X-Dry-Run": "true"})
        assert answer.status_code == self.model.copy().single(step, "example"), answer.text

    @rule(name=names, tag=tags, is_addition=st.booleans())
    def relabel(self, name, tag, is_addition):
        meta = {"tag": [{"system": self.system, "code": tag}]}
        inputs = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
        operation = "$meta-add" if is_addition else "$meta-delete"
        answer = self.fhir.post(f"Patient/{self.id(name)}/{operation}", json=inputs)
        assert answer.status_code == self.model.relabel(self.id(name), tag, is_addition=is_addition)

    @rule(key=st.sampled_from("kl"), label=labels, gender=genders)
    def once(self, key, label, gender):
        body = self.body(label, gender)
        answer = self.fhir.post("Patient", json=body, headers={"Idempotency-Key": f"{self.prefix}{key}"})
        known = self.model.keys.get(key)
        if known is None:
            assert answer.status_code == self.model.write(answer.json()["id"], label, gender, "POST")
            self.model.keys[key] = (body, answer.text)
        elif known[0] == body:
            assert (answer.status_code, answer.text) == (201, known[1])
        else:
            assert answer.status_code == 422

    @rule(listed=st.lists(changes, min_size=1, max_size=3, unique_by=lambda step: step[1]), form=formats)
    def batch(self, listed, form):
        listed = [self.known(step) for step in listed]
        answer = self.bundle("batch", listed, form)
        found = [int(row["response"]["status"][:3]) for row in answer.json()["entry"]]
        assert found == [self.model.single(step, "") for step in listed]

    @rule(listed=st.lists(changes | conditional, min_size=1, max_size=4), form=formats)
    def transaction(self, listed, form):
        listed = [self.known(step) for step in listed]
        answer = self.bundle("transaction", listed, form)
        if answer.status_code != 200:
            assert answer.status_code in expected_refusals(self.model, listed), answer.text
            return
        assert not must_refuse(self.model, listed)
        rows = answer.json()["entry"]
        for number in sorted(range(len(listed)), key=lambda n: ORDER[listed[n][0]]):
            status = int(rows[number]["response"]["status"][:3])
            id_ = rows[number].get("resource", {}).get("id", "")
            assert status == self.model.single(listed[number], id_)

    # Reads

    @precondition(lambda self: self.model.versions)
    @rule(data=st.data())
    def read(self, data):
        id_ = data.draw(st.sampled_from(sorted(self.model.versions)))
        answer = self.fhir.get(f"Patient/{id_}")
        versions = self.model.versions[id_]
        assert answer.status_code == (200 if self.model.is_living(id_) else 410)
        assert answer.headers["etag"] == f'W/"{len(versions)}"'
        if answer.status_code == 200:
            self.agree(answer.json(), versions, len(versions))
            assert (
                self.fhir.get(f"Patient/{id_}", headers={"If-None-Match": answer.headers["etag"]}).status_code
                == 304
            )
            meta = self.fhir.get(f"Patient/{id_}/$meta").json()["parameter"][0]["valueMeta"]
            assert meta == answer.json()["meta"]
        assert self.fhir.get(f"Patient/{self.prefix}-nobody").status_code == 404

    @precondition(lambda self: self.model.versions)
    @rule(data=st.data(), number=st.integers(1, 6))
    def vread(self, data, number):
        id_ = data.draw(st.sampled_from(sorted(self.model.versions)))
        versions = self.model.versions[id_]
        answer = self.fhir.get(f"Patient/{id_}/_history/{number}")
        if number > len(versions):
            assert answer.status_code == 404
        elif versions[number - 1].label is None:
            assert answer.status_code == 410
        else:
            self.agree(answer.json(), versions, number)

    @rule(label=labels, gender=genders, tag=tags)
    def search(self, label, gender, tag):
        living = self.model.living
        by_label = {"identifier": f"{self.system}|{label}"}
        assert self.ids(by_label) == set(self.model.found(label))
        both = {"identifier": f"{self.system}|", "gender": gender}
        assert self.ids(both) == {id_ for id_, row in living.items() if row[2] == gender}
        tagged = {"_tag": f"{self.system}|{tag}"}
        assert self.ids(tagged) == {id_ for id_, row in living.items() if tag in row[3]}
        if living:
            assert self.ids({"_id": ",".join(living)}) == set(living)

    def ids(self, parameters):
        bundle = self.fhir.get(
            "Patient", params={**parameters, "_count": "1000", "_total": "accurate"}
        ).json()
        found = {entry["resource"]["id"] for entry in bundle.get("entry", ())}
        assert bundle["total"] == len(found)
        return found

    # What must hold

    def agree(self, resource, versions, number):
        assert self.seen(resource) == self.wanted(versions, number)

    def seen(self, resource):
        meta = resource["meta"]
        codes = frozenset(tag["code"] for tag in meta.get("tag", ()))
        return int(meta["versionId"]), resource["identifier"][0]["value"], resource["gender"], codes

    @staticmethod
    def wanted(versions, number):
        version = versions[number - 1]
        return number, version.label, version.gender, version.tags

    @invariant()
    def the_server_holds_what_the_model_says(self):
        answer = self.fhir.get("Patient", params={"identifier": f"{self.system}|", "_count": "1000"})
        found = {row["resource"]["id"]: self.seen(row["resource"]) for row in answer.json().get("entry", ())}
        assert found == self.model.living

    def teardown(self):
        for path in (
            "_history",
            "Patient/_history",
            *(f"Patient/{id_}/_history" for id_ in self.model.versions),
        ):
            told = {}
            for row in self.pages(path):
                id_ = row["fullUrl"].rpartition("/")[2]
                number = int(row["response"]["etag"][3:-1])
                if id_ in self.model.versions and (path.count("/") < 2 or id_ in path):
                    version = self.model.versions[id_][number - 1]
                    assert row["request"]["method"] == version.method
                    assert ("resource" in row) == (version.label is not None)
                    if "resource" in row:
                        self.agree(row["resource"], self.model.versions[id_], number)
                    told.setdefault(id_, []).append(number)
            expected = {
                id_: list(range(len(versions), 0, -1))
                for id_, versions in self.model.versions.items()
                if path.count("/") < 2 or id_ in path
            }
            assert told == expected

    def pages(self, path):
        answer = self.fhir.get(path, params={"_count": "50", "_since": "2020-01-01"})
        while answer is not None:
            bundle = answer.json()
            yield from bundle.get("entry", ())
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            answer = self.fhir.get(following[0]) if following else None


def test_server_and_model_agree(fhir):
    run_state_machine_as_test(
        lambda: Machine(fhir),
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
