"""Random sequences of interactions, transactions among them, against a model of a few dictionaries."""

import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SYSTEM = "urn:test:model"

names = st.sampled_from("abc")
labels = st.sampled_from("xyz")
genders = st.sampled_from(["male", "female", "other"])
matches = st.none() | st.integers(1, 4)

single = st.one_of(
    st.tuples(st.just("PUT"), names, labels, genders, matches),
    st.tuples(st.just("DELETE"), names, matches),
    st.tuples(st.just("PUT?"), labels, genders),
    st.tuples(st.just("POST?"), labels, genders),
    st.tuples(st.just("DELETE?"), labels),
)
steps = st.one_of(single, st.tuples(st.just("transaction"), st.lists(single, min_size=1, max_size=4)))


class Model:
    """Living resources by id: (version, label, gender); ``versions`` counts deleted ones too."""

    def __init__(self):
        self.living = {}
        self.versions = {}

    def found(self, label):
        return [id_ for id_, (_, own, _) in self.living.items() if own == label]

    def write(self, id_, label, gender):
        """Return the status of the write."""
        status = 200 if id_ in self.living else 201
        self.versions[id_] = self.versions.get(id_, 0) + 1
        self.living[id_] = (self.versions[id_], label, gender)
        return status

    def delete(self, id_):
        if self.living.pop(id_, None):
            self.versions[id_] += 1
        return 204

    def breaks(self, id_, match):
        return match is not None and (id_ not in self.living or self.living[id_][0] != match)

    def single(self, step, new_id):
        """Return the status that a single request must have; ``new_id`` names what it created."""
        kind, *rest = step
        if kind == "PUT":
            id_, label, gender, match = rest
            return 412 if self.breaks(id_, match) else self.write(id_, label, gender)
        if kind == "DELETE":
            return 412 if self.breaks(*rest) else self.delete(rest[0])
        found = self.found(rest[0])
        if len(found) > 1:
            return 412
        if kind == "DELETE?":
            return self.delete(found[0]) if found else 204
        if kind == "POST?" and found:
            return 200
        return self.write(found[0] if found else new_id, *rest)


class Client:
    """Sends steps; ids are made unique by a prefix, and the server's ids are remembered."""

    def __init__(self, fhir):
        self.fhir = fhir
        self.prefix = uuid.uuid4().hex

    def id(self, name):
        return name if len(name) > 1 else f"{self.prefix}-{name}"

    def body(self, label, gender, id_=None):
        made = {
            "resourceType": "Patient",
            "identifier": [{"system": SYSTEM, "value": f"{self.prefix}{label}"}],
            "gender": gender,
        }
        return made if id_ is None else {**made, "id": id_}

    def criteria(self, label):
        return f"identifier={SYSTEM}%7C{self.prefix}{label}"

    def request(self, step):
        """Return method, url, body and the entry's condition."""
        kind, *rest = step
        match = rest[-1] if kind in ("PUT", "DELETE") else None
        condition = {} if match is None else {"ifMatch": f'W/"{match}"'}
        if kind == "PUT":
            id_ = self.id(rest[0])
            return "PUT", f"Patient/{id_}", self.body(rest[1], rest[2], id_), condition
        if kind == "DELETE":
            return "DELETE", f"Patient/{self.id(rest[0])}", None, condition
        if kind == "POST?":
            return "POST", "Patient", self.body(*rest), {"ifNoneExist": self.criteria(rest[0])}
        body = self.body(*rest) if kind == "PUT?" else None
        return kind[:-1], f"Patient?{self.criteria(rest[0])}", body, {}

    def single(self, step):
        method, url, body, condition = self.request(step)
        names = {"ifMatch": "If-Match", "ifNoneExist": "If-None-Exist"}
        headers = {names[name]: value for name, value in condition.items()}
        answer = self.fhir.request(method, url, json=body, headers=headers)
        return answer.status_code, answer.json().get("id", "") if answer.content else ""

    def transaction(self, listed):
        entries = []
        for step in listed:
            method, url, body, condition = self.request(step)
            entry = {"request": {"method": method, "url": url, **condition}}
            entries.append(entry if body is None else {**entry, "resource": body})
        answer = self.fhir.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        if answer.status_code != 200:
            return answer.status_code, []
        return 200, [
            (int(row["response"]["status"][:3]), row.get("resource", {}).get("id", ""))
            for row in answer.json()["entry"]
        ]

    def state(self, ids):
        """Return what the server has of these ids, as the model holds it."""
        found = {}
        for name in ids:
            answer = self.fhir.get(f"Patient/{self.id(name)}")
            if answer.status_code == 200:
                resource = answer.json()
                label = resource["identifier"][0]["value"].removeprefix(self.prefix)
                found[name] = (int(resource["meta"]["versionId"]), label, resource["gender"])
        return found


