"""transaction over HTTP: https://hl7.org/fhir/R4/http.html#trules."""

import base64
import json
import uuid

import pytest

SYSTEM = "urn:test:transaction"


@pytest.fixture
def value():
    return uuid.uuid4().hex


def patient(value, **more):
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **more}


def observation(subject, **more):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


def entry(method, url, resource=None, full_url=None, **request):
    made = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def send(fhir, *entries, **headers):
    return fhir.post(
        "", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}, headers=headers
    )


def done(fhir, *entries, **headers):
    answer = send(fhir, *entries, **headers)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "transaction-response"
    assert len(bundle["entry"]) == len(entries)
    return bundle["entry"]


def refused(fhir, *entries):
    answer = send(fhir, *entries)
    assert 400 <= answer.status_code < 500, answer.text
    return answer.status_code, [
        (issue["code"], issue.get("expression", [""])[0]) for issue in answer.json()["issue"]
    ]


def found(fhir, type_, value):
    answer = fhir.get(type_, params={"identifier": f"{SYSTEM}|{value}"}).json()
    return [row["resource"] for row in answer.get("entry", ())]


def statuses(entries):
    return [row["response"]["status"][:3] for row in entries]


def urn():
    return f"urn:uuid:{uuid.uuid4()}"


def test_an_empty_transaction_is_no_error(fhir):
    answer = fhir.post("", json={"resourceType": "Bundle", "type": "transaction"})
    assert answer.status_code == 200
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


def test_answers_come_in_the_order_of_the_request_with_what_single_answers_say(fhir, value):
    kept = fhir.post("Patient", json=patient(value)).json()
    rows = done(
        fhir,
        entry("GET", f"Patient/{kept['id']}"),
        entry("PUT", f"Patient/{value}", patient(value, id=value)),
        entry("POST", "Patient", patient(value)),
        entry("GET", f"Patient?identifier={SYSTEM}|{value}"),
    )
    assert statuses(rows) == ["200", "201", "201", "200"]
    for row, path in ((rows[1], f"Patient/{value}"), (rows[2], f"Patient/{rows[2]['resource']['id']}")):
        single = fhir.get(path)
        assert row["resource"] == single.json()
        assert row["response"]["etag"] == single.headers["etag"] == 'W/"1"'
        assert row["response"]["location"] == f"{fhir.base_url}{path}/_history/1"
        assert row["response"]["lastModified"] == single.json()["meta"]["lastUpdated"]
    assert rows[0]["resource"]["id"] == kept["id"]
    assert len(rows[3]["resource"]["entry"]) == 3


@pytest.mark.parametrize(("prefer", "member"), [("minimal", None), ("representation", "resource")])
def test_prefer_decides_what_comes_back(fhir, value, prefer, member):
    [row] = done(fhir, entry("POST", "Patient", patient(value)), Prefer=f"return={prefer}")
    assert row.keys() - {"response"} == ({member} if member else set())


def test_prefer_operation_outcome_goes_into_the_response(fhir, value):
    [row] = done(fhir, entry("POST", "Patient", patient(value)), Prefer="return=OperationOutcome")
    assert row["response"]["outcome"]["issue"][0]["severity"] == "information"


def test_the_order_is_delete_create_update_read(fhir, value):
    """The deleted match does not count for the create, and the read sees the result."""
    old = fhir.post("Patient", json=patient(value)).json()["id"]
    rows = done(
        fhir,
        entry("GET", f"Patient?identifier={SYSTEM}|{value}"),
        entry("PUT", f"Patient/{value}", patient("other", id=value)),
        entry("POST", "Patient", patient(value), ifNoneExist=f"identifier={SYSTEM}|{value}"),
        entry("DELETE", f"Patient/{old}"),
    )
    assert statuses(rows) == ["200", "201", "201", "204"]
    [match] = rows[0]["resource"]["entry"]
    assert match["resource"]["id"] == rows[2]["resource"]["id"] != old


