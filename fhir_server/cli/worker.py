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
    from fhir_server.app import create_app as create
    from fhir_server.rest.event_log import configure_logging
    from fhir_server.settings import load

    settings = load()
    configure_logging(settings.log.level, settings.log.format)
    app = create(settings)
    threading.Thread(target=_watch, args=(app,), name="supervisor-watch", daemon=True).start()
    return app


def _watch(app: Application) -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    supervisor.join()  # a pipe that the supervisor's end closes: no polling, and nothing is missed before we listen
    try:
        app.serving()
    except RuntimeError:
        # Still starting, and waiting for a database that may be gone: nothing is lost by leaving.
        os._exit(1)
    os.kill(os.getpid(), signal.SIGTERM)
