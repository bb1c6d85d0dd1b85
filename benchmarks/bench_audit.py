"""`make bench-audit`: what the audit costs: the same server with it and without it, in turns, on the same data.

Prints per request the CPU of server and mongod together with the audit on and off, and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import WORKLOADS, Bench, Processes, Row, measure, start_server, uvloop

MODES = ("off", "on")


async def drive(args: argparse.Namespace) -> None:
    """Run both servers in turns and print the table."""
    rows: dict[tuple[str, str], list[Row]] = {}
    with ExitStack() as stack:
        benches = {}
        for mode in MODES:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            base, process = start_server(scratch, settings={"FHIR_AUDIT_MODE": mode})
            stack.callback(process.wait, 30)
            stack.callback(process.send_signal, signal.SIGTERM)
            benches[mode] = Bench(base, Processes(process.pid))
            await benches[mode].load(args.load, max(1, args.load // 400), 32)
        for _ in range(args.rounds):
            for workload in WORKLOADS:
                for mode, bench in benches.items():
                    calls = bench.calls(workload, args.connections)
                    row = await measure(workload, mode, args.seconds, calls, bench.processes)
                    rows.setdefault((workload, mode), []).append(row)
    print(comparison(rows, WORKLOADS))


def comparison(rows: dict[tuple[str, str], list[Row]], workloads: Iterable[str]) -> str:
    """Return the table of both modes as Markdown: medians, and how much more CPU a request takes with it on."""
    lines = [
        "| workload | off: /s | CPU ms | on: /s | server + mongod CPU ms | p50 ms | CPU on / off |",
        "|---|---|---|---|---|---|---|",
    ]
    for workload in workloads:
        off, on = rows[workload, "off"], rows[workload, "on"]
        ratio = median(row.cpu_ms for row in on) / median(row.cpu_ms for row in off)
        lines.append(
            f"| {workload} | {_mid(off, 'per_second'):.0f} | {_mid(off, 'cpu_ms'):.3f} | {_mid(on, 'per_second'):.0f} "
            f"| {_mid(on, 'server_cpu_ms'):.3f} + {_mid(on, 'mongod_cpu_ms'):.3f} | {_mid(on, 'p50_ms'):.1f} "
            f"| {ratio:.2f} |"
        )
    return "\n".join(lines)


def _mid(rows: list[Row], figure: str) -> float:
    return median(getattr(row, figure) for row in rows)


def options(description: str | None) -> argparse.ArgumentParser:
    """Return the options that benchmarks of two modes share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--load", type=int, default=3000, help="Observations to load first (default 3000)")
    parser.add_argument("--seconds", type=float, default=1, help="seconds per point (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--connections", type=int, default=32)
    return parser


def main() -> None:
    """Parse the command line and run."""
    run = asyncio.run if uvloop is None else uvloop.run
    run(drive(options(__doc__).parse_args()))


if __name__ == "__main__":
    main()
