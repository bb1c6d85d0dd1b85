"""``fhir-server space``: the citizens' spaces of a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_server.cli.exits import Exit, stop

program = typer.Typer(no_args_is_help=True, help="The citizens' spaces.")


@program.command("open-due")
def open_due(
    base: Annotated[str, typer.Option(help="FHIR base URL of the server.")] = "http://127.0.0.1:8080/fhir",
) -> None:
    """Open the spaces whose citizens had time to object; the server does it once a day by itself.

    Prints who was opened, and who could not be and why. Exit code 1 when there are such, 3 when the server can't be
    reached.
    """
    import json
    import urllib.error
    import urllib.request

    url = f"{base.rstrip('/')}/Patient/$open-due-spaces"
    if not url.startswith(("http://", "https://")):
        stop(Exit.USAGE, "--base is an http or https URL.")
    request = urllib.request.Request(url, method="POST")  # noqa: S310 (the scheme was checked)
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:  # noqa: S310 (as above)
            rows = json.load(answer).get("parameter", [])
    except urllib.error.HTTPError as problem:
        stop(Exit.DENIED, f"The server refused: {problem.code} {problem.reason}.")
    except OSError as problem:
        stop(Exit.CONNECTION, f"The server can't be reached: {problem}")
    refused = 0
    for row in rows:
        if row["name"] == "opened":
            print(f"opened   {row['valueReference']['reference']}")
        else:
            refused += 1
            patient, reason = row["part"]
            print(f"refused  {patient['valueReference']['reference']}: {reason['valueString']}")
    print(f"{len(rows) - refused} opened, {refused} refused")
    raise typer.Exit(int(Exit.FINDINGS if refused else Exit.DONE))
