"""Who a stream of measures is about: the citizens, the devices, and the app that sends it.

Each is read once for the whole request, in bulk for each chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.in_space import space_not_open
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.space.ingestion import is_app
from fhir_server.space.life import State
from fhir_server.store.documents import Stored

#: So many resources are remembered; then all are read anew.
_REMEMBERED = 4096
RULE = "hs-b-measure-device"

Resource = Mapping[str, Any]


class Parties:
    """The resources that measures refer to; ``app`` is the reference of the app that the request names, or ""."""

    def __init__(self, server: Server, request: FhirRequest, app: str) -> None:
        self._server = server
        self._request = request
        self._known: dict[str, Resource | None] = {}
        self._names: dict[str, str] = {}
        self._closed: set[str] = set()
        self.app = app

    async def fetch(self, observations: Sequence[Resource]) -> None:
        """Read the citizens and devices of these measures that are not known yet."""
        if max(len(self._known), len(self._names)) > _REMEMBERED:
            self._known.clear()
            self._names.clear()
            self._closed.clear()
        names = {name for o in observations for name in (self._name(o, "subject"), self._name(o, "device"))}
        wanted = sorted((names | {self.app}) - self._known.keys() - {""})
        for type_ in ("Patient", "Device"):
            ids = [name.partition("/")[2] for name in wanted if name.startswith(f"{type_}/")]
            found = await self._server.store.read_each(type_, ids, self._request.access)
            self._known |= {f"{type_}/{id_}": _living(found.get(id_)) for id_ in ids}
        if self._server.policy.enforce_spaces:
            patients = [name.partition("/")[2] for name in wanted if name.startswith("Patient/")]
            spaces = await self._server.store.spaces.all(patients) if patients else {}
            self._closed |= {p for p in patients if p not in spaces or spaces[p].state is not State.OPEN}

    async def _read(self, name: str) -> Resource | None:
        type_, _, id_ = name.partition("/")
        return _living(await self._server.store.read(type_, id_, self._request.access))

    def _name(self, observation: Resource, element: str) -> str:
        reference = observation.get(element)
        text = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(text, str):
            return ""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = self._named(text)
        return name

    def _named(self, text: str) -> str:
        place = parse(text)
        if place is None or not place.id or place.base not in ("", self._request.base):
            return ""
        return f"{place.type}/{place.id}" if place.type in ("Patient", "Device") else ""

    def citizen(self, observation: Resource) -> tuple[str, Resource]:
        """Return the id and the Patient of a measure; raise FhirError 422 without one, 403 for another's space."""
        name = self._name(observation, "subject")
        if not name.startswith("Patient/"):
            text = "A measure names its citizen: subject.reference is Patient/[id]."
            raise FhirError(Issue("error", "required", text, "Observation.subject"), status=422)
        found = self._known.get(name)
        if found is None:
            raise error(
                "forbidden", "You can't write into this citizen's space.", expression="Observation.subject"
            )
        patient = name.removeprefix("Patient/")
        caller = self._request.access.caller
        if caller is not None and caller.patient not in (None, patient):
            raise error("forbidden", "The token is for another citizen.", expression="Observation.subject")
        if patient in self._closed:
            raise space_not_open()
        return patient, found

    def device(self, observation: Resource, patient: str) -> Resource:
        """Return the Device of a measure; raise FhirError 422 unless it is the citizen's own, or the app itself."""
        name = self._name(observation, "device")
        if not name.startswith("Device/"):
            text = (
                "A measure names what took it: device.reference is Device/[id], the app's for a manual entry."
            )
            raise FhirError(Issue("error", "required", text, "Observation.device"), status=422)
        found = self._known.get(name)
        bearer = found.get("patient", {}).get("reference") if found is not None else None
        is_own = bearer is not None and str(bearer).endswith(f"Patient/{patient}")
        is_sender = found is not None and is_app(found) and self.app in ("", name)
        if found is None or not (is_own or is_sender):
            text = "There is no such Device of this citizen; store it first, with the citizen as its patient."
            raise FhirError(Issue("error", "not-found", text, "Observation.device", RULE), status=422)
        return found

    def sender(self, device: Resource) -> tuple[str, Resource]:
        """Return reference and Device of the app; the measure's own device where the request names none."""
        if not self.app:
            return f"Device/{device['id']}", device
        app = self._known[self.app]
        assert app is not None, "parties() has read it"
        return self.app, app


def _living(stored: Stored | None) -> Resource | None:
    return None if stored is None or stored.is_deleted else decode(stored.body)


async def parties(server: Server, request: FhirRequest, app: str) -> Parties:
    """Return the parties of a request; raise FhirError 422 when the app that it names is none."""
    found = Parties(server, request, app)
    if app:
        device = await found._read(app) if app.startswith("Device/") else None  # noqa: SLF001 (the same file)
        if device is None or not is_app(device):
            raise error("not-found", "The parameter app names no Device of the kind app.", status=422)
    return found
