"""Entries of transactions, and what comes back: shared by their tests."""

import uuid

SYSTEM = "urn:test:transaction"


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
