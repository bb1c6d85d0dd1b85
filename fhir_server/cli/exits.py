"""Exit codes of every command, and how a command stops with a sentence."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import NoReturn


class Exit(IntEnum):
    """What the exit code says."""

    DONE = 0
    FINDINGS = 1
    USAGE = 2
    CONNECTION = 3
    DENIED = 4
    CONFLICT = 5
    INTERRUPTED = 130


def stop(code: Exit, *sentences: str) -> NoReturn:
    """Write the sentences to standard error and leave with this exit code."""
    for sentence in sentences:
        print(f"fhir-server: {sentence}", file=sys.stderr)
    raise SystemExit(int(code))
