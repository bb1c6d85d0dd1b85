"""Every block of the documentation that is marked ``bash tested`` runs, and prints what the text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "examples" / "README.md",
    ]
    if "```bash tested" in page.read_text()
]
MARK = "=====block====="


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page, served, tmp_path):
    """Run all marked blocks of a page in one shell, in a folder of its own, against the test's server."""
    blocks, expected = [], {}
    for mark, text in FENCE.findall(page.read_text()):
        if mark == "bash tested":
            blocks.append(text)
        elif mark == "text output":
            expected[len(blocks) - 1] = text
    script = f"\necho '{MARK}'\n".join(blocks).replace("http://127.0.0.1:8080/fhir", served)
    script = script.replace("http://127.0.0.1:8080", served.removesuffix("/fhir"))
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "fhir-server"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fhir_server "$@"\n')
    command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    environment |= {
        "PATH": f"{command.parent}:{environment['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    work = tmp_path / "work"
    work.mkdir()
    result = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"], cwd=work, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    outputs = result.stdout.split(MARK)
    for number, text in expected.items():
        for line in text.replace("http://127.0.0.1:8080/fhir", served).splitlines():
            pattern = ".*".join(re.escape(part) for part in line.split("..."))
            assert re.search(pattern, outputs[number]), f"{line!r} is not in:\n{outputs[number]}"
