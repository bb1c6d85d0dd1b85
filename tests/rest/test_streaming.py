"""Large content goes through the server without being whole in its memory."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "large_content.py"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak of a process")
def test_a_worker_needs_little_memory_for_a_large_binary():
    """The short form of ``make bench-content``: 40 MB up, down, as JSON, and in a history."""
    command = [sys.executable, str(BENCHMARK), "--mb", "40", "--most-mb", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| down as JSON |" in done.stdout