_ORDER = {"DELETE": 0, "DELETE?": 0, "POST?": 1, "PUT": 2, "PUT?": 2}


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sequence=st.lists(steps, min_size=1, max_size=10))
def test_server_and_model_agree(fhir, sequence):
    client, model = Client(fhir), Model()
    for step in sequence:
        if step[0] == "transaction":
            before = client.state(model.versions)
            status, answers = client.transaction(step[1])
            if status != 200:
                assert 400 <= status < 500
                assert client.state(model.versions) == before, "a refused transaction changes nothing"
                assert status in expected_refusals(model, step[1])
                continue
            assert not must_refuse(model, step[1])
            for number in sorted(range(len(step[1])), key=lambda n: _ORDER[step[1][n][0]]):
                found, id_ = answers[number]
                assert found == model.single(step[1][number], named(client, id_))
        else:
            status, id_ = client.single(step)
            assert status == model.single(step, named(client, id_))
        assert client.state(model.versions) == model.living
    for name in model.versions:
        history = fhir.get(f"Patient/{client.id(name)}/_history", params={"_count": "100"}).json()["entry"]
        etags = [int(row["response"]["etag"][3:-1]) for row in history]
        assert etags == list(range(model.versions[name], 0, -1)), "versions are dense"


def named(client, id_):
    """Return the model's name of an id."""
    return id_.removeprefix(f"{client.prefix}-")


def identities(model, listed):
    """Return the ids that entries change; a create that finds nothing is told by its label."""
    gone = {step[1] for step in listed if step[0] == "DELETE"}
    gone |= {id_ for step in listed if step[0] == "DELETE?" for id_ in model.found(step[1])}
    ids = []
    for step in listed:
        if step[0] in ("PUT", "DELETE"):
            if step[0] == "PUT" or step[1] in model.living:
                ids.append(step[1])
            continue
        found = [id_ for id_ in model.found(step[1]) if step[0] == "DELETE?" or id_ not in gone]
        if step[0] == "DELETE?":
            ids += found
        elif not found:
            ids.append(f"?{step[1]}")
        elif step[0] == "PUT?":
            ids += found
    return ids


def must_refuse(model, listed):
    """Tell whether a transaction surely is refused: a condition that fails, or a resource that appears twice."""
    ids = identities(model, listed)
    if len(set(ids)) < len(ids):
        return True
    return any(model.breaks(step[1], step[-1]) for step in listed if step[0] in ("PUT", "DELETE"))


def expected_refusals(model, listed):
    """Return the statuses with which a transaction may be refused; none when nothing speaks against it."""
    allowed = set()
    ids = identities(model, listed)
    if len(set(ids)) < len(ids):
        allowed |= {400}
    if any(model.breaks(step[1], step[-1]) for step in listed if step[0] in ("PUT", "DELETE")):
        allowed |= {412, 400}
    gone = {step[1] for step in listed if step[0] == "DELETE"}
    for step in listed:
        if step[0].endswith("?"):
            found = [id_ for id_ in model.found(step[1]) if step[0] == "DELETE?" or id_ not in gone]
            if len(found) > 1:
                allowed |= {412, 400}
    # Criteria that pick what another entry makes, whatever the order of the two.
    for number, step in enumerate(listed):
        others = [other for n, other in enumerate(listed) if n != number]
        made = {other[2] for other in others if other[0] == "PUT" and other[1] not in model.living}
        made |= {other[1] for other in others if other[0] in ("PUT?", "POST?")}
        if step[0] in ("PUT?", "POST?") and step[1] in made:
            allowed |= {400}
    return allowed
