"""Markdown: one dated row for each suite, short enough to be kept beside the code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from fhir_server.testscript.requirements import Requirement, proofs
from fhir_server.testscript.results import PASS, Run


def summary(run: Run, requirements: Sequence[Requirement]) -> bytes:
    """Return the table of a run: scripts and results of each suite, and how many requirements are proven."""
    rows: dict[str, list[str]] = {}
    for script in run.scripts:
        rows.setdefault(PurePath(script.source).parent.name, []).append(script.result)
    names = ("pass", "warning", "skip", "fail", "error")
    lines = [
        f"{run.started[:10]}, fhir-server {run.version}, {len(run.scripts)} scripts in {run.seconds:.0f} s", "",
        "| suite | scripts | " + " | ".join(names) + " |", "|---|" + "---|" * (len(names) + 1),
    ]  # fmt: skip
    for suite, results in sorted(rows.items()):
        counts = " | ".join(str(results.count(name)) for name in names)
        lines.append(f"| {suite} | {len(results)} | {counts} |")
    listed = {requirement.id for requirement in requirements}
    found = [proof for proof in proofs(run, requirements) if proof.requirement.id in listed]
    lines += ["", "| requirements | SHALL | proven | SHOULD and MAY | proven |", "|---|---|---|---|---|"]
    for name in sorted({proof.requirement.list for proof in found}):
        own = [proof for proof in found if proof.requirement.list == name]
        shall = [proof for proof in own if proof.requirement.level == "SHALL"]
        other = [proof for proof in own if proof.requirement.level != "SHALL"]
        proven = [sum(proof.result == PASS for proof in group) for group in (shall, other)]
        lines.append(f"| {name} | {len(shall)} | {proven[0]} | {len(other)} | {proven[1]} |")
    return ("\n".join(lines) + "\n").encode()
