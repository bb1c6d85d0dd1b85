"""``fhir-server space``: the citizens' spaces of a running server."""

from __future__ import annotations

from typing import Annotated, Any

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
    rows = _called(base, "$open-due-spaces")
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


@program.command("erase-due")
def erase_due(
    *,
    base: Annotated[str, typer.Option(help="FHIR base URL of the server.")] = "http://127.0.0.1:8080/fhir",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Erase nothing; print what would be.")] = False,
) -> None:
    """Erase the spaces that were closed for the legal term; the server does it once a day by itself.

    Prints whose they were, and how many versions of resources went. Exit code 3 when the server can't be reached.
    """
    rows = _called(base, "$erase-due-spaces", {"name": "dryRun", "valueBoolean": dry_run})
    said = "would erase" if dry_run else "erased"
    erased = [row["part"] for row in rows if row["name"] == "erased"]
    for patient, versions in erased:
        print(f"{said}  {patient['valueReference']['reference']}: {versions['valueInteger']} versions")
    print(f"{said} {len(erased)} spaces")


def _called(base: str, name: str, *parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters that an operation of Patient answers."""
    import json
    import urllib.error
    import urllib.request

    url = f"{base.rstrip('/')}/Patient/{name}"
    if not url.startswith(("http://", "https://")):
        stop(Exit.USAGE, "--base is an http or https URL.")
    body = (
        json.dumps({"resourceType": "Parameters", "parameter": parameters}).encode() if parameters else None
    )
    headers = {"Content-Type": "application/fhir+json"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 (the scheme was checked)
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:  # noqa: S310 (as above)
            rows: list[dict[str, Any]] = json.load(answer).get("parameter", [])
    except urllib.error.HTTPError as problem:
        stop(Exit.DENIED, f"The server refused: {problem.code} {problem.reason}.")
    except OSError as problem:
        stop(Exit.CONNECTION, f"The server can't be reached: {problem}")
    return rows
