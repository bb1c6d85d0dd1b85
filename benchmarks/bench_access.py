"""`make bench-access`: what access costs: scopes, consent and audit on, over open mode, in turns, on the same data.

The caller is a doctor in the care teams of all patients, each of whom has a Consent in force; tokens are those of an
issuer outside. Prints per request the CPU of server and mongod of both modes, and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import WORKLOADS, Bench, Processes, Row, free_port, measure, start_server, uvloop
from bench_audit import comparison, options
from joserfc import jwt
from joserfc.jwk import RSAKey

#: Updates of the benchmark move Observations between patients, which nobody but an operator may.
MEASURED = tuple(name for name in WORKLOADS if name != "update")
ISSUER = "https://issuer.example.org"
DOCTOR = "Practitioner/doctor"


class SignedBench(Bench):
    """A server where callers sign in; ``token`` is the doctor's."""

    def __init__(self, base: str, processes: Processes, operator: str, doctor: str) -> None:
        super().__init__(base, processes)
        self.token, self._doctor = operator, doctor

    async def admit_doctor(self) -> None:
        """Store the care teams and Consents, then go on as the doctor."""
        connection = self.connection()
        for id_ in self.patients:
            patient = {"reference": f"Patient/{id_}"}
            await self.new(
                connection,
                {
                    "resourceType": "CareTeam",
                    "status": "active",
                    "subject": patient,
                    "participant": [{"member": {"reference": DOCTOR}}],
                },
            )
            await self.new(connection, _consent(patient))
        connection.close()
        self.token = self._doctor


def _consent(patient: dict[str, str]) -> dict[str, object]:
    """Return a Consent that keeps one other doctor out."""
    privacy = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [privacy]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": patient,
        "dateTime": "2026-01-01",
        "policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal"}],
        "provision": {
            "provision": [
                {
                    "type": "deny",
                    "actor": [
                        {
                            "role": {"coding": [{"code": "IRCP"}]},
                            "reference": {"reference": "Practitioner/other"},
                        }
                    ],
                }
            ]
        },
    }


def _signed(stack: ExitStack, scratch: Path) -> SignedBench:
    key = RSAKey.generate_key(2048, {"kid": "k"})
    keys = scratch / "keys.json"
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    port = free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    clients = {"portal": {"kind": "person"}, "operator": {"kind": "operator"}}
    issuer = {"issuer": ISSUER, "jwks_file": str(keys), "audiences": [base], "clients": clients}

    def token(client: str, **claims: str) -> str:
        now = int(time.time())
        said = {"iss": ISSUER, "aud": base, "sub": client, "client_id": client, "iat": now, "exp": now + 7200}
        return jwt.encode(
            {"alg": "RS256", "kid": "k", "typ": "at+jwt"}, {**said, "jti": client, **claims}, key
        )

    settings = {
        "FHIR_AUTH_ISSUERS": json.dumps([issuer]),
        "FHIR_LIMITS_REQUESTS": "100000000/minute",
        "FHIR_LIMITS_ANONYMOUS": "100000000/minute",
    }
    base, process = start_server(scratch, port=port, settings=settings)
    stack.callback(process.wait, 30)
    stack.callback(process.send_signal, signal.SIGTERM)
    doctor = token("portal", fhirUser=DOCTOR, scope="openid fhirUser user/*.cruds")
    return SignedBench(base, Processes(process.pid), token("operator", scope="system/*.cruds"), doctor)


async def drive(args: argparse.Namespace) -> None:
    """Run both servers in turns and print the table."""
    rows: dict[tuple[str, str], list[Row]] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base, process = start_server(scratch)
        stack.callback(process.wait, 30)
        stack.callback(process.send_signal, signal.SIGTERM)
        signed = _signed(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        benches = {"off": Bench(base, Processes(process.pid)), "on": signed}
        for bench in benches.values():
            await bench.load(args.load, max(1, args.load // 400), 32)
        await signed.admit_doctor()
        if args.pause:
            print("worker", signed.processes.server[-1].pid, flush=True)
        for _ in range(args.rounds):
            for workload in args.workloads:
                for mode, bench in benches.items():
                    calls = bench.calls(workload, args.connections)
                    row = await measure(workload, mode, args.seconds, calls, bench.processes)
                    rows.setdefault((workload, mode), []).append(row)
    print(comparison(rows, args.workloads))


def main() -> None:
    """Parse the command line and run."""
    parser = options(__doc__)
    parser.add_argument("--workloads", nargs="+", default=list(MEASURED), choices=MEASURED)
    parser.add_argument(
        "--pause", action="store_true", help="print the processes, to look at them with py-spy"
    )
    run = asyncio.run if uvloop is None else uvloop.run
    run(drive(parser.parse_args()))


if __name__ == "__main__":
    main()
