"""Runs TestScript resources against any FHIR server and reports what they found; see README.md."""

from __future__ import annotations

from fhir_server.testscript.endpoints import Bearer, ClientCredentials, Denied, Endpoints
from fhir_server.testscript.results import Run, ScriptResult, read_run, write_run
from fhir_server.testscript.running import Log, Options, run_scripts
from fhir_server.testscript.script import Script, read_script

__all__ = [
    "Bearer",
    "ClientCredentials",
    "Denied",
    "Endpoints",
    "Log",
    "Options",
    "Run",
    "Script",
    "ScriptResult",
    "read_run",
    "read_script",
    "run_scripts",
    "write_run",
]
