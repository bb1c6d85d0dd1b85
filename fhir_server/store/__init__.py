"""MongoDB: the only package that knows the driver; see README.md."""

from fhir_server.store.store import Store

__all__ = ["Store"]
