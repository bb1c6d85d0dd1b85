"""Headless Chromium for the tests that need a browser; without one they are skipped and say so."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for a module: while it runs, no test of the same thread may be asynchronous."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(
            "needs a Chromium (Debian: apt-get install chromium), or the variable CHROMIUM with its path"
        )
    with playwright.sync_playwright() as started:
        # As root there is no sandbox, which no page of ours needs.
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser) -> Iterator[Any]:
    """A page in a profile of its own; what the browser complains about fails the test."""
    context = browser.new_context(locale="en-GB")
    made = context.new_page()
    complaints: list[str] = []
    made.on(
        "console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None
    )
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.set_default_timeout(5_000)
    yield made
    context.close()
    assert [
        line for line in complaints if not re.search("status of 40[03]", line)
    ] == []  # some tests want refusals
