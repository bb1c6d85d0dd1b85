"""``fhir-server conformance``: TestScripts against any server, reports, and two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli import certify
from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.testscript import Endpoints, Log, Options, Run, Script
    from fhir_server.testscript.endpoints import Credentials

RUN_EPILOG = """\b
Examples:
  fhir-server conformance run http --base http://127.0.0.1:8080/fhir --out report
  fhir-server conformance run scripts/ --base https://fhir.example/r4 --token-file token.txt --resume run.log
"""

COLLECTION_EPILOG = """\b
Examples:
  fhir-server conformance collection --base http://127.0.0.1:8080/fhir --format postman
  fhir-server conformance collection --base http://127.0.0.1:8080/fhir --format bruno --out bruno --type Patient
"""

program = typer.Typer(no_args_is_help=True)


@program.callback()
def conformance() -> None:
    """Run TestScripts against any FHIR server, and report what they found."""
    from importlib.util import find_spec

    if not all(find_spec(module) for module in ("elementpath", "httpx", "jsonpath_rfc9535", "yaml")):
        stop(Exit.USAGE, "conformance needs its extra: pip install 'fhir-space-server[conformance]'.")


_Scripts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCRIPTS...",
        help="Names of our suites (see list), files or folders with TestScript resources (JSON, XML) or tables (YAML)."
        " Without any: all our suites.",
    ),
]
_Forms = Annotated[
    str,
    typer.Option(
        "--report", metavar="FORMS", help="Of html,json,junit,csv,fhir,summary,badge; written to --out."
    ),
]
_Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where reports are written; without it, none.")
]
ALL_FORMS = "html,json,junit,csv,fhir,summary,badge"


@program.command("run", epilog=RUN_EPILOG)
def run(
    *,
    scripts: _Scripts = None,
    base: Annotated[str, typer.Option(metavar="URL", help="The base of the server, destination 1.")],
    destination: Annotated[
        list[str] | None,
        typer.Option(metavar="N=URL", help="The base of another destination of the scripts."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with a bearer token; or the variable CONFORMANCE_TOKEN."),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N=FILE", help="The file with the bearer token of another origin of the scripts."
        ),
    ] = None,
    token_url: Annotated[
        str, typer.Option(metavar="URL", help="Get tokens here instead (OAuth 2.0 client credentials).")
    ] = "",
    client_id: Annotated[
        str, typer.Option(metavar="ID", help="The client; its secret stands in CONFORMANCE_CLIENT_SECRET.")
    ] = "",
    scope: Annotated[str, typer.Option(metavar="SCOPE", help="The scopes to ask for.")] = "",
    variable: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="The value of a variable of the scripts.")
    ] = None,
    report: _Forms = ALL_FORMS,
    out: _Out = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep results here as scripts end, and skip those that it has already."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Scripts that run at the same time.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds for an answer.")] = 30.0,
    script_limit: Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds for a script.")] = 120.0,
    limit: Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds for the run.")] = 3600.0,
) -> None:
    """Run TestScripts against a server.

    Exit code 0 when everything passed (warnings allowed), 1 when a test did not, 2 when scripts can't be read, 3 when
    the server can't be reached, 4 when no token is given.
    """
    from fhir_server.testscript import Endpoints, Log, Options

    forms = _forms(report)
    bases = {1: base, **_numbered("destination", destination)}
    for url in bases.values():
        if not url.startswith(("http://", "https://")):
            stop(Exit.USAGE, f'"{url}" is no http or https URL.')
    credentials = _credentials(token_file, origin, token_url, client_id, scope)
    endpoints = Endpoints(bases, credentials, timeout)
    options = Options(jobs, script_limit, limit, _pairs("variable", variable))
    try:
        log = Log(resume, endpoints.base(1))
    except (ValueError, OSError) as reason:
        stop(Exit.USAGE, str(reason))
    raise typer.Exit(int(_report(_run(_read(scripts or []), endpoints, options, log), forms, out)))


@program.command("self")
def own(
    *,
    scripts: _Scripts = None,
    report: _Forms = ALL_FORMS,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where reports are written.", show_default=True)
    ] = Path("conformance/results"),
    jobs: Annotated[int, typer.Option(min=1, help="Scripts that run at the same time.")] = 4,
) -> None:
    """Start fresh servers of our own, run our suites against them, and stop them.

    The first one is open; what it leaves out, because nobody signs in there, runs against a second one with signing in.
    Needs the embedded MongoDB. Exit codes are those of run; what both servers leave out counts as not passed.
    """
    from fhir_server.cli.fresh_server import fresh_server
    from fhir_server.testscript import Endpoints, Log, Options
    from fhir_server.testscript.results import completed

    forms = _forms(report)
    found = _read(scripts or [])
    with fresh_server() as base:
        done = _run(found, Endpoints({1: base}), Options(jobs), Log(None, base))
    left = [script for script, it in zip(found, done.scripts, strict=True) if it.lacks]
    if left:
        with fresh_server(FHIR_AUTH_DEV_SERVER="true") as base:
            done = completed(done, _run(left, Endpoints({1: base}), Options(jobs), Log(None, base)))
    code = _report(done, forms, out)
    raise typer.Exit(int(Exit.FINDINGS if any(script.lacks for script in done.scripts) else code))


program.command("certify", epilog=certify.EPILOG)(certify.certify)


@program.command("compare")
def compare(
    *,
    first: Annotated[Path, typer.Argument(metavar="A", help="The results.json of a run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="That of another server, or of a later run.")],
) -> None:
    """List the tests whose results differ between two runs; exit code 1 when something is worse in B."""
    from fhir_server.testscript import read_run
    from fhir_server.testscript.comparison import compare as compared

    runs = []
    for file in (first, second):
        try:
            runs.append(read_run(file.read_bytes()))
        except OSError as reason:
            stop(Exit.USAGE, f"{file} can't be read: {reason.strerror}.")
        except ValueError:
            stop(Exit.USAGE, f"{file} is no results.json of a run.")
    differences = compared(*runs)
    for it in differences:
        print(f"{it.kind}\t{it.first or '-'} -> {it.second or '-'}\t{it.test}\t{it.message}".rstrip())
    for name, done in zip("AB", runs, strict=True):
        print(f"{name}  {done.base}  {done.started}  {_counted(done)}")
    raise typer.Exit(int(Exit.FINDINGS if any(d.kind == "worse" for d in differences) else Exit.DONE))


@program.command("list")
def listed() -> None:
    """List our suites: their tests and what they prove."""
    from fhir_server.definitions.content import content_folder
    from fhir_server.testscript.suites import scripts, suites

    for name, files in suites(content_folder("conformance")).items():
        for file in files:
            for script in scripts(file):
                print(f"{name}\t{script.name}\t{script.resource['title']}")


@program.command("write")
def write(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder, made if need be.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SUITE...", help="Without any: all suites.")
    ] = None,
) -> None:
    """Write our suites as TestScript resources (JSON), for any engine."""
    from fhir_server.datatypes.json_format import encode

    folder.mkdir(parents=True, exist_ok=True)
    found = _read(names or [])
    for script in found:
        (folder / f"{script.resource['id']}.json").write_bytes(encode(script.resource) + b"\n")
    print(f"{len(found)} TestScripts in {folder}")


@program.command("collection", epilog=COLLECTION_EPILOG)
def collection(
    *,
    base: Annotated[str, typer.Option(metavar="URL", help="The base of the server.")],
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="postman, bruno or http.")
    ] = "postman",
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder, made if need be.")] = Path(),
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="A type to have; without any: all.")
    ] = None,
    sample: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A resource (JSON) to create, read, update and delete; ours are of six types.",
        ),
    ] = None,
) -> None:
    """Generate requests to try a server with, from its CapabilityStatement: for Postman, Bruno or as an HTTP file."""
    import httpx

    from fhir_server.testscript.collections import FORMS
    from fhir_server.testscript.collections import collection as made_from

    if form not in FORMS:
        stop(Exit.USAGE, f'--format knows {", ".join(FORMS)}, not "{form}".')
    base = base.rstrip("/")
    try:
        answer = httpx.get(f"{base}/metadata", headers={"Accept": "application/fhir+json"}, timeout=30)
        files = FORMS[form](
            made_from(answer.raise_for_status().json(), base, _samples(sample or []), type_ or ())
        )
    except httpx.HTTPError as reason:
        stop(Exit.CONNECTION, f"{base}/metadata can't be read: {reason}")
    except ValueError as reason:
        stop(Exit.USAGE, str(reason))
    for name, text in files.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    print(out / next(iter(files)))


def _samples(given: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the resources to write by type: ours, and those of the user instead; raise ValueError for no resource."""
    import json

    from fhir_server.definitions.content import content_folder

    found: dict[str, dict[str, Any]] = {}
    for file in (*sorted((content_folder("examples") / "clients" / "records").glob("*.json")), *given):
        try:
            resource = json.loads(file.read_text(encoding="utf-8"))
            found[resource["resourceType"]] = resource
        except OSError as reason:
            raise ValueError(f"{file} can't be read: {reason.strerror}.") from reason
        except (ValueError, KeyError, TypeError) as reason:
            raise ValueError(f"{file} is no resource in JSON.") from reason
    return found


