"""Who may see and do what, compiled to one filter."""

from fhir_server.access.context import OPEN, REFER, AccessContext

__all__ = ["OPEN", "REFER", "AccessContext"]
