"""``fhir-server sandbox``: a server to try things out on, whose data vanish with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """\b
Examples:
  fhir-server sandbox --load-examples
  fhir-server sandbox --port 8181 --clock 2026-01-01T08:00:00Z --ids test
"""


def sandbox(
    *,
    port: Annotated[int | None, typer.Option(help="Port to listen on (http.port).")] = None,
    load_examples: Annotated[
        bool | None,
        typer.Option("--load-examples/--no-load-examples", help="Store the examples (examples.load)."),
    ] = None,
    clock: Annotated[
        str,
        typer.Option(metavar="INSTANT", help="Where its clock begins; a second a request (sandbox.clock)."),
    ] = "",
    ids: Annotated[
        str, typer.Option(metavar="WORD", help="What its ids begin with, numbered from 1 (sandbox.ids).")
    ] = "",
) -> None:
    """Start a sandbox with its own MongoDB and data that vanish when it ends: $reset, $snapshot, $fault.

    Exit codes are those of serve.
    """
    from tempfile import TemporaryDirectory

    from fhir_server.cli.serve import serve

    os.environ.update({n: v for n, v in (("FHIR_SANDBOX_CLOCK", clock), ("FHIR_SANDBOX_IDS", ids)) if v})
    with TemporaryDirectory(prefix="fhir-sandbox-") as folder:
        serve(port=port, data_dir=Path(folder), load_examples=load_examples, sandbox=True)
