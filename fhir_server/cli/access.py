"""``fhir-server access``: what scopes mean, what somebody would see and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop

program = typer.Typer(no_args_is_help=True, help="Who may see and do what.")
_VERBS = {"c": "create", "r": "read", "u": "change", "d": "delete", "s": "search"}


@program.command()
def explain(
    *,
    scope: Annotated[
        str, typer.Option(help="Scopes of a token, separated by spaces: what each grants.")
    ] = "",
    actor: Annotated[
        str, typer.Option(help="Who would look: Practitioner/x, RelatedPerson/x, Device/x.")
    ] = "",
    patient: Annotated[str, typer.Option(help="Whose space: Patient/x.")] = "",
    resource: Annotated[str, typer.Option(help="One resource: Observation/x.")] = "",
    base: Annotated[str, typer.Option(help="FHIR base URL of the server.")] = "http://127.0.0.1:8080/fhir",
    token: Annotated[
        str, typer.Option(envvar="FHIR_ACCESS_TOKEN", help="Access token of the patient or an operator.")
    ] = "",
) -> None:
    """Say what scopes grant, and with --actor what somebody would see of a space and why.

    Exit code 3 when the server can't be reached, 4 when it refuses.
    """
    if not scope and not actor:
        stop(Exit.USAGE, "Give --scope, or --actor with --patient.")
    if scope:
        _explain_scopes(scope)
    if actor:
        query = {"actor": actor, "patient": patient, "resource": resource}
        _tell(_asked(base, {name: value for name, value in query.items() if value}, token))


@program.command("matrix-schema")
def matrix_schema() -> None:
    """Print the JSON Schema of a matrix of professions (setting access.profession_matrix)."""
    import json

    from fhir_server.access.matrix import schema

    print(json.dumps(schema(), indent=2))


def _explain_scopes(text: str) -> None:
    from fhir_server.access.scopes import described, parse
    from fhir_server.definitions import Definitions

    types = Definitions().types.resource_type_names
    for word in text.split():
        known = parse(word, types)
        if not known.resources:
            print(f"{word}: {'no data' if known.others else 'not understood, grants nothing'}")
        for one, name in zip(known.resources, described(known.resources), strict=True):
            verbs = ", ".join(_VERBS[letter] for letter in one.letters)
            only = " and ".join(f"{name} is {value}" for name, value in one.conditions)
            what = "all types" if one.type == "*" else one.type
            print(f"{name}: {verbs} {what}{f', where {only}' if only else ''}, as the {one.level} may")


def _asked(base: str, query: dict[str, str], token: str) -> list[dict[str, Any]]:
    import json
    import urllib.error
    import urllib.parse
    import urllib.request

    url = f"{base.rstrip('/')}/Consent/$explain?{urllib.parse.urlencode(query)}"
    if not url.startswith(("http://", "https://")):
        stop(Exit.USAGE, "--base is an http or https URL.")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme was checked)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (as above)
            found: list[dict[str, Any]] = json.load(answer)["parameter"]
            return found
    except urllib.error.HTTPError as problem:
        stop(Exit.DENIED, f"The server refused: {problem.code} {problem.reason}.")
    except OSError as problem:
        stop(Exit.CONNECTION, f"The server can't be reached: {problem}")


def _tell(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        parts = {part["name"]: _value(part) for part in row.get("part", ())}
        match row["name"]:
            case "sees":
                print(f"sees {_value(row)}")
            case "resource":
                print(f"{parts['reference']}: {'seen' if parts['seen'] else 'hidden'}")
            case "step":
                holds = {True: "holds", False: "doesn't hold", None: ""}[parts.get("holds")]
                source = f" [{parts['consent']} {parts['verdict']}]" if "consent" in parts else ""
                print(f"  {parts['name']:<16} {holds:<13} {parts['text']}{source}")
            case _:
                print(f"  {parts['type']:<28} {parts['seen']} of {parts['there']}")


def _value(part: dict[str, Any]) -> Any:
    value = next(value for name, value in part.items() if name.startswith("value"))
    return value["reference"] if isinstance(value, dict) else value
