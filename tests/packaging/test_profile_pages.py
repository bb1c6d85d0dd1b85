"""The pages of docs/profiles are what ``make docs`` makes now."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "profiles"


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("profile_pages", ROOT / "docs" / "profile_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Pages().all()


def test_they_are_up_to_date(pages):
    stale = [
        name
        for name, text in pages.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text
    ]
    assert stale == [], "run: make docs"


def test_every_profile_has_one_and_nothing_else_is_there(pages):
    profiles = {
        f"{file.stem.removeprefix('StructureDefinition-')}.md"
        for file in ROOT.glob("profiles/StructureDefinition-hs-*")
    }
    assert set(pages) == {"README.md", *profiles}
    assert {file.name for file in FOLDER.iterdir()} == set(pages)
    assert len(profiles) == 33


def test_a_page_tells_what_the_profile_says(pages):
    page = pages["hs-reimbursement.md"]
    assert (
        "| `hs-eob-1` | error | `ExplanationOfBenefit` | All amounts are in euro. | Tous les montants sont en euros. |"
        in page
    )
    assert "| `ExplanationOfBenefit.insurance` | **1..2** |" in page
    assert "ValueSet-hs-reimbursement-status.json) | `active`, `cancelled`, `entered-in-error` |" in page
    assert "../../examples/rules/pass/eob-gp.json" in page
    assert "$json-schema" in page


def test_every_example_of_the_rules_is_on_a_page(pages):
    text = "".join(pages.values())
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "examples" / "rules").glob("*/*.json")]
    assert len(files) == 120
    assert [file for file in files if file not in text] == []


def test_every_invariant_has_a_french_sentence(pages):
    rows = [line for text in pages.values() for line in text.splitlines() if line.startswith("| `hs-")]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []
