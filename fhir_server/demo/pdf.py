"""One-page PDF files of a few lines: what the reports of the demo and of the examples are.

ISO 32000-1 (PDF 1.7), section 7.5: header, objects, cross-reference table, trailer.
"""

from __future__ import annotations

from collections.abc import Iterable

#: From the page's upper edge, and between two lines, in points.
_TOP, _LEADING = 780, 16
_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
_PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"


def pdf(lines: Iterable[str]) -> bytes:
    """Return an A4 page with these lines (characters of Windows-1252; others become "?")."""
    shown = b"".join(b"(" + _escaped(line) + b") Tj T* " for line in lines)
    content = b"BT /F1 12 Tf 56 %d Td %d TL %sET" % (_TOP, _LEADING, shown)
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        _PAGE,
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        _FONT,
    )
    body = b"%PDF-1.4\n"
    places = [b"0000000000 65535 f \n"]
    for number, written in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, written)
    size = len(places)
    return (
        body
        + b"xref\n0 %d\n" % size
        + b"".join(places)
        + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    )


def _escaped(line: str) -> bytes:
    text = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return text.encode("cp1252", "replace")
