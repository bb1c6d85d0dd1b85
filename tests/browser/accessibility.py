"""What axe-core says of a page: https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe

#: All of WCAG 2.2 A and AA, and axe's best practices.
_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


def violations(page):
    """Return what axe finds: the rule and the elements."""
    found = Axe().run(page, options=_OPTIONS).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
