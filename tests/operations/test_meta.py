"""$meta and its kin: https://hl7.org/fhir/R4/resource-operations.html."""

import pytest


@pytest.fixture
def basic(fhir):
    body = {
        "resourceType": "Basic",
        "meta": {"tag": [{"system": "urn:s", "code": "a", "display": "A"}]},
        "code": {"text": "x"},
    }
    return fhir.post("Basic", json=body).json()


def inputs(meta):
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def returned(answer):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    [parameter] = body["parameter"]
    assert parameter["name"] == "return"
    return parameter["valueMeta"]


def test_meta_is_that_of_the_resource(fhir, basic):
    address = f"Basic/{basic['id']}/$meta"
    assert returned(fhir.get(address)) == basic["meta"]
    assert returned(fhir.post(address, json={"resourceType": "Parameters"})) == basic["meta"]


def test_adding_makes_no_version_and_is_found_by_searches(fhir, basic):
    id_ = basic["id"]
    code = f"t-{id_}"
    more = {
        "profile": ["urn:p"],
        "security": [{"system": "urn:l", "code": "R"}],
        "tag": [{"system": "urn:s", "code": "a"}, {"system": "urn:s", "code": code}],
    }
    made = returned(fhir.post(f"Basic/{id_}/$meta-add", json=inputs(more)))
    assert made == {
        **basic["meta"],
        "profile": ["urn:p"],
        "security": more["security"],
        "tag": [*basic["meta"]["tag"], more["tag"][1]],
    }
    read = fhir.get(f"Basic/{id_}")
    assert read.headers["etag"] == 'W/"1"'
    assert read.json() == {**basic, "meta": made}
    assert len(fhir.get(f"Basic/{id_}/_history").json()["entry"]) == 1
    assert [e["resource"]["id"] for e in fhir.get(f"Basic?_tag=urn:s|{code}").json()["entry"]] == [id_]
    # The next version starts from it, and its history has it.
    fhir.put(f"Basic/{id_}", json={**read.json(), "code": {"text": "y"}})
    assert fhir.get(f"Basic/{id_}/_history/1").json()["meta"] == made


def test_deleting_takes_out_what_is_named(fhir, basic):
    id_ = basic["id"]
    added = {"tag": [{"code": "b"}], "profile": ["urn:p"]}
    fhir.post(f"Basic/{id_}/$meta-add", json=inputs(added))
    gone = {"tag": [{"system": "urn:s", "code": "a"}, {"code": "other"}], "profile": ["urn:p"]}
    left = returned(fhir.post(f"Basic/{id_}/$meta-delete", json=inputs(gone)))
    assert left["tag"] == [{"code": "b"}]
    assert "profile" not in left
    assert "entry" not in fhir.get(f"Basic?_id={id_}&_tag=urn:s|a").json()
    assert fhir.get(f"Basic/{id_}").json()["meta"] == left
    assert "tag" not in returned(
        fhir.post(f"Basic/{id_}/$meta-delete", json=inputs({"tag": [{"code": "b"}]}))
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"resourceType": "Basic"}, 400),
        ({"resourceType": "Parameters"}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueCode": "x"}]}, 400),
        (inputs({"versionId": "7"}), 400),
        (inputs({"tag": "x"}), 400),
        (
            inputs({"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}),
            422,
        ),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(fhir, basic, body, status):
    assert fhir.post(f"Basic/{basic['id']}/$meta-add", json=body).status_code == status
    assert fhir.get(f"Basic/{basic['id']}").json() == basic


def test_unknown_deleted_and_conditional(fhir, basic):
    id_ = basic["id"]
    body = inputs({"tag": [{"code": "b"}]})
    assert fhir.post("Basic/nobody/$meta-add", json=body).status_code == 404
    assert fhir.get("Basic/nobody/$meta").status_code == 404
    wrong = {"If-Match": 'W/"9"'}
    assert fhir.post(f"Basic/{id_}/$meta-add", json=body, headers=wrong).status_code == 412
    assert fhir.get(f"Basic/{id_}/$meta?colour=red").status_code == 400
    assert fhir.get(f"Basic/{id_}/$meta-add").status_code == 405
    dry = fhir.post(f"Basic/{id_}/$meta-add", json=body, headers={"X-Dry-Run": "true"})
    assert returned(dry)["tag"][-1] == {"code": "b"}
    assert fhir.get(f"Basic/{id_}").json() == basic
    fhir.delete(f"Basic/{id_}")
    assert fhir.post(f"Basic/{id_}/$meta-add", json=body).status_code == 410


def test_the_operations_are_listed(fhir):
    statement = fhir.get("metadata").json()
    for resource in statement["rest"][0]["resource"]:
        assert {"meta", "meta-add", "meta-delete"} <= {row["name"] for row in resource["operation"]}
