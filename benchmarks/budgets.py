"""What the validator may cost: targets beside what is reached, each measured as a user would meet it.

Time is CPU time. Start, compilation and memory are those of fresh processes; memory is that of one that imported the
whole server, as a worker does. FR Core is read from FHIR_SUITES (default ../shared/suites); without it there is less.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.detection import FR_CORE
from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import examples_that_pass
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

VITAL_SIGNS = "http://hl7.org/fhir/StructureDefinition/vitalsigns"
_START = """
import time
from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
definitions = Definitions()
Validator(definitions, CodeSets(definitions)).validate({"resourceType": "Patient", "active": True})
print(time.process_time())
"""
_LOADED = """
import sys, time
import fhir_server.app
from pathlib import Path
from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
definitions = Definitions()
validator = Validator(definitions, CodeSets(definitions))
if sys.argv[1]:
    add(read_package(Path(sys.argv[1])), definitions)
validator.preload(definitions.types.resource_types)
"""
_COMPILED = (
    _LOADED
    + """
profiles = definitions.profiles()
start = time.process_time()
validator.preload(profiles)
print(len(profiles), time.process_time() - start)
"""
)
_MEMORY = (
    _LOADED
    + """
validator.preload(s["url"] for s in definitions.added() if s["resourceType"] == "StructureDefinition")
print(int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024)
"""
)


def vital_sign() -> dict[str, Any]:
    """Return an Observation of 1.3 KB that keeps the profile vitalsigns."""
    body = next(b for type_, _, b in examples_that_pass() if type_ == "Observation" and b"vital-signs" in b)
    document = decode(body)
    document["note"] = [{"text": "Measured at rest. " * ((1300 - size(document)) // 18)}]
    return document


def large_bill() -> dict[str, Any]:
    """Return an ExplanationOfBenefit of 10 KB: one of the examples, with its items again."""
    bills = [decode(b) for type_, _, b in examples_that_pass() if type_ == "ExplanationOfBenefit"]
    document = max(bills, key=size)
    items = list(document["item"])
    while size(document) < 10_000:
        document["item"].append({**items[0], "sequence": len(document["item"]) + 1})
    return document


def size(document: dict[str, Any]) -> int:
    """Return the bytes of a document as compact JSON."""
    return len(json.dumps(document, default=str, separators=(",", ":"), ensure_ascii=False).encode())


def fresh(code: str, *arguments: str) -> list[float]:
    """Return the numbers that a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=True, text=True
    )
    return [float(word) for word in done.stdout.split()]


def report(microseconds: Callable[[Callable[[], object]], float]) -> None:
    """Print targets and what was reached."""
    definitions = Definitions()
    validator = Validator(definitions, CodeSets(definitions))
    observation, bill = vital_sign(), large_bill()
    assert not [i for d in (observation, bill) for i in validator.validate(d) if i.severity == "error"]
    package = FR_CORE / "hl7.fhir.fr.core-2.2.0.tgz"
    french = str(package) if package.exists() else ""
    count, seconds = fresh(_COMPILED, french)
    rows = [
        (f"Observation against vitalsigns, {size(observation)} bytes", "40 us",
         f"{microseconds(lambda: validator.validate(observation, (VITAL_SIGNS,))):.0f} us"),
        (f"ExplanationOfBenefit, {size(bill)} bytes", "350 us",
         f"{microseconds(lambda: validator.validate(bill)):.0f} us"),
        ("new process: core loaded and one type ready", "1 s", f"{fresh(_START)[0]:.2f} s"),
        (f"{count:.0f} profiles compiled, nothing left to be made at first use", "2 s for 500", f"{seconds:.2f} s"),
    ]  # fmt: skip
    if french:
        rows.append(
            ("worker with all of core and FR Core compiled", "200 MB", f"{fresh(_MEMORY, french)[0]:.0f} MB")
        )
    print("\n| what | at most | reached |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
