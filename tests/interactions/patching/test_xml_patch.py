"""XML Patch: https://www.rfc-editor.org/rfc/rfc5261; the first cases are those of its appendix A, shortened."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fhir_server.interactions.patching.xml_patch import apply, read_operations
from fhir_server.outcome import FhirError

CASES = json.loads(Path(__file__).with_name("xml_patch_cases.json").read_text())


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_cases(case):
    if "status" in case:
        with pytest.raises(FhirError) as refused:
            apply(case["document"].encode(), read_operations(case["patch"].encode()))
        assert refused.value.status == case["status"]
        assert case["says"] in refused.value.issues[0].diagnostics
        return
    made = apply(case["document"].encode(), read_operations(case["patch"].encode())).decode()
    assert ET.canonicalize(made, with_comments=True) == ET.canonicalize(case["result"], with_comments=True)
    if "very characters" in case["name"]:
        assert made == case["result"]


def test_an_operation_can_be_applied_again():
    operations = read_operations(
        b"<diff><add sel='d'><a><b/></a></add><add sel='d/a/b' type='@x'>1</add></diff>"
    )
    assert apply(b"<d/>", operations) == apply(b"<d/>", operations) == b'<d><a><b x="1"/></a></d>'


@pytest.mark.parametrize(
    "patch",
    [
        "<diff>" + "<remove sel='d/a'/>" * 201 + "</diff>",
        "<diff><add sel='d'>" + "<a>" * 5_000 + "</a>" * 5_000 + "</add></diff>",
        f"<diff><remove sel='{'a/' * 2_000}a'/></diff>",
        "<diff><remove sel='d" + "[a" * 900 + "'/></diff>",
    ],
)
def test_beyond_all_measure_is_a_400_at_once(patch):
    with pytest.raises(FhirError) as refused:
        apply(b"<d/>", read_operations(patch.encode()))
    assert refused.value.status == 400


def test_selectors_have_a_budget():
    document = b"<d>" + b"<a><b/></a>" * 10_000 + b"</d>"
    operations = "".join(f"<add sel='d/a{'[b]' * 300}[{n}]' type='@x'>1</add>" for n in range(1, 200))
    with pytest.raises(FhirError, match="too many nodes") as refused:
        apply(document, read_operations(f"<diff>{operations}</diff>".encode()))
    assert refused.value.status == 400
