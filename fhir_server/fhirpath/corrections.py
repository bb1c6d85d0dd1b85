"""Published R4 expressions that contradict their own prose, and what is evaluated instead.

A constraint that comes out empty is not met, so an expression that calls a function on an absent optional
element
would reject every resource without it. The rows follow what the reference validator does; each has a test.
What is not
here is evaluated as published, in particular per-1: a Period whose start and end differ in precision within
the same
month, day or minute can't be ordered, comes out empty and fails, as in the reference validator.
"""

from __future__ import annotations

#: (published text, evaluated text); the comment names the constraints.
_ROWS = [
    # ref-1: a Reference without literal reference; "#" alone means the container
    (
        (
            "reference.startsWith('#').not() or (reference.substring(1).trace('url') in %rootResource"
            ".contained.id.trace('ids'))"
        ),
        (
            "reference.empty() or reference = '#' or reference.startsWith('#').not() or (reference.su"
            "bstring(1) in %rootResource.contained.id)"
        ),
    ),
    # bdl-8: an entry without fullUrl
    (
        "fullUrl.contains('/_history/').not()",
        "fullUrl.empty() or fullUrl.contains('/_history/').not()",
    ),
    # adf-0 and its kin on canonical resources: no name; the whole name must match
    (
        "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')",
        "name.empty() or name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')",
    ),
    # ras-2: no probability
    (
        "probability is decimal implies (probability as decimal) <= 100",
        "probability.empty() or (probability is decimal implies (probability as decimal) <= 100)",
    ),
    # que-12: the prose says "more than one"
    (
        "enableWhen.count() > 2 implies enableBehavior.exists()",
        "enableWhen.count() > 1 implies enableBehavior.exists()",
    ),
    # eld-19, eld-20: the whole path must match
    (
        (
            "path.matches('[^\\\\s\\\\.,:;\\\\\\'\"\\\\/|?!@#$%&*()\\\\[\\\\]{}]{1,64}(\\\\.[^\\\\s\\\\.,:"
            ";\\\\\\'\"\\\\/|?!@#$%&*()\\\\[\\\\]{}]{1,64}(\\\\[x\\\\])?(\\\\:[^\\\\s\\\\.]+)?)*')"
        ),
        (
            "path.matches('^[^\\\\s\\\\.,:;\\\\\\'\"\\\\/|?!@#$%&*()\\\\[\\\\]{}]{1,64}(\\\\.[^\\\\s\\\\.,"
            ":;\\\\\\'\"\\\\/|?!@#$%&*()\\\\[\\\\]{}]{1,64}(\\\\[x\\\\])?(\\\\:[^\\\\s\\\\.]+)?)*$')"
        ),
    ),
    (
        "path.matches('[A-Za-z][A-Za-z0-9]*(\\\\.[a-z][A-Za-z0-9]*(\\\\[x])?)*')",
        "path.matches('^[A-Za-z][A-Za-z0-9]*(\\\\.[a-z][A-Za-z0-9]*(\\\\[x])?)*$')",
    ),
]
CORRECTIONS = dict(_ROWS)


def corrected(expression: str) -> str:
    """Return the expression to evaluate for a published one: itself unless it is in CORRECTIONS."""
    return CORRECTIONS.get(expression, expression)
