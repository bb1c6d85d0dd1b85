"""A SMART app with fhirclient (Python): registers, is launched, reads its patient, renews its access.

    python fhirclient_launch.py [base URL] [port]     (default http://127.0.0.1:8080/fhir, port 9001)

Open the address that it prints (standalone launch), or choose the app on the server's page /auth/launch (EHR launch).
The server needs its development authorization server (FHIR_AUTH_DEV_SERVER=true). Needs: pip install fhirclient
"""

from __future__ import annotations

import json
import sys
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from fhirclient.client import FHIRClient
from fhirclient.models.observation import Observation

SCOPE = "openid fhirUser patient/Patient.rs patient/Observation.rs offline_access"


def registered(base: str, origin: str) -> str:
    """Return the client_id of a new public client of the server."""
    with urlopen(f"{base}/.well-known/smart-configuration", timeout=30) as answer:
        address = json.load(answer)["registration_endpoint"]
    client = {
        "client_name": "Example of a Python app",
        "redirect_uris": [f"{origin}/callback"],
        "launch_uri": f"{origin}/launch",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    }
    request = Request(address, json.dumps(client).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["client_id"])


class App(BaseHTTPRequestHandler):
    """One person's app: a real one keeps ``smart.state`` in the session of each browser."""

    settings: dict[str, str]
    smart: FHIRClient

    def do_GET(self) -> None:
        """Answer a page: /, /launch or /callback."""
        address = urlsplit(self.path)
        match address.path:
            case "/":
                self._sign_in(None)
            case "/launch":
                asked = parse_qs(address.query)
                if asked["iss"] != [
                    self.settings["api_base"]
                ]:  # never talk to a server that one doesn't know
                    self._page("This app does not know that server.", 400)
                else:
                    self._sign_in(asked["launch"][0])
            case "/callback":
                self._signed_in()
            case _:
                self._page("There is no such page.", 404)

    def _sign_in(self, launch: str | None) -> None:
        App.smart = FHIRClient(settings=self.settings | ({"launch_token": launch} if launch else {}))
        self.send_response(302)
        self.send_header("Location", self.smart.authorize_url)
        self.end_headers()

    def _signed_in(self) -> None:
        try:
            self.smart.handle_callback(self.path)
        except Exception as problem:  # noqa: BLE001 (the library raises nothing more precise)
            self._page(f"It did not work: {problem}", 403)
            return
        patient = self.smart.patient
        search = Observation.where({"patient": patient.id, "_count": "5"})
        found = search.perform(self.smart.server).entry or []
        before = self.smart.server.auth.access_token
        renewed = self.smart.reauthorize() and self.smart.server.auth.access_token != before
        again = patient.read(patient.id, self.smart.server)
        name = self.smart.human_name(again.name[0]) if again.name else again.id
        said = f"{name} (Patient/{again.id}): {len(found)} measures; access {'renewed' if renewed else 'as before'}."
        self._page(said)

    def _page(self, text: str, status: int = 200) -> None:
        body = (
            f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
            f"<title>Example of a Python app</title>"
            f'<main><h1>Example of a Python app</h1><p role="status">{escape(text)}</p></main></html>'
        ).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep addresses, which have codes in them, out of the terminal."""


def main(base: str = "http://127.0.0.1:8080/fhir", port: str = "9001") -> None:
    """Serve the app until Ctrl-C."""
    with HTTPServer(("127.0.0.1", int(port)), App) as server:
        origin = f"http://127.0.0.1:{server.server_port}"
        App.settings = {
            "app_id": registered(base, origin),
            "api_base": base,
            "redirect_uri": f"{origin}/callback",
            "scope": SCOPE,
        }
        print(f"standalone launch: {origin}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
