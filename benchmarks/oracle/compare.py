"""Asks our validator and the reference one the same questions, and shows where their verdicts differ.

Needs Java 17, Maven and FHIR_SUITES. See docs/validation-oracle.md.
"""

from __future__ import annotations

import argparse
import bz2
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutations import mutated, pool

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.outcome import FhirError, Issue
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

HERE = Path(__file__).parent
SUITES = Path(os.environ.get("FHIR_SUITES", HERE.parents[2] / "shared" / "suites"))
PACKAGE = SUITES / "fr-core" / "hl7.fhir.fr.core-2.2.0.tgz"
#: Larger resources are left out: they say little more, and both validators are slow with them.
LARGEST = 60_000

Question = dict[str, Any]


def archived(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON resources of an archive of examples, with their names."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            if file is not None and member.size <= LARGEST:
                yield Path(member.name).stem, json.loads(file.read())


def synthea() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources of three patients' records."""
    for path in sorted((SUITES / "synthea-smart").glob("*.bz2"))[:3]:
        for entry in json.loads(bz2.decompress(path.read_bytes())).get("entry", ()):
            resource = entry["resource"]
            yield f"{resource['resourceType']}-{resource.get('id')}", resource


def originals(dice: random.Random) -> list[Question]:
    """Return official, French and generated resources as they are."""
    corpora = {
        "official": list(archived(SUITES / "r4-examples" / "json.tar.gz")),
        "fr-core": list(archived(SUITES / "fr-core" / "examples.tar.gz")),
        "synthea": list(synthea()),
    }
    corpora["synthea"] = dice.sample(corpora["synthea"], 150)
    return [
        {"name": f"{corpus}/{name}", "class": corpus, "text": json.dumps(resource)}
        for corpus, resources in corpora.items()
        for name, resource in resources
    ]


def mutations(valid: list[Question], count: int, dice: random.Random) -> list[Question]:
    """Return ``count`` changed copies of resources that are valid."""
    parsed = [json.loads(question["text"]) for question in valid]
    found = pool(parsed)
    weights = [{"official": 1, "fr-core": 8, "synthea": 1}[question["class"]] for question in valid]
    asked: list[Question] = []
    while len(asked) < count:
        index = dice.choices(range(len(valid)), weights)[0]
        made = mutated(parsed[index], found, dice)
        if made is not None:
            mutation, place, changed = made
            name = f"{valid[index]['name']} {mutation} {place} {len(asked)}"
            asked.append({"name": name, "class": mutation, "text": json.dumps(changed)})
    return asked


def reference(asked: list[Question], classpath: str) -> dict[str, dict[str, Any]]:
    """Return the reference validator's answers by the name of the question."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(PACKAGE) as archive:
            archive.extractall(folder, filter="data")
        done = subprocess.run(
            ["java", "-Xmx2g", "-cp", classpath, str(HERE / "Oracle.java"), f"{folder}/package"],
            input="".join(json.dumps(q) + "\n" for q in asked),
            capture_output=True,
            check=True,
            text=True,
        )
    return {answer["name"]: answer for answer in map(json.loads, done.stdout.splitlines())}


def ours(asked: list[Question]) -> dict[str, tuple[Issue, ...]]:
    """Return our issues by the name of the question."""
    definitions = Definitions()
    add(read_package(PACKAGE), definitions)
    validator = Validator(definitions, CodeSets(definitions))
    found = {}
    for question in asked:
        try:
            found[question["name"]] = validator.validate(decode(question["text"].encode()))
        except FhirError as refused:
            found[question["name"]] = refused.issues
    return found


def report(
    asked: list[Question], theirs: dict[str, dict[str, Any]], found: dict[str, tuple[Issue, ...]]
) -> None:
    """Print the agreement by class, then the disagreements by the rule that made them."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, list[str]] = defaultdict(list)
    for question in asked:
        name = question["name"]
        errors = [i for i in found[name] if i.severity in {"error", "fatal"}]
        answer = theirs[name]
        verdict = ("same", "missed", "false")[
            0 if answer["valid"] == (not errors) else 1 if not errors else 2
        ]
        rows[question["class"]][verdict] += 1
        if verdict == "false":
            shown = "; ".join(f"{i.expression}: {i.diagnostics}" for i in errors[:3])
            reasons[f"only ours: {errors[0].rule}"].append(f"{name}\n      {shown}")
        elif verdict == "missed":
            wrong = [i for i in answer["issues"] if i["severity"] in {"error", "fatal"}]
            shown = "; ".join(f"{i.get('expression')}: {i['text'][:250]}" for i in wrong[:3])
            reasons[f"only theirs: {wrong[0]['id']}"].append(f"{name}\n      {shown}")
    print(f"{'class':<24}{'n':>6}{'agree':>8}{'missed':>8}{'false':>7}")
    total = sum(rows.values(), Counter())
    for name, row in [*sorted(rows.items()), ("all", total)]:
        n = row.total()
        print(f"{name:<24}{n:>6}{row['same'] / n:>8.1%}{row['missed']:>8}{row['false']:>7}")
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"\n{reason}: {len(names)}")
        for name in names[:6]:
            print(f"    {name}")


def main() -> int:
    """Ask, compare and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--classpath", type=Path, required=True, help="file that mvn dependency:build-classpath wrote"
    )
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="folder for questions and answers, to look at them again")
    options = parser.parse_args()
    if not SUITES.exists():
        print("The public suites aren't there: set FHIR_SUITES.", file=sys.stderr)
        return 2
    kept = options.save / f"{options.seed}-{options.mutations}.json" if options.save else None
    if kept is not None and kept.exists():
        asked, theirs = json.loads(kept.read_text())
    else:
        dice = random.Random(options.seed)
        classpath = options.classpath.read_text().strip()
        asked = originals(dice)
        theirs = reference(asked, classpath)
        # What is wrong already would hide what a mutation does.
        valid = [question for question in asked if theirs[question["name"]]["valid"]]
        changed = mutations(valid, options.mutations, dice)
        theirs |= reference(changed, classpath)
        asked += changed
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps([asked, theirs]))
    report(asked, theirs, ours(asked))
    return 0


if __name__ == "__main__":
    sys.exit(main())