def _read(names: list[str]) -> list[Script]:
    from fhir_server.testscript.collecting import collect

    try:
        found = collect(names)
    except ValueError as reason:
        stop(Exit.USAGE, str(reason))
    if not found:
        stop(Exit.USAGE, "there is no TestScript in what you name.")
    return found


def _forms(report: str) -> list[str]:
    from fhir_server.testscript.reports import REPORTS

    forms = [form for form in report.split(",") if form]
    for form in forms:
        if form not in REPORTS:
            stop(Exit.USAGE, f'--report knows {", ".join(REPORTS)}, not "{form}".')
    return forms


def _pairs(name: str, given: list[str] | None) -> dict[str, str]:
    for pair in given or []:
        if "=" not in pair:
            stop(Exit.USAGE, f'--{name} wants NAME=VALUE, not "{pair}".')
    return dict(pair.split("=", 1) for pair in given or [])


def _numbered(name: str, given: list[str] | None) -> dict[int, str]:
    pairs = _pairs(name, given)
    if bad := [key for key in pairs if not key.isdecimal()]:
        stop(Exit.USAGE, f'--{name} wants a number before "=", not "{bad[0]}".')
    return {int(key): value for key, value in pairs.items()}


def _credentials(
    token_file: Path | None, origins: list[str] | None, token_url: str, client_id: str, scope: str
) -> dict[int, Credentials]:
    """Return the credentials of each origin; secrets come from files and the environment, never from arguments."""
    import os

    from fhir_server.testscript import Bearer, ClientCredentials

    found: dict[int, Credentials] = {}
    token = os.environ.get("CONFORMANCE_TOKEN", "")
    files = {1: token_file} if token_file is not None else {}
    files |= {index: Path(file) for index, file in _numbered("origin", origins).items()}
    if token:
        found[1] = Bearer(token)
    for index, file in files.items():
        try:
            found[index] = Bearer(file.read_text().strip())
        except OSError as reason:
            stop(Exit.USAGE, f"The token file {file} can't be read: {reason.strerror}.")
    if token_url:
        secret = os.environ.get("CONFORMANCE_CLIENT_SECRET", "")
        if not client_id or not secret:
            stop(Exit.USAGE, "--token-url goes with --client-id and the variable CONFORMANCE_CLIENT_SECRET.")
        found[1] = ClientCredentials(token_url, client_id, secret, scope)
    return found


