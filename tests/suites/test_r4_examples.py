"""The official R4 examples go in and come out equal: https://hl7.org/fhir/R4/downloads.html."""

import json
import os
import tarfile
from pathlib import Path

import pytest

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
EXAMPLES = SUITES / "r4-examples" / "json.tar.gz"
#: The examples that are refused, each with its true defect.
DEFECTS = json.loads(Path(__file__).with_name("r4_examples_refused.json").read_text())

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason=f"no R4 examples in {SUITES}: set FHIR_SUITES")


def exact(text):
    """Return JSON with every number as its text, without the meta that a server owns."""
    resource = json.loads(text, parse_float=lambda n: ("number", n), parse_int=lambda n: ("number", n))
    meta = {k: v for k, v in resource.pop("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {**resource, **({"meta": meta} if meta else {})}


def test_the_official_examples_are_stored_and_read_back_equal(fhir):
    refused = {}
    count = 0
    with tarfile.open(EXAMPLES) as archive:
        for member in archive:
            if not member.name.endswith(".json"):
                continue
            count += 1
            text = archive.extractfile(member).read().decode("utf-8-sig")
            resource = json.loads(text)
            address = f"{resource['resourceType']}/{resource['id']}"
            answer = fhir.put(
                address, content=text.encode(), headers={"Content-Type": "application/fhir+json"}
            )
            if answer.status_code not in (200, 201):
                refused[Path(member.name).name] = [
                    f"{i['code']} {i.get('expression', [''])[0]}: {i['diagnostics']}"
                    for i in answer.json()["issue"]
                ]
                continue
            assert exact(fhir.get(address, headers={"Accept": "application/fhir+json"}).text) == exact(
                text
            ), member.name
    assert set(refused) == set(DEFECTS), json.dumps(refused, indent=1)
    assert len(refused) <= count / 100