def test_all_or_nothing(fhir, value):
    old = fhir.post("Patient", json=patient(value, gender="male")).json()
    status, issues = refused(
        fhir,
        entry("DELETE", f"Patient/{old['id']}"),
        entry("POST", "Patient", patient(value)),
        entry(
            "POST", "Observation", {"resourceType": "Observation", "status": "wrong", "code": {"text": "x"}}
        ),
        entry("POST", "Patient", patient(value, gender="wrong", active="yes")),
    )
    assert status == 400
    assert ("code-invalid", "Bundle.entry[2].resource.status") in issues
    assert ("code-invalid", "Bundle.entry[3].resource.gender") in issues
    assert ("structure", "Bundle.entry[3].resource.active") in issues or (
        "value",
        "Bundle.entry[3].resource.active",
    ) in issues
    assert found(fhir, "Patient", value) == [old]


def test_links_to_new_resources_are_rewritten_everywhere(fhir, value):
    person, paper, versioned = urn(), urn(), urn()
    base = "http://elsewhere.example/fhir"
    rows = done(
        fhir,
        entry(
            "POST",
            "Observation",
            observation(
                person,
                identifier=[{"system": "urn:ietf:rfc:3986", "value": person}],
                hasMember=[{"reference": f"{base}/Observation/9"}, {"reference": f"{versioned}/_history/7"}],
                derivedFrom=[{"reference": f"{paper}#part"}, {"reference": "http://other.example/Observation/1"}],
                extension=[
                    {"url": "http://x.example/a", "valueUri": person},
                    {"url": "http://x.example/b", "valueCanonical": person},
                    {"url": "http://x.example/c", "valueReference": {"reference": person}},
                ],
                text={
                    "status": "generated",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{person}">p</a><img alt="" src="{paper}"/>'
                    f'<a href="http://other.example/{person}">{person}</a></div>',
                },
                contained=[{"resourceType": "Device", "id": "d", "patient": {"reference": person}}],
                device={"reference": "#d"},
            ),
            f"{base}/Observation/8",
        ),
        entry("POST", "Patient", patient(value), person),
        entry("POST", "DocumentReference", {
            "resourceType": "DocumentReference", "status": "current",
            "content": [{"attachment": {"url": person}}],
        }, paper),
        entry("POST", "Observation", observation("Patient/1"), f"{base}/Observation/9"),
        entry("POST", "Patient", patient(value, id="1"), f"{base}/Patient/1"),
        entry("POST", "Observation", observation(person), versioned),
    )  # fmt: skip
    made = [row["resource"] for row in rows]
    names = [f"{resource['resourceType']}/{resource['id']}" for resource in made]
    first = made[0]
    assert first["subject"]["reference"] == names[1]
    assert first["identifier"][0]["value"] == person, "a string is no link"
    assert [r["reference"] for r in first["hasMember"]] == [names[3], f"{names[5]}/_history/1"]
    assert [r["reference"] for r in first["derivedFrom"]] == [
        f"{names[2]}#part",
        "http://other.example/Observation/1",
    ]
    assert first["extension"][0]["valueUri"] == names[1]
    assert first["extension"][1]["valueCanonical"] == person, "R4 excludes canonicals"
    assert first["extension"][2]["valueReference"]["reference"] == names[1]
    assert f'<a href="{names[1]}">p</a><img alt="" src="{names[2]}"/>' in first["text"]["div"]
    assert f'<a href="http://other.example/{person}">{person}</a>' in first["text"]["div"]
    assert first["contained"][0]["patient"]["reference"] == names[1]
    assert made[2]["content"][0]["attachment"]["url"] == names[1]
    assert made[3]["subject"]["reference"] == names[4], "relative to the root of the entry's own fullUrl"
    assert first["id"][-5:] == made[1]["id"][-5:], "the id ends with the patient's bucket"
    for name, resource in zip(names, made, strict=True):
        assert fhir.get(name).json() == resource


