"""What a script knows while it runs: its fixtures, messages and variables.

Variables are evaluated when they are used (https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.variable).
Beyond R4, as other engines have them: ``${UUID}`` (one for each run of a script), ``${CURRENTDATE}`` and
``${CURRENTDATETIME}``; a variable that the script declares under such a name comes first.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Env, FhirPathError, compile_expression
from fhir_server.outcome import FhirError
from fhir_server.testscript.message import Message, ScriptError
from fhir_server.testscript.paths import as_text, select

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
#: Steps of an evaluation: a script must not keep the engine busy for ever.
_BUDGET = 2_000_000


class Scope:
    """Messages by id, the latest request and response, and what variables stand for."""

    def __init__(
        self,
        definitions: Definitions,
        variables: list[dict[str, Any]],
        given: Mapping[str, str] | None = None,
    ) -> None:
        """Begin with nothing but the variables; ``given`` holds values that are chosen for this run."""
        now = datetime.now(UTC)
        self._definitions = definitions
        self._variables = {variable["name"]: variable for variable in variables}
        self._given = dict(given or {})
        self._dynamic = {
            "UUID": str(uuid.uuid4()),
            "CURRENTDATE": f"{now:%Y-%m-%d}",
            "CURRENTDATETIME": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        self.messages: dict[str, Message] = {}
        self.request: Message | None = None
        self.response: Message | None = None

    def message(self, name: str) -> Message:
        """Return what an id stands for by now; raises ScriptError when nothing does."""
        if name not in self.messages:
            raise ScriptError(f'Nothing stands under the id "{name}" yet: its operation was not carried out.')
        return self.messages[name]

    def fill(self, text: str) -> str:
        """Return a text with its variables replaced; raises ScriptError for one that has no value."""
        return _VARIABLE.sub(lambda match: self._value(match[1]), text)

    def filled(self, value: Any) -> Any:
        """Return a JSON value with the variables in all its texts replaced."""
        if isinstance(value, str):
            return self.fill(value) if "${" in value else value
        if isinstance(value, dict):
            return {name: self.filled(part) for name, part in value.items()}
        return [self.filled(part) for part in value] if isinstance(value, list) else value

    def evaluate(self, expression: str, message: Message) -> list[Any]:
        """Return the values of a FHIRPath expression on the resource of a message.

        Raises ScriptError for an expression that can't be used; a body that is no resource has no values.
        """
        try:
            resource = message.resource
        except FhirError:
            return []
        env = Env(resource, resource, clock=lambda: datetime.now(UTC), steps=_BUDGET)
        try:
            return compile_expression(expression, self._definitions.types).evaluate(resource, env)
        except FhirPathError as refused:
            raise ScriptError(f'The expression "{expression}": {refused.issues[0].diagnostics}') from None

    def texts(self, expression: str, message: Message) -> list[str]:
        """Return the values of an expression as texts."""
        return [as_text(value) for value in self.evaluate(expression, message)]

    def _value(self, name: str) -> str:
        if name in self._given:
            return self._given[name]
        variable = self._variables.get(name)
        if variable is None:
            if name in self._dynamic:
                return self._dynamic[name]
            raise ScriptError(f'The variable "{name}" is not declared.')
        found = self._found(variable)
        if found is None:
            hint = f" ({variable['hint']})" if "hint" in variable else ""
            raise ScriptError(f'The variable "{name}" has no value; give --variable {name}=VALUE{hint}.')
        return found

    def _found(self, variable: dict[str, Any]) -> str | None:
        """Return the value that a variable has in its source, else its default."""
        source = variable.get("sourceId")
        message = self.messages.get(source) if source else self.response
        values: list[str] = []
        if message is not None and "headerField" in variable:
            header = message.headers.get(variable["headerField"].lower())
            values = [] if header is None else [header]
        elif message is not None and "expression" in variable:
            values = self.texts(self.fill(variable["expression"]), message)
        elif message is not None and "path" in variable:
            values = select(variable["path"], message)
        if values:
            return values[0]
        default = variable.get("defaultValue")
        return None if default is None else self.fill(default)
