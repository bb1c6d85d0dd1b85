"""A badge: how many tests of how many passed, as SVG."""

from __future__ import annotations

from fhir_server.testscript.results import PASS, WARNING, Run

_GOOD, _BAD = "#1a7f37", "#b3261e"


def badge(run: Run) -> bytes:
    """Return a badge for a README; skipped tests count as not passed."""
    counts = run.counts()
    total = sum(counts.values())
    passed = counts[PASS] + counts[WARNING]
    label, value = "FHIR R4 conformance", f"{passed} of {total}"
    left, right = 8 * len(label) + 10, 8 * len(value) + 10
    colour = _GOOD if total and passed == total else _BAD
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" \
aria-label="{label}: {value}"><title>{label}: {value}</title>
<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,sans-serif" font-size="12" text-anchor="middle">
<text x="{left / 2}" y="14">{label}</text><text x="{left + right / 2}" y="14">{value}</text></g></svg>
""".encode()
