"""The application in a worker process that must not outlive its supervisor."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_server.app import Application

_POLL_S = 0.2


def create_app() -> Application:
    """Return the application; if the supervisor dies (kill -9) this process stops too."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="supervisor-watch", daemon=True).start()
    from fhir_server.app import create_app as create

    return create()


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
