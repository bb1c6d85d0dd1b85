"""Many scripts at the same time, with a log of those that are finished, from which a run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fhir_server import __version__
from fhir_server.definitions import Definitions
from fhir_server.testscript.endpoints import Endpoints, Transport
from fhir_server.testscript.execution import Execution
from fhir_server.testscript.results import Run, ScriptResult
from fhir_server.testscript.script import Script, complaints
from fhir_server.validation import Validator


@dataclass(frozen=True)
class Options:
    """How scripts are run: at the same time, seconds for a script and for all, values of variables."""

    jobs: int = 4
    script_limit_s: float = 120.0
    limit_s: float = 3600.0
    variables: Mapping[str, str] = field(default_factory=dict)


class Log:
    """The results of finished scripts, one JSON line each; ``path`` None keeps none.

    A script that is unchanged, was run against the same base, and passed or failed isn't run again; one that could not
    be run, or was cut off, is. Raises ValueError when the file is none of ours or belongs to another server.
    """

    def __init__(self, path: Path | None, base: str) -> None:
        self._path = path
        self._base = base
        self._lock = threading.Lock()
        self._done: dict[str, ScriptResult] = {}
        if path is None:
            return
        lines = path.read_bytes().splitlines() if path.exists() else []
        for number, line in enumerate(lines):
            try:
                row = msgspec.json.decode(line, type=_Line)
            except msgspec.MsgspecError as reason:
                if number == len(lines) - 1 and number:  # the run was killed while it wrote
                    break
                raise ValueError(f"{path} is no log of this command; choose another name.") from reason
            if row.base != base:
                raise ValueError(f"{path} belongs to a run against {row.base}; choose another name.")
            self._done[row.result.digest] = row.result
        with path.open("wb") as file:  # drops a half line
            file.writelines(self._line(result) for result in self._done.values())

    def known(self, script: Script) -> ScriptResult | None:
        """Return the result of a script that need not be run again."""
        found = self._done.get(script.digest)
        return found if found is not None and not found.error else None

    def add(self, result: ScriptResult) -> None:
        """Note that a script is finished."""
        if self._path is not None:
            with self._lock, self._path.open("ab") as file:
                file.write(self._line(result))

    def _line(self, result: ScriptResult) -> bytes:
        return msgspec.json.encode(_Line(self._base, result)) + b"\n"


@dataclass(frozen=True, slots=True)
class _Line:
    base: str
    result: ScriptResult


def run_scripts(
    scripts: Sequence[Script],
    endpoints: Endpoints,
    definitions: Definitions,
    validator: Validator,
    *,
    options: Options,
    log: Log,
    finished: Callable[[ScriptResult], None] = lambda _: None,
) -> Run:
    """Return the results of all scripts in their order; ``finished`` is told of each as it ends.

    Scripts that the time limit leaves out are errors. KeyboardInterrupt passes; what was finished stands in the log.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    ends = clock + options.limit_s
    found: dict[int, ScriptResult] = {}

    def one(script: Script) -> ScriptResult:
        if time.monotonic() > ends:
            return _unrun(script, "The time limit of the run was reached before this script began.")
        if said := complaints(script, validator, endpoints):
            return _unrun(script, " ".join(said[:5]))
        limit = min(options.script_limit_s, ends - time.monotonic())
        return Execution(
            script, transport, definitions, validator, variables=options.variables, limit_s=limit
        ).run()

    with _transport(endpoints) as transport, _pool(options.jobs) as pool:
        futures: dict[Future[ScriptResult], int] = {}
        for number, script in enumerate(scripts):
            if (known := log.known(script)) is not None:
                found[number] = known
                finished(known)
            else:
                futures[pool.submit(one, script)] = number
        for future in as_completed(futures):
            result = future.result()
            found[futures[future]] = result
            if not _is_cut(result):
                log.add(result)
            finished(result)
    seconds = round(time.monotonic() - clock, 3)
    ordered = tuple(found[number] for number in range(len(scripts)))
    return Run(endpoints.base(1), started.isoformat(timespec="seconds"), seconds, ordered, __version__)


@contextmanager
def _transport(endpoints: Endpoints) -> Iterator[Transport]:
    transport = Transport(endpoints)
    try:
        yield transport
    finally:
        transport.close()


@contextmanager
def _pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool that drops what isn't begun when the body fails or is interrupted."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="script")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _unrun(script: Script, reason: str) -> ScriptResult:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    resource = script.resource
    title, url = str(resource.get("title", script.name)), str(resource.get("url", ""))
    return ScriptResult(script.name, title, url, script.source, script.digest, now, 0.0, (), reason)


def _is_cut(result: ScriptResult) -> bool:
    """Tell whether a script was cut off by a time limit, or lost the server: a later run tries it again."""
    return bool(result.error) or any(
        step.message.startswith("The time limit") or (step.exchange is not None and not step.exchange.status)
        for _, step in result.steps()
    )
