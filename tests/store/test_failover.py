"""A replica set of three loses its primary in the middle of a load: the short form of `make jepsen`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_acknowledged_write_survives_the_death_of_a_primary():
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'benchmarks'}{os.pathsep}{ROOT}"}
    arguments = ["--members", "3", "--faults", "primary", "--seconds", "2", "--connections", "10"]
    done = subprocess.run(
        [sys.executable, "-m", "kill_run", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Broken promises: 0." in done.stdout
