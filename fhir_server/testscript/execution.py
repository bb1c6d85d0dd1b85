"""One script against its servers, from its fixtures to its teardown.

A setup that isn't passed skips the tests; in a test the first step that fails skips the rest; the teardown always runs,
and so does the deletion of fixtures. https://hl7.org/fhir/R4/testscript.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError
from fhir_server.testscript import results
from fhir_server.testscript.assertions import Surroundings, failure
from fhir_server.testscript.capability import lacking
from fhir_server.testscript.endpoints import Denied, Transport
from fhir_server.testscript.fixtures import resolve
from fhir_server.testscript.masking import Mask
from fhir_server.testscript.message import Message, ScriptError
from fhir_server.testscript.operations import Request, identity, request
from fhir_server.testscript.results import Exchange, Phase, ScriptResult, Step
from fhir_server.testscript.scope import Scope
from fhir_server.testscript.script import Script
from fhir_server.validation import Validator

#: Characters of a body that a report keeps.
KEPT = 60_000
#: Seconds that a teardown has when the time limit of its script is used up.
TEARDOWN_S = 10.0

Created = list[tuple[int, int, str]]


class Execution:
    """Runs one script, once."""

    def __init__(
        self,
        script: Script,
        transport: Transport,
        definitions: Definitions,
        validator: Validator,
        *,
        variables: Mapping[str, str],
        limit_s: float,
    ) -> None:
        self._script = script
        self._transport = transport
        self._definitions = definitions
        self._xml = XmlFormat(definitions.types)
        self._mask = Mask(transport.endpoints.secrets)
        self._scope = Scope(definitions, script.resource.get("variable", []), variables)
        self._around = Surroundings(self._scope, validator, {})
        self._ends = time.monotonic() + limit_s
        self._created: dict[str, Created] = {}

    def run(self) -> ScriptResult:
        """Return the outcome; what goes wrong is part of it."""
        started, clock = datetime.now(UTC), time.monotonic()
        phases, reason = self._capabilities()
        if reason:
            phases += [
                Phase(
                    kind,
                    phase.get("name", kind),
                    phase.get("description", ""),
                    tuple(self._steps(a, reason, stops=True)),
                )
                for kind, phase, a in self._script.actions()
            ]
        else:
            phases += self._phases()
        lacks = reason if reason and phases[0].result == results.SKIP else ""
        resource = self._script.resource
        return ScriptResult(
            self._script.name, resource.get("title", self._script.name), resource.get("url", ""),
            self._script.source, self._script.digest, started.isoformat(timespec="seconds"),
            round(time.monotonic() - clock, 3), tuple(phases), lacks=lacks,
        )  # fmt: skip

    def _phases(self) -> list[Phase]:
        """Carry out fixtures, setup, tests and teardown."""
        phases: list[Phase] = []
        is_ready = True
        if fixtures := self._fixtures():
            phases.append(Phase("setup", "fixtures", "Fixtures and profiles of the script", tuple(fixtures)))
            is_ready = phases[-1].result not in {results.FAIL, results.ERROR}
        for kind, phase, actions in self._script.actions():
            reason = "" if is_ready or kind == "teardown" else "The setup did not pass."
            if kind == "teardown":
                self._grant()
            steps = self._steps(actions, reason, stops=kind != "teardown")
            phases.append(Phase(kind, phase.get("name", kind), phase.get("description", ""), tuple(steps)))
            if kind == "setup":
                is_ready = is_ready and phases[-1].result in {results.PASS, results.WARNING}
        self._grant()
        if deleted := self._delete_fixtures():
            phases.append(Phase("teardown", "fixtures", "Fixtures that are deleted", tuple(deleted)))
        return phases

    def _capabilities(self) -> tuple[list[Phase], str]:
        """Compare the capabilities that are to be validated; return also why the script must not go on, or ""."""
        steps, reason = [], ""
        for row in self._script.resource.get("metadata", {}).get("capability", []):
            if not row.get("validated"):
                continue
            title = row.get("description") or f"The server has the capabilities {row['capabilities']}"
            try:
                wanted = resolve(row["capabilities"], self._script, self._xml, self._get).resource
                missing = lacking(wanted, self._transport.capabilities(row.get("destination", 1)))
            except (ScriptError, FhirError, httpx.HTTPError, Denied) as unknown:
                said, grave = f"What the server has can't be told: {unknown}", results.ERROR
            else:
                said = f"The server doesn't say that it has {'; '.join(missing)}." if missing else ""
                grave = results.SKIP if row.get("required") else results.WARNING
            if said and grave != results.WARNING:
                reason = reason or said
            steps.append(Step("assert", grave if said else results.PASS, title, message=said))
        said = "What the script asks of the server"
        return [Phase("setup", "capabilities", said, tuple(steps))] if steps else [], reason

    def _grant(self) -> None:
        """Give what clears away some time, whatever the tests took."""
        self._ends = max(self._ends, time.monotonic() + TEARDOWN_S)

    def _steps(self, actions: list[dict[str, Any]], reason: str, *, stops: bool) -> list[Step]:
        """Carry out actions; those that come after one that ``stops`` are skipped, with the reason."""
        done: list[Step] = []
        for action in actions:
            kind = "operation" if "operation" in action else "assert"
            content = action[kind]
            if not reason and time.monotonic() > self._ends:
                reason = "The time limit of the script was reached."
            if reason:
                done.append(_step(kind, results.SKIP, content, reason))
                continue
            done.append(self._operate(content) if kind == "operation" else self._assert(content))
            if stops and done[-1].result in {results.FAIL, results.ERROR}:
                reason = "A step before it did not pass."
        return done

    def _assert(self, assertion: dict[str, Any]) -> Step:
        try:
            said = failure(assertion, self._around)
        except (ScriptError, FhirError) as reason:
            return _step("assert", results.ERROR, assertion, str(reason))
        if not said:
            return _step("assert", results.PASS, assertion)
        grave = results.WARNING if assertion.get("warningOnly") else results.FAIL
        return _step("assert", grave, assertion, self._mask.text(said))

    def _operate(self, operation: dict[str, Any]) -> Step:
        index = operation.get("destination", 1)
        try:
            made = request(operation, self._scope, self._transport.endpoints.base(index))
        except (ScriptError, FhirError) as reason:
            return _step("operation", results.ERROR, operation, str(reason))
        response, exchange, lost = self._send(made)
        if response is None:
            return _step("operation", results.ERROR, operation, lost, exchange)
        sent = Message(self._xml, made.body, made.headers, made.method, made.url)
        self._scope.request, self._scope.response = sent, response
        if "requestId" in operation:
            self._scope.messages[operation["requestId"]] = sent
        if "responseId" in operation:
            self._scope.messages[operation["responseId"]] = response
        self._note(operation, index, made, response)
        return _step("operation", results.PASS, operation, "", exchange)

    def _note(self, operation: dict[str, Any], index: int, made: Request, response: Message) -> None:
        """Remember what a fixture became, for its deletion."""
        fixture = self._created.get(operation.get("sourceId", ""))
        is_write = response.status == 201 or (response.status == 200 and made.method == "PUT")
        if fixture is None or not is_write:
            return
        try:
            kind, id_, _ = identity(response)
        except ScriptError:
            return  # a batch or transaction: what it made is nobody's fixture
        if (index, made.origin, f"{kind}/{id_}") not in fixture:
            fixture.append((index, made.origin, f"{kind}/{id_}"))

    def _send(self, made: Request) -> tuple[Message | None, Exchange, str]:
        """Return the response and the exchange, or None and why there is no response."""
        left = min(self._transport.endpoints.timeout_s, max(self._ends - time.monotonic(), 0.1))
        begun = time.monotonic()
        shown = Exchange(
            made.method, self._mask.text(made.url), self._mask.headers(made.headers), self._shown(made.body)
        )
        try:
            answer = self._transport.send(
                made.method,
                made.url,
                made.headers,
                made.body,
                origin=made.origin,
                timeout_s=left,
                raw=made.raw,
            )
        except (httpx.HTTPError, httpx.InvalidURL, Denied) as reason:
            said = f"No answer came: {type(reason).__name__} {self._mask.text(str(reason))}".rstrip()
            return None, shown, said
        headers = {name.lower(): value for name, value in answer.headers.items()}
        response = Message(self._xml, answer.content, headers, made.method, made.url, answer.status_code)
        exchange = Exchange(
            made.method, self._mask.text(str(answer.request.url)), self._mask.headers(dict(answer.request.headers)),
            shown.request_body, answer.status_code, self._mask.headers(headers), self._shown(answer.content),
            round(time.monotonic() - begun, 4),
        )  # fmt: skip
        return response, exchange, ""

    def _shown(self, body: bytes) -> str:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return f"({len(body)} bytes that are no text)"
        cut = f"\n… ({len(text)} characters)" if len(text) > KEPT else ""
        return self._mask.text(text[:KEPT] + cut)

    def _get(self, reference: str) -> Message:
        base = self._transport.endpoints.base(1)
        url = reference if reference.startswith(("http://", "https://")) else f"{base}/{reference}"
        response, _, lost = self._send(
            Request("GET", url, {"accept": "application/fhir+json"}, b"", 1, raw=False)
        )
        if response is None:
            raise ScriptError(lost)
        return response

    def _fixtures(self) -> list[Step]:
        """Fetch fixtures and profiles, and create the fixtures that are to be created."""
        profiles: dict[str, str] = {}
        steps = []
        for profile in self._script.resource.get("profile", []):
            steps += self._attempt(f"profile {profile.get('id')}", self._profile, profile, profiles)
        self._around = Surroundings(self._scope, self._around.validator, profiles)
        for fixture in self._script.resource.get("fixture", []):
            self._created[fixture["id"]] = []
            steps += self._attempt(f"fixture {fixture['id']}", self._fixture, fixture)
        for fixture in self._script.resource.get("fixture", []):
            if fixture.get("autocreate") and fixture["id"] in self._scope.messages:
                steps += self._create_everywhere(fixture["id"])
        return steps

    def _create_everywhere(self, name: str) -> list[Step]:
        """Create a fixture on each destination; its id then stands for what the first one made of it."""
        source, steps, made = self._scope.messages[name], [], []
        for row in self._script.resource.get("destination", [{"index": 1}]):
            self._scope.messages[name] = source
            steps.append(self._create(name, row["index"]))
            made.append(self._scope.messages[name])
        self._scope.messages[name] = made[0]
        return steps

    def _attempt(self, title: str, act: Callable[..., None], *arguments: Any) -> list[Step]:
        try:
            act(*arguments)
        except (ScriptError, FhirError) as reason:
            return [Step("operation", results.ERROR, title, message=str(reason))]
        return []

    def _profile(self, profile: dict[str, Any], profiles: dict[str, str]) -> None:
        canonical = profile.get("reference", "")
        if self._definitions.structure(canonical) is None:
            resource = resolve(canonical, self._script, self._xml, self._get).resource
            if not self._definitions.add(resource):
                raise ScriptError(f"{canonical} is no profile that can be used.")
            canonical = resource["url"]
        profiles[profile.get("id", canonical)] = canonical

    def _fixture(self, fixture: dict[str, Any]) -> None:
        reference = fixture.get("resource", {}).get("reference", "")
        if not reference:
            if fixture.get("autocreate"):
                raise ScriptError(f"The fixture {fixture['id']} has no resource that could be created.")
            return  # it stands for a response that the script gets later
        self._scope.messages[fixture["id"]] = resolve(
            self._scope.fill(reference), self._script, self._xml, self._get
        )

    def _create(self, name: str, index: int) -> Step:
        """Create a fixture on a destination; its id then stands for what the server made of it."""
        source = self._scope.messages[name]
        step = self._operate({
            "type": {"code": "create"}, "sourceId": name, "destination": index, "description": f"Create {name}",
            "resource": source.resource["resourceType"], "responseId": name,
        })  # fmt: skip
        answer = self._scope.messages[name]
        if step.exchange is None or step.exchange.status not in {200, 201}:
            self._scope.messages[name] = source
            said = (
                step.message or f"The fixture could not be created: {step.exchange and step.exchange.status}."
            )
            return Step("operation", results.ERROR, step.title, message=said, exchange=step.exchange)
        if not answer.has_resource() or answer.resource["resourceType"] == "OperationOutcome":
            kind, id_, _ = identity(answer)
            made = {**self._scope.filled(source.resource), "id": id_}
            headers = {"location": f"{kind}/{id_}", "content-type": "application/fhir+json"}
            self._scope.messages[name] = Message(self._xml, encode(made), headers)
        return step

    def _delete_fixtures(self) -> list[Step]:
        steps = []
        for fixture in reversed(self._script.resource.get("fixture", [])):
            if not fixture.get("autodelete"):
                continue
            for index, origin, place in reversed(self._created[fixture["id"]]):
                url = f"{self._transport.endpoints.base(index)}/{place}"
                response, exchange, lost = self._send(Request("DELETE", url, {}, b"", origin, raw=False))
                good = response is not None and response.status in {200, 202, 204, 404, 410}
                said = "" if good else lost or f"{place} could not be deleted: {exchange.status}."
                result = results.PASS if good else results.ERROR
                steps.append(
                    Step("operation", result, f"Delete {fixture['id']}", message=said, exchange=exchange)
                )
        return steps


def _step(
    kind: str, result: str, content: dict[str, Any], message: str = "", exchange: Exchange | None = None
) -> Step:
    title = content.get("description") or content.get("label") or _title(kind, content)
    return Step(kind, result, title, content.get("label", ""), message, exchange)


def _title(kind: str, content: dict[str, Any]) -> str:
    """Return what a step without description is called: what it does."""
    if kind == "operation":
        code = content.get("type", {}).get("code") or content.get("method", "request")
        return (
            f"{code} {content.get('resource', '')}{content.get('params') or content.get('url') or ''}".strip()
        )
    known = [n for n in content if n not in {"warningOnly", "operator", "value", "direction", "sourceId"}]
    words = [f"{name} {content[name]}" for name in known]
    return " ".join([*words, *(str(content[n]) for n in ("operator", "value") if n in content)])