def test_relative_links_without_full_url_name_the_entry_with_that_id_else_this_server(fhir, value):
    kept = fhir.post("Patient", json=patient(value)).json()["id"]
    rows = done(
        fhir,
        entry("POST", "Patient", patient(value, id="my-patient")),
        entry("POST", "Observation", observation("Patient/my-patient")),
        entry("POST", "Observation", observation(f"Patient/{kept}")),
    )
    assert rows[1]["resource"]["subject"]["reference"] == f"Patient/{rows[0]['resource']['id']}"
    assert rows[2]["resource"]["subject"]["reference"] == f"Patient/{kept}"


def test_links_to_updated_and_matched_entries(fhir, value):
    match = fhir.post("Patient", json=patient(value)).json()["id"]
    by_criteria, conditional = urn(), urn()
    rows = done(
        fhir,
        entry("PUT", f"Patient?identifier={SYSTEM}|{value}", patient(value), by_criteria),
        entry("POST", "Patient", patient(value), conditional, ifNoneExist=f"identifier={SYSTEM}|{value}"),
        entry("PUT", f"Patient/{value}", patient("x", id=value), f"http://old.example/Patient/{value}"),
        entry("POST", "Observation", observation(by_criteria, focus=[
            {"reference": conditional}, {"reference": f"http://old.example/Patient/{value}"},
        ])),
    )  # fmt: skip
    assert statuses(rows) == ["200", "200", "201", "201"]
    assert rows[3]["resource"]["subject"]["reference"] == f"Patient/{match}"
    assert [r["reference"] for r in rows[3]["resource"]["focus"]] == [f"Patient/{match}", f"Patient/{value}"]


def test_circles_of_references(fhir):
    a, b = urn(), urn()
    rows = done(
        fhir,
        entry(
            "POST",
            "Organization",
            {"resourceType": "Organization", "name": "A", "partOf": {"reference": b}},
            a,
        ),
        entry(
            "POST",
            "Organization",
            {"resourceType": "Organization", "name": "B", "partOf": {"reference": a}},
            b,
        ),
    )
    ids = [row["resource"]["id"] for row in rows]
    assert [row["resource"]["partOf"]["reference"] for row in rows] == [
        f"Organization/{ids[1]}",
        f"Organization/{ids[0]}",
    ]


def test_references_by_search_find_stored_new_and_changed_resources_and_no_deleted_ones(fhir, value):
    stored = fhir.post("Patient", json=patient(f"{value}s")).json()["id"]
    twice = [fhir.post("Patient", json=patient(f"{value}t")).json()["id"] for _ in range(2)]
    changed = fhir.post("Patient", json=patient(f"{value}u")).json()["id"]

    def by(suffix):
        return observation(f"Patient?identifier={SYSTEM}%7C{value}{suffix}")

    rows = done(
        fhir,
        entry("POST", "Observation", by("s")),
        entry("POST", "Observation", by("n")),
        entry("POST", "Observation", by("t")),
        entry("POST", "Observation", by("v")),
        entry("POST", "Patient", patient(f"{value}n")),
        entry("DELETE", f"Patient/{twice[0]}"),
        entry("PUT", f"Patient/{changed}", patient(f"{value}v", id=changed)),
    )
    new = rows[4]["resource"]["id"]
    wanted = [f"Patient/{id_}" for id_ in (stored, new, twice[1], changed)]
    assert [row["resource"]["subject"]["reference"] for row in rows[:4]] == wanted


def test_references_by_search_to_resources_that_refer_by_search_themselves(fhir, value):
    identifier = [{"system": SYSTEM, "value": value}]
    rows = done(
        fhir,
        entry("POST", "Observation", observation("Patient?identifier=" + value, hasMember=[
            {"reference": f"Observation?identifier={value}"},
        ])),
        entry("POST", "Observation", observation("Patient?identifier=" + value, identifier=identifier)),
        entry("POST", "Patient", patient(value)),
    )  # fmt: skip
    assert rows[0]["resource"]["hasMember"][0]["reference"] == f"Observation/{rows[1]['resource']['id']}"


