"""``fhir-server conformance certify``: judges a client by what it sends through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    import socket

    from fhir_server.certification import Certification
    from fhir_server.certification.roles import Role
    from fhir_server.testscript import Run

EPILOG = """\b
Examples:
  fhir-server conformance certify --client --role reader --out report
  fhir-server conformance certify --client --base https://fhir.example/r4 --name "Scales 2.1" --until-idle 30
"""
FORMS = ("html", "json", "junit", "csv", "badge")


def certify(
    *,
    client: Annotated[
        bool, typer.Option("--client", help="Judge a client, the software that calls (servers: run).")
    ] = True,
    base: Annotated[
        str,
        typer.Option(metavar="URL", help="The server behind the proxy; without it a fresh sandbox of ours."),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="What the report calls the client.")
    ] = "the client",
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE", help="What it must show: depositor, measures, reader.")
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE=URL", help="A profile that resources of a type must keep, claimed or not."
        ),
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option(metavar="PACKAGE", help="A package with profiles: file, folder, name#version."),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address that the proxy listens on.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Its port; 0 takes a free one.")] = 8090,
    until_idle: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="End so many seconds after the last request; 0: at Ctrl-C."),
    ] = 0,
    look_up: Annotated[
        bool, typer.Option("--look-up/--no-look-up", help="Ask the server whether references lead somewhere.")
    ] = True,
    report: Annotated[
        str, typer.Option("--report", metavar="FORMS", help=f"Of {','.join(FORMS)}; written to --out.")
    ] = ",".join(FORMS),
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where reports are written.")] = None,
) -> None:
    """Stand before a server, pass everything on, and judge what the client sends.

    Point the client at the address that is printed. Exit code 0: a pass, no rule with SHALL is broken and the roles are
    shown; 1: not so; 2: an option can't be used; 3: the server can't be reached; 5: the port is in use.
    """
    from fhir_server.certification import Terms
    from fhir_server.definitions.content import content_folder

    if not client:
        stop(Exit.USAGE, "conformance certify judges clients; for a server: fhir-server conformance run.")
    if base and not base.startswith(("http://", "https://")):
        stop(Exit.USAGE, f'"{base}" is no http or https URL.')
    forms = [form for form in report.split(",") if form]
    if unknown := [form for form in forms if form not in FORMS]:
        stop(Exit.USAGE, f'--report knows {", ".join(FORMS)}, not "{unknown[0]}".')
    folder = content_folder("conformance") / "clients"
    roles = _roles(role or [], folder)
    imposed = _imposed(profile or [], roles)
    with _listening(host, port) as listener, _server(base) as behind:
        certification = _certification(
            behind, imposed, package or [], Terms(name, roles, look_up, until_idle, None, folder)
        )
        _announce(listener, behind, until_idle)
        done = certification.run(listener)
    raise typer.Exit(int(_report(done, certification, forms, out)))


def _roles(names: list[str], folder: Path) -> list[Role]:
    from fhir_server.certification.roles import read_roles

    known = read_roles(folder)
    for name in names:
        if name not in known:
            stop(Exit.USAGE, f'--role knows {", ".join(known)}, not "{name}".')
    return [known[name] for name in names]


def _imposed(profiles: list[str], roles: list[Role]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    pairs = [(type_, url) for role in roles for type_, urls in role.imposes.items() for url in urls]
    for given in profiles:
        type_, is_pair, url = given.partition("=")
        if not is_pair:
            stop(Exit.USAGE, f'--profile wants TYPE=URL, not "{given}".')
        pairs.append((type_, url))
    for type_, url in dict.fromkeys(pairs):
        found[type_] = (*found.get(type_, ()), url)
    return found


def _certification(
    base: str, imposed: dict[str, tuple[str, ...]], packages: list[str], terms: object
) -> Certification:
    import httpx

    from fhir_server.certification import Certification, Terms
    from fhir_server.cli.judging import Judge, Task
    from fhir_server.outcome import FhirError
    from fhir_server.validation import Policy, Validator

    assert isinstance(terms, Terms)
    try:
        judge = Judge(Task(packages=tuple(packages)))
    except FhirError as refused:
        stop(Exit.USAGE, refused.issues[0].diagnostics)
    validator = Validator(judge.definitions, judge.code_sets, policy=Policy(imposed=imposed))
    try:
        return Certification(base, judge.definitions, validator, terms)
    except httpx.HTTPError as reason:
        stop(Exit.CONNECTION, f"{base} can't be reached: {reason}")


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as reason:
            stop(Exit.CONFLICT, f"Can't listen on {host} port {port}: {reason.strerror}.")
        yield listener


@contextmanager
def _server(base: str) -> Iterator[str]:
    """Give the base that was named, or that of a fresh server."""
    from fhir_server.cli.fresh_server import fresh_server

    if base:
        yield base.rstrip("/")
        return
    try:
        with fresh_server(FHIR_SANDBOX_ON="true") as fresh:
            yield fresh
    except RuntimeError as reason:
        stop(Exit.CONNECTION, str(reason))


def _announce(listener: socket.socket, base: str, until_idle: float) -> None:
    import sys
    from urllib.parse import urlsplit

    host, port = listener.getsockname()[:2]
    ends = f"or {until_idle:g} s without a request end it" if until_idle else "ends it"
    print(f"Point the client at http://{host}:{port}{urlsplit(base).path}", file=sys.stderr)
    print(f"Everything is passed on to {base}; Ctrl-C {ends}.", file=sys.stderr, flush=True)


def _report(done: Run, certification: Certification, forms: list[str], out: Path | None) -> Exit:
    """Print what is to be mended, write the reports, and return the exit code."""
    import sys

    from fhir_server.testscript.reports import write_reports
    from fhir_server.testscript.results import ERROR, FAIL, WARNING

    for script in done.scripts:
        if script.error:
            print(f"error\t{script.name}\t{script.error}")
        for phase in script.phases:
            if phase.result in {FAIL, WARNING, ERROR}:
                is_item = script.name.startswith("role-")
                said = phase.steps[0].title if is_item else f"{phase.name}\t{phase.description}"
                print(f"{phase.result}\t{script.name}\t{said}")
    if out is not None:
        for file in write_reports(done, certification.statements(), forms, out):
            print(f"wrote {file}", file=sys.stderr)
    is_passed = bool(certification.requests) and not any(s.result in {FAIL, ERROR} for s in done.scripts)
    print(f"{certification.requests} requests in {done.seconds:g} s: {'pass' if is_passed else 'no pass'}")
    if not certification.requests:
        print("The client sent no FHIR request through the proxy.", file=sys.stderr)
    return Exit.DONE if is_passed else Exit.FINDINGS