def _run(scripts: list[Script], endpoints: Endpoints, options: Options, log: Log) -> Run:
    """Run with progress on standard error; leave with the exit code of what makes a run impossible."""
    import httpx

    from fhir_server.cli.judging import Judge, Task
    from fhir_server.cli.progress import Counter
    from fhir_server.testscript import Denied, ScriptResult, run_scripts
    from fhir_server.testscript.results import ERROR, FAIL

    try:
        _reach(endpoints)
    except Denied as reason:
        stop(Exit.DENIED, str(reason))
    except httpx.HTTPError as reason:
        stop(Exit.CONNECTION, f"{endpoints.base(1)} can't be reached: {reason}")
    judge = Judge(Task())
    done: list[str] = []
    with Counter(len(scripts)) as counter:

        def finished(result: ScriptResult) -> None:
            done.append(result.result)
            bad = sum(r in {FAIL, ERROR} for r in done)
            counter.add(1, f"{len(done)} of {len(scripts)} scripts, {bad} not passed")

        return run_scripts(
            scripts,
            endpoints,
            judge.definitions,
            judge.validator,
            options=options,
            log=log,
            finished=finished,
        )


def _reach(endpoints: Endpoints) -> None:
    """Raise httpx.HTTPError when a destination can't be reached, Denied when an origin gets no token."""
    import httpx

    from fhir_server.testscript import ClientCredentials

    for credentials in endpoints.credentials.values():
        if isinstance(credentials, ClientCredentials):
            credentials.token()
    for index in endpoints.bases:
        httpx.get(f"{endpoints.base(index)}/metadata", timeout=endpoints.timeout_s)


def _report(done: Run, forms: list[str], out: Path | None) -> Exit:
    """Print what did not pass, write the reports, and return the exit code."""
    import sys

    from fhir_server.definitions.content import content_folder
    from fhir_server.testscript.reports import write_reports
    from fhir_server.testscript.requirements import read_requirements
    from fhir_server.testscript.results import PASS, WARNING

    for script in done.scripts:
        if script.error:
            print(f"error\t{script.name}\t{script.error}")
        if script.lacks:
            print(f"skip\t{script.name}\t{script.lacks}")
        for phase, step in script.steps():
            if step.message and step.result not in {PASS, "skip"}:
                print(f"{step.result}\t{script.name}\t{phase.name}: {step.title}: {step.message}")
    if out is not None:
        requirements = read_requirements(content_folder("conformance"))
        for file in write_reports(done, requirements, forms, out):
            print(f"wrote {file}", file=sys.stderr)
    print(f"{len(done.scripts)} scripts against {done.base} in {done.seconds:g} s: {_counted(done)}")
    return Exit.DONE if done.result in {PASS, WARNING} else Exit.FINDINGS


def _counted(done: Run) -> str:
    return ", ".join(f"{count} {name}" for name, count in done.counts().items() if count or name == "pass")
