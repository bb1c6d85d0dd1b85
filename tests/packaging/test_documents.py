"""Documents: links lead somewhere, decisions have their parts, long lines and machine paths are absent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "fhir_server/**/README.md", "examples/**/*.md", "benchmarks/*.md")
    for file in ROOT.glob(pattern)
    if "node_modules" not in file.parts  # others' documents
)
PARTS = (
    "**Status**",
    "## Context",
    "## Options",
    "## Decision",
    "## Consequences",
    "**Governs**",
    "**Verified by**",
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    targets = [
        link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#", "mailto:"))
    ]
    assert [link for link in targets if not (document.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize(
    "record", sorted((ROOT / "docs" / "decisions").glob("0*.md")), ids=lambda file: file.name
)
def test_decision_records_are_complete(record):
    text = record.read_text()
    assert [part for part in PARTS if part not in text] == []
    assert record.name in (record.parent / "README.md").read_text()
    for path in re.findall(r"`((?:fhir_server|tests)/[^`]*)`", text):
        assert (ROOT / path).exists(), path


def test_every_package_has_a_readme():
    packages = [file.parent for file in (ROOT / "fhir_server").glob("*/__init__.py")]
    assert [package.name for package in packages if not (package / "README.md").is_file()] == []


def test_the_make_targets_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {name for file in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)", file.read_text())}
    assert named <= targets