def test_references_by_search_need_one_match_and_all_failures_are_told(fhir, value):
    for _ in range(2):
        fhir.post("Patient", json=patient(value))
    status, issues = refused(
        fhir,
        entry("POST", "Observation", observation(f"Patient?identifier={value}")),
        entry("POST", "Observation", observation(f"Patient?identifier=no-{value}")),
        entry("POST", "Observation", observation("Patient?nonsense=1")),
    )
    assert status == 412
    assert [place for _, place in issues] == [
        f"Bundle.entry[{n}].resource.subject.reference" for n in range(3)
    ]


DUPLICATES = {
    "the same PUT": lambda id_, value: [
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
    ],
    "PUT and DELETE": lambda id_, value: [
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
        entry("DELETE", f"Patient/{id_}"),
    ],
    "PUT by id and by criteria": lambda id_, value: [
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
        entry("PUT", f"Patient?identifier={value}", patient(value)),
    ],
    "two DELETEs, one by criteria": lambda id_, value: [
        entry("DELETE", f"Patient/{id_}"),
        entry("DELETE", f"Patient?identifier={value}"),
    ],
    "two creates for the same criteria": lambda id_, value: [
        entry("POST", "Patient", patient("n"), ifNoneExist=f"identifier=n{value}"),
        entry("POST", "Patient", patient("n"), ifNoneExist=f"identifier=n{value}"),
    ],
    "criteria that a create fulfils": lambda id_, value: [
        entry("POST", "Patient", patient(f"n{value}")),
        entry("PUT", f"Patient?identifier=n{value}", patient(f"n{value}")),
    ],
}


@pytest.mark.parametrize("name", DUPLICATES)
def test_a_resource_appears_once(fhir, value, name):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    answer = send(fhir, *DUPLICATES[name](id_, value))
    assert answer.status_code == 400, answer.text
    issues = answer.json()["issue"]
    assert {issue["expression"][0] for issue in issues} == {"Bundle.entry[0]", "Bundle.entry[1]"}
    assert all(issue["code"] == "duplicate" for issue in issues)
    assert "0 and 1" in issues[0]["diagnostics"] or "1 and 0" in issues[0]["diagnostics"]
    assert fhir.get(f"Patient/{id_}").json()["meta"]["versionId"] == "1"


