"""The command line: one file per verb, each a thin call of a library function; see README.md."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command ``fhir-server``; exits with one of the codes in ``exits``."""
    from fhir_server.cli.exits import Exit
    from fhir_server.cli.program import program
    from fhir_server.settings import SettingsError

    try:
        program(prog_name="fhir-server")
    except SettingsError as refused:
        for complaint in refused.complaints:
            print(f"fhir-server: {complaint}", file=sys.stderr)
        sys.exit(Exit.USAGE)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away: "fhir-server config show | head -1"
        sys.stderr.close()
        sys.exit(Exit.DONE)


__all__ = ["main"]
