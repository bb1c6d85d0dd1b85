"""Observation/$ingest: the contract of docs/measures.md, line by line."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

HS = "https://health-space.example/fhir"
ORIGIN = f"{HS}/CodeSystem/hs-origin"
UCUM = "http://unitsofmeasure.org"
NDJSON = {"Content-Type": "application/fhir+ndjson"}


@pytest.fixture(scope="module")
def fhir(site_with):
    with site_with({"content.load": True, "examples.load": True, "app.measures_per_day": 2000}) as client:
        client.base_url = client.base_url.join("fhir/")
        yield client


def measure(value=62, unit="/min", at="2026-03-02T07:15:00+01:00", code="8867-4", record=None, **more):
    made = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/camille-exemple"},
        "effectiveDateTime": at,
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
        "device": {"reference": "Device/montre-camille"},
        **more,
    }
    if record is not None:
        made["identifier"] = [{"system": f"{HS}/sid/app-record/test", "value": record}]
    return {name: content for name, content in made.items() if content is not None}


def activity(code, value, unit, effective, **more):
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    made = measure(value, unit, None, code, **more)
    return {**made, **effective, "category": [{"coding": [{"system": category, "code": "activity"}]}]}


def ingest(fhir, *lines, headers=None, query="", body=None):
    if body is None:
        body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    answer = fhir.post(f"Observation/$ingest{query}", content=body, headers={**NDJSON, **(headers or {})})
    return answer, [
        json.loads(line) for line in answer.content.splitlines()
    ] if answer.status_code == 200 else []


def statuses(fhir, *lines, **more):
    return [row["status"] for row in ingest(fhir, *lines, **more)[1]]


def total(fhir, query):
    return fhir.get("Observation", params={**query, "_summary": "count"}).json()["total"]


def test_a_measure_is_stored_with_profiles_origin_and_provenance(fhir):
    answer, (row,) = ingest(fhir, measure(record="first"), query="?app=Device/app-coeur")
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    assert (row["line"], row["status"]) == (1, 201)
    stored = fhir.get(row["location"]).json()
    assert stored["meta"]["profile"] == [
        f"{HS}/StructureDefinition/hs-measure-heart-rate",
        "http://hl7.org/fhir/StructureDefinition/heartrate",
    ]
    assert stored["meta"]["source"] == f"{HS}/sid/app/fr.exemple.coeur"
    assert stored["meta"]["tag"] == [{"system": ORIGIN, "code": "health-app"}]
    found = fhir.get("Provenance", params={"target": row["location"].partition("/_history")[0]}).json()[
        "entry"
    ]
    assert [entry["resource"]["agent"][1]["who"] for entry in found] == [{"reference": "Device/app-coeur"}]
    judged = fhir.post("Provenance/$validate", json=found[0]["resource"]).json()
    assert not [issue for issue in judged["issue"] if issue["severity"] in ("error", "fatal")], judged


def test_what_the_sender_says_of_the_origin_is_replaced(fhir):
    meta = {"source": "urn:x", "tag": [{"system": ORIGIN, "code": "professional"}, {"code": "own"}]}
    _, (row,) = ingest(fhir, measure(record="origin", meta=meta))
    stored = fhir.get(row["location"]).json()["meta"]
    assert stored["tag"] == [{"code": "own"}, {"system": ORIGIN, "code": "health-app"}]
    assert stored["source"] == "Device/montre-camille"


def test_sent_again_it_is_found_with_and_without_identifier(fhir):
    lines = [measure(record="again"), measure(71, at="2026-03-03T08:00:00Z")]
    _, first = ingest(fhir, *lines)
    _, second = ingest(fhir, *lines, measure(71, at="2026-03-03T08:00:00Z"))
    assert [row["status"] for row in first] == [201, 201]
    assert [row["status"] for row in second] == [200, 200, 200]
    assert [row["location"] for row in second] == [first[n]["location"] for n in (0, 1, 1)]
    one = first[0]["location"].split("/")[1]
    assert len(fhir.get(f"Provenance?target=Observation/{one}").json()["entry"]) == 1


def test_the_same_identifier_with_another_content_is_a_409(fhir):
    assert statuses(fhir, measure(record="other")) == [201]
    _, (row,) = ingest(fhir, measure(63, record="other"))
    assert (row["status"], row["issue"][0]["code"]) == (409, "duplicate")


def test_what_was_corrected_since_is_still_found(fhir):
    _, (row,) = ingest(fhir, measure(record="amended"))
    name = row["location"].partition("/_history")[0]
    stored = fhir.get(name).json()
    stored |= {"status": "amended", "valueQuantity": {**stored["valueQuantity"], "value": 64}}
    assert fhir.put(name, json=stored, headers={"If-Match": 'W/"1"'}).status_code == 200
    _, (again,) = ingest(fhir, measure(record="amended"))
    assert (again["status"], again["location"]) == (200, f"{name}/_history/2")
    assert fhir.delete(name).status_code == 204
    assert statuses(fhir, measure(record="amended")) == [410]


def test_no_duplicates_when_all_send_at_once(fhir):
    day = "2026-01-05"
    body = b"\n".join(json.dumps(measure(60 + n % 9, at=f"{day}T07:{n:02}:00Z")).encode() for n in range(60))
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: ingest(fhir, body=body)[1], range(6)))
    rows = [row["status"] for answer in told for row in answer]
    assert (rows.count(201), rows.count(200)) == (60, 300)
    assert total(fhir, {"subject": "Patient/camille-exemple", "date": day}) == 60


# Line, status, issue code, rule or expression.
REFUSED = {
    "not-json": (b'{"resourceType": ', 400, "structure", ""),
    "another-type": (b'{"resourceType": "Patient"}', 400, "structure", ""),
    "unknown-element": (measure(wrong=1), 400, "structure", ""),
    "no-subject": (measure(subject=None), 422, "required", "Observation.subject"),
    "subject-identifier": (measure(subject={"identifier": {"value": "1"}}), 422, "required", "Observation.subject"),
    "other-patient": (measure(subject={"reference": "Patient/nobody"}), 403, "forbidden", "Observation.subject"),
    "no-device": (measure(device=None), 422, "required", "Observation.device"),
    "unknown-device": (measure(device={"reference": "Device/no"}), 422, "not-found", "hs-b-measure-device"),
    "other-device": (
        measure(device={"reference": "Device/tensiometre-dominique"}), 422, "not-found", "hs-b-measure-device"
    ),
    "unknown-code": (measure(code="4548-4"), 422, "not-supported", "hs-b-measure-code"),
    "unknown-unit": (measure(unit="furlong"), 422, "value", "hs-b-unit"),
    "no-unit": (measure(valueQuantity={"value": 62}), 422, "required", "hs-b-unit"),
    "no-value": (measure(valueQuantity=None), 422, "required", ""),
    "sampled-data": (
        measure(valueQuantity=None, valueSampledData={"origin": {"value": 0}, "period": 10, "dimensions": 1}),
        400, "structure", "",
    ),
    "future": (measure(at="2099-01-01T00:00:00Z"), 422, "business-rule", "hs-b-measure-time"),
    "before-birth": (measure(at="1989-03-01T00:00:00Z"), 422, "business-rule", "hs-b-measure-time"),
    "date-only": (measure(at="2026-03-02"), 422, "invariant", "hs-mea-3"),
    "steps": (activity("41950-7", 8412.5, "1/(24.h)", {"effectiveDateTime": "2026-03-02"}), 422, "invariant", "hs-mea-steps"),
    "long-workout": (
        activity("55411-3", 60, "min", {"effectivePeriod": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-04T00:00:00Z"}}),
        422, "business-rule", "hs-b-measure-time",
    ),
    "longer-than-its-period": (
        activity("55411-3", 62, "min", {"effectivePeriod": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T01:00:00Z"}}),
        422, "business-rule", "hs-b-measure-time",
    ),
    "steps-of-two-days": (
        activity("55423-8", 62, "{steps}", {"effectivePeriod": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-03T00:00:00Z"}}),
        422, "not-supported", "hs-b-measure-code",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(fhir, name):
    line, status, code, place = REFUSED[name]
    _, (row,) = ingest(fhir, line)
    assert row["status"] == status, row
    assert code in [issue["code"] for issue in row["issue"]]
    told = json.dumps(row["issue"])
    assert place in told
    assert "location" not in row


def test_lines_are_independent_and_empty_ones_are_left_out(fhir):
    _, rows = ingest(fhir, measure(record="i1"), b"", b"{", measure(record="i2"))
    assert [(row["line"], row["status"]) for row in rows] == [(1, 201), (3, 400), (4, 201)]


def test_a_warning_does_not_stop_a_measure(fhir):
    _, (row,) = ingest(fhir, measure(400, record="fast"))
    assert (row["status"], row["issue"][0]["severity"]) == (201, "warning")
    assert "hs-mea-hr" in json.dumps(row)


def test_units_are_brought_to_the_profile_and_kept(fhir):
    sent = {"value": 165, "unit": "lb", "system": UCUM, "code": "[lb_av]"}
    _, (row,) = ingest(fhir, measure(code="29463-7", valueQuantity=sent))
    stored = fhir.get(row["location"]).json()
    assert stored["valueQuantity"] == {"value": 74.843, "unit": "kg", "system": UCUM, "code": "kg"}
    assert stored["extension"] == [
        {"url": f"{HS}/StructureDefinition/hs-original-quantity", "valueQuantity": sent}
    ]


def test_codes_of_phones_become_those_of_the_measures(fhir):
    period = {"start": "2026-03-09T00:00:00+01:00", "end": "2026-03-10T00:00:00+01:00"}
    _, rows = ingest(
        fhir,
        activity("55423-8", 9120, "{steps}", {"effectivePeriod": period}),
        measure(5.6, "mmol/L", code="41653-7"),
        measure(0.97, "1", code="59408-5"),
    )
    assert [row["status"] for row in rows] == [201, 201, 201], rows
    stored = [fhir.get(row["location"]).json() for row in rows]
    assert [[coding["code"] for coding in one["code"]["coding"]] for one in stored] == [
        ["41950-7", "55423-8"],
        ["2345-7", "41653-7"],
        ["2708-6", "59408-5"],
    ]
    assert stored[0]["effectiveDateTime"] == "2026-03-09"
    assert [one["valueQuantity"]["value"] for one in stored] == [9120, 101, 97]


def test_gzip(fhir):
    body = gzip.compress(json.dumps(measure(record="zipped")).encode())
    assert statuses(fhir, body=body, headers={"Content-Encoding": "gzip"}) == [201]


def test_a_stream_that_breaks_tells_what_was_done(fhir):
    whole = gzip.compress(b"\n".join(json.dumps(measure(record=f"cut{n}")).encode() for n in range(300)))
    _, rows = ingest(fhir, body=whole[: len(whole) // 2], headers={"Content-Encoding": "gzip"})
    assert {row["status"] for row in rows[:-1]} <= {201, 400}
    assert rows[-1]["status"] == 400
    again = statuses(fhir, body=whole, headers={"Content-Encoding": "gzip"})
    assert again.count(200) == [row["status"] for row in rows].count(201)
    assert len(again) == 300


def test_an_idempotency_key_brings_the_first_answer(fhir):
    key = {"Idempotency-Key": "batch-1"}
    first, rows = ingest(fhir, measure(record="k1"), headers=key)
    again, same = ingest(fhir, measure(record="k1"), headers=key)
    assert same == rows
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    other, _ = ingest(fhir, measure(record="k2"), headers=key)
    assert other.status_code == 422


def test_a_dry_run_stores_nothing(fhir):
    assert statuses(fhir, measure(record="dry"), headers={"X-Dry-Run": "true"}) == [201]
    assert statuses(fhir, measure(record="dry")) == [201]


def test_other_media_types_and_accept(fhir):
    assert ingest(fhir, measure(), headers={"Content-Type": "application/fhir+json"})[0].status_code == 415
    answer, _ = ingest(fhir, measure(record="a"), headers={"Accept": "application/fhir+ndjson"})
    assert answer.status_code == 200
    assert fhir.get("Observation/$ingest").status_code == 405
    assert ingest(fhir, measure(), query="?app=Device/montre-camille")[0].status_code == 422


def test_the_limit_of_lines_and_of_a_day(site_with):
    with site_with(
        {"content.load": True, "examples.load": True, "app.measures_per_day": 3, "app.ingest_lines": 4}
    ) as client:
        client.base_url = client.base_url.join("fhir/")
        app = client.get("Device/app-coeur").json() | {"id": "another-app"}
        assert client.put("Device/another-app", json=app).status_code == 201
        device = {"device": {"reference": "Device/another-app"}}
        lines = [measure(60, at=f"2025-02-01T07:{n:02}:00Z", **device) for n in range(6)]
        answer, rows = ingest(client, *lines)
        assert [row["status"] for row in rows] == [201, 201, 201, 429, 413]
        assert 0 < int(answer.headers["retry-after"]) <= 86_400
        assert statuses(client, *lines[:3]) == [200, 200, 200]
        refused, _ = ingest(client, *lines[3:5])
        assert refused.status_code == 429
        assert refused.json()["issue"][0]["code"] == "throttled"


def test_a_year_for_a_chart(fhir):
    lines = [measure(50 + n % 60, at=f"2024-05-{1 + n // 10:02}T{n % 10:02}:00:00Z") for n in range(300)]
    assert set(statuses(fhir, *lines)) <= {200, 201}
    query = {
        "patient": "camille-exemple",
        "code": "http://loinc.org|8867-4",
        "start": "2024-05-01",
        "end": "2024-05-30",
    }
    rows = fhir.get("Observation/$downsample", params={**query, "points": 30}).json()["parameter"]
    assert rows[:2] == [{"name": "count", "valueInteger": 300}, {"name": "unit", "valueCode": "/min"}]
    told = [
        {part["name"]: next(v for k, v in part.items() if k != "name") for part in row["part"]}
        for row in rows[2:]
    ]
    assert len(told) == 30
    assert told[0] == {
        "start": "2024-05-01T00:00:00.000Z",
        "end": "2024-05-02T00:00:00.000Z",
        "count": 10,
        "min": 50,
        "max": 59,
        "mean": 54.5,
    }
    line = fhir.get("Observation/$downsample", params={**query, "points": 50, "method": "lttb"}).json()[
        "parameter"
    ]
    assert [row["name"] for row in line].count("point") == 50
    assert fhir.get("Observation/$downsample", params={**query, "points": 2}).status_code == 400
    assert fhir.get("Observation/$downsample", params={"patient": "x"}).status_code == 400


def post(fhir, made):
    profile = {"profile": [f"{HS}/StructureDefinition/hs-measure-heart-rate"]}
    return fhir.post("Observation", json={**made, "meta": profile})


def test_a_plain_post_finds_the_measure_that_a_stream_brought_and_the_other_way_round(fhir):
    streamed, posted = measure(66, at="2026-01-20T08:00:00Z"), measure(67, at="2026-01-20T09:00:00Z")
    _, (row,) = ingest(fhir, streamed)
    answer = post(fhir, streamed)
    assert (answer.status_code, answer.headers["location"].endswith(row["location"])) == (200, True)
    assert post(fhir, posted).status_code == 201
    assert post(fhir, posted).status_code == 200
    assert statuses(fhir, posted) == [200]
    assert total(fhir, {"subject": "Patient/camille-exemple", "date": "2026-01-20"}) == 2


def test_a_plain_post_of_another_content_under_an_identifier_is_a_409(fhir):
    assert post(fhir, measure(70, record="plain")).status_code == 201
    refused = post(fhir, measure(71, record="plain"))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (409, "duplicate")


def test_the_same_value_said_in_another_unit_is_the_same_measure(fhir):
    at = "2026-01-22T08:00:00Z"
    assert statuses(fhir, measure(1, "/s", at=at)) == [201]
    assert post(fhir, measure(60, at=at)).status_code == 200


def test_what_claims_no_measure_is_stored_each_time(fhir):
    plain = measure(72, at="2026-01-21T08:00:00Z")
    assert [fhir.post("Observation", json=plain).status_code for _ in range(2)] == [201, 201]


def test_a_stream_of_several_chunks_under_a_key_and_again_without(fhir):
    lines = [measure(50 + n % 50, at=f"2025-06-{1 + n // 60:02}T08:{n % 60:02}:00Z") for n in range(1100)]
    _, rows = ingest(fhir, *lines, headers={"Idempotency-Key": "long"})
    assert {row["status"] for row in rows} == {201}
    assert statuses(fhir, *lines, *lines[:3]) == [200] * 1103
    assert total(fhir, {"subject": "Patient/camille-exemple", "date": "2025-06"}) == 1100
