"""How many defects the validator finds, and how many at their place: every mutant of valid resources.

    python -m benchmarks.detection [--per-resource 300]

Reads, from FHIR_SUITES (default ../shared/suites), the examples of FR Core 2.2.0 (all mutants, against the profiles
that they claim) and the official R4 examples (a sample of each). Prints what is made, found, and found at its place.
"""

from __future__ import annotations

import argparse
import os
import random
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutant import Mutant
from benchmarks.mutants import mutants
from benchmarks.snapshots import Snapshots
from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[2] / "shared" / "suites"))
FR_CORE = SUITES / "fr-core"
R4_EXAMPLES = SUITES / "r4-examples" / "json.tar.gz"
#: Examples beyond this size have the same elements again and again.
_LARGEST = 40_000


@dataclass(slots=True)
class Detection:
    """Counts by kind of defect: made, found, found at its place; and the mutants that weren't."""

    made: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    placed: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[Mutant, list[str]]] = field(default_factory=list)

    def add(self, validator: Validator, made: Iterable[Mutant]) -> None:
        """Count how these mutants are judged."""
        for mutant in made:
            kind = mutant.kind.partition(" (")[0]
            errors = [i.expression for i in validator.validate(mutant.resource) if i.severity == "error"]
            self.made[kind] += 1
            self.found[kind] += bool(errors)
            if any(map(mutant.is_reported_at, errors)):
                self.placed[kind] += 1
            else:
                self.missed.append((mutant, errors))

    @property
    def rate(self) -> float:
        """The share that was found at its place."""
        return self.placed.total() / max(self.made.total(), 1)

    def table(self) -> str:
        """Return the counts as a table."""
        rows = [(k, self.made[k], self.found[k], self.placed[k]) for k in sorted(self.made)]
        rows.append(("all", self.made.total(), self.found.total(), self.placed.total()))
        lines = ["| defect | made | found % | at its place % |", "|---|---|---|---|"]
        lines += [f"| {k} | {made} | {100 * f / made:.1f} | {100 * p / made:.1f} |" for k, made, f, p in rows]
        return "\n".join(lines)


def resources(archive: Path) -> Iterator[dict[str, Any]]:
    """Yield the resources of an archive of JSON files, without very large ones."""
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member)
            if file is not None and member.name.endswith(".json") and member.size <= _LARGEST:
                yield decode(file.read())


def detection(definitions: Definitions, valid: Iterable[dict[str, Any]], most: int = 0) -> Detection:
    """Return how the mutants of resources are judged: of those that are valid, at most ``most`` of each (0: all)."""
    validator = Validator(definitions, CodeSets(definitions))
    snapshots, dice, counts = Snapshots(definitions), random.Random(5), Detection()
    for resource in valid:
        if any(i.severity == "error" for i in validator.validate(resource)):
            continue
        made = list(mutants(resource, snapshots))
        counts.add(validator, dice.sample(made, most) if 0 < most < len(made) else made)
    return counts


def fr_core() -> Definitions:
    """Return the definitions of R4 and FR Core."""
    definitions = Definitions()
    add(read_package(FR_CORE / "hl7.fhir.fr.core-2.2.0.tgz"), definitions)
    return definitions


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Detection of defects by the validator.")
    parser.add_argument("--per-resource", type=int, default=300, help="mutants of each official R4 example")
    most = parser.parse_args().per_resource
    french = detection(fr_core(), resources(FR_CORE / "examples.tar.gz"))
    official = detection(Definitions(), resources(R4_EXAMPLES), most)
    for title, found in (
        ("FR Core 2.2.0 examples, against the profiles that they claim", french),
        ("Official R4 examples, a sample", official),
    ):
        print(f"\n{title}\n\n{found.table()}")
        for mutant, errors in found.missed[:20]:
            print(f"missed: {mutant.kind} at {mutant.place}: {errors}")


if __name__ == "__main__":
    main()
