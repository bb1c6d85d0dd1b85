"""The application in a worker process that must not outlive its supervisor."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_server.app import Application


def create_app() -> Application:
    """Return the application; if the supervisor dies (kill -9) this process stops too and frees the port."""
    threading.Thread(target=_watch, name="supervisor-watch", daemon=True).start()
    from fhir_server.app import create_app as create

    return create()


def _watch() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    supervisor.join()  # a pipe that the supervisor's end closes: no polling, and nothing is missed before we listen
    os.kill(os.getpid(), signal.SIGTERM)