REFUSED = {
    "no request": ({"resource": {"resourceType": "Patient"}}, 400, "Bundle.entry[0]"),
    "no resource": (entry("POST", "Patient"), 400, "Bundle.entry[0]"),
    "another type": (entry("POST", "Patient", {"resourceType": "Basic"}), 400, "Bundle.entry[0].resource"),
    "another id": (
        entry("PUT", "Patient/a", {"resourceType": "Patient", "id": "b"}),
        400,
        "Bundle.entry[0].resource.id",
    ),
    "an unknown type": (entry("DELETE", "Patent/a"), 400, "Bundle.entry[0].request.url"),
    "another server": (entry("DELETE", "http://x.example/Patient/a"), 400, "Bundle.entry[0].request.url"),
    "DELETE of a type": (entry("DELETE", "Patient"), 412, "Bundle.entry[0]"),
    "POST to an id": (
        entry("POST", "Patient/a", {"resourceType": "Patient"}),
        400,
        "Bundle.entry[0].request.url",
    ),
    "ifMatch with POST": (
        entry("POST", "Patient", {"resourceType": "Patient"}, ifMatch='W/"1"'),
        400,
        "Bundle.entry[0].request.ifMatch",
    ),
    "ifNoneExist with PUT": (
        entry("PUT", "Patient/a", {"resourceType": "Patient", "id": "a"}, ifNoneExist="identifier=x"),
        400,
        "Bundle.entry[0].request.ifNoneExist",
    ),
    "a read of nothing": (entry("GET", "Patient/there-is-none"), 404, "Bundle.entry[0]"),
    "a bad search": (entry("GET", "Patient?nonsense=1"), 400, "Bundle.entry[0]"),
    "ifMatch of nothing": (
        entry("PUT", "Patient/no-such", {"resourceType": "Patient", "id": "no-such"}, ifMatch='W/"1"'),
        412,
        "Bundle.entry[0]",
    ),
    "an unknown member": ({**entry("GET", "Patient"), "colour": "red"}, 400, "Bundle.entry[0]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(fhir, name):
    sent, status, place = REFUSED[name]
    answer = send(fhir, sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["expression"] == [place]


def test_duplicate_full_urls_are_named(fhir, value):
    url = urn()
    answer = send(
        fhir, entry("POST", "Patient", patient(value), url), entry("POST", "Patient", patient(value), url)
    )
    assert answer.status_code == 400
    [issue] = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("duplicate", ["Bundle.entry[1].fullUrl"])
    assert "entry 0" in issue["diagnostics"]


def test_preconditions_of_entries(fhir, value):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    put = entry("PUT", f"Patient/{id_}", patient(value, id=id_), ifMatch='W/"1"')
    assert statuses(done(fhir, put)) == ["200"]
    assert refused(fhir, entry("POST", "Patient", patient(value)), put) == (
        412,
        [("conflict", "Bundle.entry[1]")],
    )
    assert len(found(fhir, "Patient", value)) == 1
    read = entry("GET", f"Patient/{id_}", ifNoneMatch='W/"2"')
    assert statuses(done(fhir, read)) == ["304"]
    read = entry("GET", f"Patient/{id_}", ifModifiedSince="2999-01-01T00:00:00+02:00")
    assert statuses(done(fhir, read)) == ["304"]


def test_deletes_of_nothing_and_by_criteria(fhir, value):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    rows = done(
        fhir,
        entry("DELETE", f"Patient/none-{value}"),
        entry("DELETE", f"Patient?identifier={value}"),
        entry("DELETE", f"Patient?identifier=none-{value}"),
    )
    assert statuses(rows) == ["204", "204", "204"]
    assert rows[1]["response"]["etag"] == 'W/"2"'
    assert fhir.get(f"Patient/{id_}").status_code == 410


def test_a_read_of_what_the_transaction_deletes_is_refused(fhir, value):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    status, _ = refused(fhir, entry("DELETE", f"Patient/{id_}"), entry("GET", f"Patient/{id_}"))
    assert status == 410
    assert fhir.get(f"Patient/{id_}").status_code == 200


def test_validation_sees_the_rewritten_reference(fhir):
    """Observation.subject can't be a Practitioner; only the resolved link tells that it is one."""
    url = urn()
    _, issues = refused(
        fhir,
        entry("POST", "Practitioner", {"resourceType": "Practitioner"}, url),
        entry("POST", "Observation", observation(url)),
    )
    assert issues[0][1].startswith("Bundle.entry[1].resource.subject")


def test_5000_entries(fhir, value):
    rows = done(
        fhir,
        *(
            [entry("POST", "Patient", patient(value), "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a")]
            + [
                entry("POST", "Observation", observation("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"))
                for _ in range(4999)
            ]
        ),
        Prefer="return=minimal",
    )
    assert set(statuses(rows)) == {"201"}
    id_ = rows[0]["response"]["location"].split("/")[-3]
    answer = fhir.get("Observation", params={"patient": id_, "_summary": "count"})
    assert answer.json()["total"] == 4999


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"resourceType": "Patient"}, None),
        ({"resourceType": "Bundle", "type": "collection"}, "Bundle.type"),
        ({"resourceType": "Bundle"}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": {}}, "Bundle.entry"),
    ],
)
def test_other_bodies_are_refused_at_the_base(fhir, body, place):
    answer = fhir.post("", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0].get("expression") == (place and [place])


def test_limits_of_entries_and_bytes(site_with):
    with site_with({"bundle.max_entries": 2, "http.max_bundle_mb": 2, "http.max_body_mb": 1}) as site:
        post = entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x" * 600_000}})
        bundle = {"resourceType": "Bundle", "type": "transaction"}
        assert site.post("/fhir", json={**bundle, "entry": [post, post]}).status_code == 200
        assert site.post("/fhir", json={**bundle, "entry": [post] * 4}).status_code == 413
        read = entry("GET", "Patient")
        assert site.post("/fhir", json={**bundle, "entry": [read] * 3}).status_code == 413
        assert site.post("/fhir/Bundle", json={**bundle, "entry": [post, post]}).status_code == 413
        documentation = site.get("/fhir/metadata").json()["rest"][0]["documentation"]
        assert "2 entries and 2 MB" in documentation


