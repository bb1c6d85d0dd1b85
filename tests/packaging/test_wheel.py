"""The wheel holds all that an installed server needs, and serves outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from fhir_server.definitions.content import FOLDERS, examples_that_pass, own_definitions
from fhir_server.demo import population

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel of this checkout; built from a copy without isolation, so no index is needed."""
    source = tmp_path_factory.mktemp("source") / "project"
    shutil.copytree(
        ROOT, source,
        ignore=lambda folder, names: [n for n in names if n in {"dist", "build", "fhir-data"} or (n.startswith(".") and n != ".gitignore")],
    )  # fmt: skip
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    [found] = target.glob("*.whl")
    return found


def test_content(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for folder in FOLDERS:
        assert f"fhir_server/content/{folder}/README.md" in names
    assert "fhir_server/definitions/r4.artefact" in names
    assert any(name.startswith("fhir_server/content/examples/pass/Patient/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))] == []


def test_it_works_outside_the_checkout(wheel, tmp_path):
    """Install it without its dependencies beside those of this environment, and ask it what needs its content."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [site] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    own = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FHIR_", "PYTHON"))}
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "import fhir_server; from fhir_server.definitions import Definitions\n"
        "from fhir_server.definitions.content import content_folder, examples_that_pass, own_definitions\n"
        "print(fhir_server.__file__); print(content_folder('examples')); print(Definitions().package)\n"
        "print(sum(1 for _ in examples_that_pass())); print(sum(1 for _ in own_definitions()))\n"
        "from fhir_server.demo import population; print(sum(1 for _ in population(2)))"
    )
    result = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "python"), "-c", code, str(own)],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    package, examples, core, count, own_count, made = result.stdout.splitlines()
    assert package.startswith(str(site))
    assert examples == str(site / "fhir_server" / "content" / "examples")
    assert core == "hl7.fhir.r4.core#4.0.1"
    assert int(count) == sum(1 for _ in examples_that_pass())
    assert int(own_count) == sum(1 for _ in own_definitions()) > 100
    assert int(made) == sum(1 for _ in population(2))
