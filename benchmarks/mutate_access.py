"""Mutation testing of the code that decides who sees what: mutmut changes it, tests/access must notice.

``python benchmarks/mutate_access.py`` tries all mutants (half an hour on one core); ``--sample 60 --seed 1`` some of them,
always the same. Works on a copy of the project; exit code 1 below 90 % killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "policy", "decision", "consent", "data_criteria", "keys", "rules", "enforceable", "writing", "representing", "mentions",
    "purposes", "clinical_time", "matrix", "insurers",
)  # fmt: skip
COPIED = ("fhir_server", "tests", "profiles", "terminology", "conformance", "docs", "pyproject.toml")
LEAST = 90.0
#: Exit codes of a mutant's tests that are no kill: they passed, there are none, it wasn't tried.
NOT_KILLED = (0, 33, None)
CONFIG = """
[tool.mutmut]
source_paths = ["fhir_server"]
only_mutate = [{modules}]
pytest_add_cli_args_test_selection = ["tests/access"]
pytest_add_cli_args = ["-p", "no:randomly", "-q"]
also_copy = ["profiles", "terminology", "conformance", "tests", "docs"]
"""


def main() -> int:
    """Return the exit code: 0 when enough were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--children", type=int, default=1, help="how many at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        place = Path(folder)
        _copy(place)
        # This makes all mutants and tries those of the shortest module.
        _run(place, ["fhir_server.access.rules*"], options.children)
        names = sorted(name for _, name, _ in _results(place))
        if options.sample:
            names = random.Random(options.seed).sample(names, min(options.sample, len(names)))
        _run(place, names, options.children)
        tried = set(names)
        found = [row for row in _results(place) if row[1] in tried and row[2] is not None]
        return _report(found)


def _copy(place: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place / name)
    modules = ", ".join(f'"fhir_server/access/{module}.py"' for module in MODULES)
    with (place / "pyproject.toml").open("a") as file:
        file.write(CONFIG.format(modules=modules))


def _run(place: Path, names: list[str], children: int) -> None:
    program = Path(sys.executable).with_name("mutmut")
    command = [str(program), "run", "--max-children", str(children), *names]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if not any((place / "mutants").rglob("*.meta")):
        sys.exit(f"mutmut failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _results(place: Path) -> Iterator[tuple[str, str, int | None]]:
    """Yield module, name and exit code of each mutant."""
    for module in MODULES:
        file = place / "mutants" / "fhir_server" / "access" / f"{module}.py.meta"
        if file.exists():
            for name, code in json.loads(file.read_text()).get("exit_code_by_key", {}).items():
                yield module, name, code


def _report(found: list[tuple[str, str, int | None]]) -> int:
    killed = {module: [0, 0] for module in MODULES}
    for module, _, code in found:
        killed[module][0] += code not in NOT_KILLED
        killed[module][1] += 1
    print("| module | mutants | killed | |\n|---|---:|---:|---:|")
    for module, (dead, all_) in killed.items():
        if all_:
            print(f"| {module} | {all_} | {dead} | {100 * dead / all_:.0f} % |")
    dead, all_ = (sum(row[n] for row in killed.values()) for n in (0, 1))
    share = 100 * dead / all_ if all_ else 0.0
    print(f"| all | {all_} | {dead} | {share:.1f} % |")
    for _, name, code in found:
        if code in NOT_KILLED:
            print("survived:", name)
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