def json_patch(*operations):
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def fhirpath_patch(path, **value):
    parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": path}]
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": [*parts, {"name": "value", **value}]}],
    }


def test_patches_are_part_of_the_transaction(fhir, value):
    ids = [fhir.post("Patient", json=patient(f"{value}{n}", gender="male")).json()["id"] for n in range(3)]
    reading = fhir.post("Observation", json=observation(f"Patient/{ids[0]}")).json()["id"]
    url = urn()
    rows = done(
        fhir,
        entry(
            "PATCH", f"Patient/{ids[0]}", json_patch({"op": "replace", "path": "/gender", "value": "female"})
        ),
        entry("PATCH", f"Patient?identifier={value}1", fhirpath_patch("Patient.gender", valueCode="other")),
        entry(
            "PATCH",
            f"Observation/{reading}",
            fhirpath_patch("Observation.subject", valueReference={"reference": url}),
            ifMatch='W/"1"',
        ),
        entry("POST", "Patient", patient("new"), url),
    )
    assert statuses(rows) == ["200", "200", "200", "201"]
    assert [fhir.get(f"Patient/{id_}").json()["gender"] for id_ in ids[:2]] == ["female", "other"]
    subject = fhir.get(f"Observation/{reading}").json()["subject"]["reference"]
    assert subject == f"Patient/{rows[3]['resource']['id']}"
    assert rows[0]["response"]["etag"] == 'W/"2"'


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [
        ("Patient/none", json_patch({"op": "remove", "path": "/gender"}), 404),
        ("Patient?identifier=none", json_patch({"op": "remove", "path": "/gender"}), 404),
        ("Patient/{id}", json_patch({"op": "remove", "path": "/nothing"}), 422),
        ("Patient/{id}", json_patch({"op": "replace", "path": "/gender", "value": "x"}), 422),
        ("Patient/{id}", {"resourceType": "Basic", "code": {"text": "x"}}, 400),
    ],
)
def test_a_patch_that_fails_stops_the_transaction(fhir, value, url, body, status):
    id_ = fhir.post("Patient", json=patient(value, gender="male")).json()["id"]
    found_status, _ = refused(
        fhir, entry("POST", "Patient", patient(value)), entry("PATCH", url.format(id=id_), body)
    )
    assert found_status == status
    assert len(found(fhir, "Patient", value)) == 1


def test_a_patch_and_an_update_of_one_resource_are_refused(fhir, value):
    fhir.put(f"Patient/{value}", json=patient(value, id=value, gender="male"))
    answer = send(
        fhir,
        entry("PUT", f"Patient/{value}", patient(value, id=value)),
        entry("PATCH", f"Patient/{value}", json_patch({"op": "remove", "path": "/gender"})),
    )
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == "duplicate"


@pytest.mark.parametrize("where", ["resource", "envelope"])
def test_large_bundles_are_read_as_strictly_as_small_ones(fhir, value, where):
    rows = [entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x" * 400_000}})]
    rows.append(entry("POST", "Patient", patient(value)))
    text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": rows})
    good = fhir.post("", content=text)
    assert good.status_code == 200, good.text
    if where == "resource":
        text = text.replace(
            '{"resourceType": "Patient"', '{"resourceType": "Patient", "active": true, "active": true'
        )
    else:
        text = text.replace('"type": "transaction"', '"type": "transaction", "type": "transaction"')
    answer = fhir.post("", content=text)
    assert answer.status_code == 400
    assert len(found(fhir, "Patient", value)) == 1
    cut = fhir.post("", content=text[:-1])
    assert cut.status_code == 400
