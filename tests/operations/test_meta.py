"""$meta and its kin: https://hl7.org/fhir/R4/resource-operations.html."""

import uuid

import pytest


@pytest.fixture
def basic(fhir):
    body = {
        "resourceType": "Basic",
        "meta": {"tag": [{"system": "urn:s", "code": "a", "display": "A"}]},
        "code": {"text": "x"},
    }
    return fhir.post("Basic", json=body).json()


CONTENT = {
    "Basic": {"code": {"text": "x"}},
    "Linkage": {
        "item": [
            {"type": "source", "resource": {"display": "x"}},
            {"type": "alternate", "resource": {"display": "y"}},
        ]
    },
}


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


def test_meta_of_a_version(fhir, basic):
    id_ = basic["id"]
    fhir.put(f"Basic/{id_}", json={**basic, "meta": {"tag": [{"code": "b"}]}})
    assert returned(fhir.get(f"Basic/{id_}/_history/1/$meta")) == basic["meta"]
    assert returned(fhir.get(f"Basic/{id_}/_history/2/$meta"))["tag"] == [{"code": "b"}]
    assert fhir.get(f"Basic/{id_}/_history/3/$meta").status_code == 404
    assert (
        fhir.post(f"Basic/{id_}/_history/1/$meta-add", json=inputs({"profile": ["urn:p"]})).status_code == 404
    )
    assert fhir.get(f"Basic/{id_}/_history/1/$validate").status_code == 404


def test_meta_of_a_type_and_of_the_system_lists_what_is_in_use(fhir):
    system = f"urn:labels:{uuid.uuid4()}"

    def label(code, **more):
        return {"system": system, "code": code, **more}

    def create(type_, **labels):
        return fhir.post(type_, json={"resourceType": type_, **CONTENT[type_], "meta": labels}).json()

    def own(meta):
        return [coding["code"] for coding in meta.get("tag", ()) if coding.get("system") == system]

    create("Basic", tag=[label("b", display="B")], profile=[system], security=[label("r")])
    create("Basic", tag=[label("a"), label("b")])
    create("Linkage", tag=[label("l")])
    gone = create("Basic", tag=[label("gone")])
    fhir.delete(f"Basic/{gone['id']}")
    changed = create("Basic", tag=[label("old")])
    fhir.put(f"Basic/{changed['id']}", json={**changed, "meta": {"tag": [label("new")]}})

    of_type = returned(fhir.get("Basic/$meta"))
    assert own(of_type) == ["a", "b", "new"]
    assert system in of_type["profile"]
    assert label("r") in of_type["security"]
    assert of_type.keys() <= {"tag", "profile", "security"}
    of_system = returned(fhir.post("$meta", json={"resourceType": "Parameters"}))
    assert own(of_system) == ["a", "b", "l", "new"]
    assert returned(fhir.get("ImagingStudy/$meta")) == {}
    assert fhir.get("Basic/$meta?_tag=x").status_code == 400
