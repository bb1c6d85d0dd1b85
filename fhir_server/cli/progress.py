"""How far a long command is: a bar on a terminal, else a line on standard error each ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fhir_server.cli.sending import Tally

#: Seconds between two lines when standard error is no terminal.
LINE_EVERY_S = 10.0


class Reading(Protocol):
    """How many bytes of how many (0: unknown) are read."""

    total: int
    consumed: int


@contextlib.asynccontextmanager
async def watched(tally: Tally, reading: Reading, *, quiet: bool) -> AsyncIterator[None]:
    """Show the tally while the body runs; nothing when ``quiet``."""
    if quiet:
        yield
        return
    console = Console(stderr=True)
    watcher = asyncio.ensure_future(_bar(tally, reading, console) if console.is_terminal else _lines(tally))
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _bar(tally: Tally, reading: Reading, console: Console) -> None:
    columns = (
        SpinnerColumn(),
        BarColumn(),
        TextColumn(
            "{task.fields[finished]} resources, {task.fields[rate]:.0f}/s, {task.fields[rejected]} rejected"
        ),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("load", total=reading.total or None, finished=0, rate=0.0, rejected=0)
        start = time.monotonic()
        while True:
            _show(progress, task, tally, reading, time.monotonic() - start)
            await asyncio.sleep(0.2)


def _show(progress: Progress, task: TaskID, tally: Tally, reading: Reading, elapsed_s: float) -> None:
    progress.update(
        task,
        completed=reading.consumed,
        finished=tally.finished,
        rate=tally.finished / max(elapsed_s, 0.001),
        rejected=len(tally.rejections),
    )


async def _lines(tally: Tally) -> None:
    start = time.monotonic()
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        rate = tally.finished / (time.monotonic() - start)
        print(
            f"{tally.finished} resources, {rate:.0f}/s, {len(tally.rejections)} rejected",
            file=sys.stderr,
            flush=True,
        )


class Counter:
    """How far a command is that reads ``total`` bytes in a loop: a bar on a terminal, else a line each ten seconds.

    Used as a context manager; a short job on no terminal shows nothing.
    """

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._bar = (
            Progress(
                SpinnerColumn(), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn(),
                TimeRemainingColumn(), console=console, transient=True,
            )
            if console.is_terminal
            else None
        )  # fmt: skip
        self._task = None if self._bar is None else self._bar.add_task("", total=total or None, said="")
        self._next_line = time.monotonic() + LINE_EVERY_S

    def add(self, size: int, said: str) -> None:
        """Note that ``size`` bytes more are done; ``said`` tells what came of it so far."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=size, said=said)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            print(said, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
