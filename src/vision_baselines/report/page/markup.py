"""HTML that cannot be broken from inside: text is escaped unless it is `Html` already.

Rejected: Jinja2, which comes along with torch only; a page must be made on machines without.

>>> element("p", "a < b & ", element("b", "c"), title='"x"')
'<p title="&quot;x&quot;">a &lt; b &amp; <b>c</b></p>'
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from vision_baselines.comparison.formatting import printable

_VOID = frozenset({"meta", "link", "img", "br", "hr", "col"})


class Html(str):
    """Markup that is safe to place into a page as it is."""

    __slots__ = ()


def text(content: object) -> Html:
    """`content` as it is if it is `Html`, else as characters that mean nothing to a browser."""
    return content if isinstance(content, Html) else Html(escape(printable(content), quote=True))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """An element; an attribute's trailing underscore is dropped, others become hyphens; None leaves it out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(printable(value), quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(parts: Iterable[object]) -> Html:
    """`parts` one after the other."""
    return Html("".join(text(part) for part in parts))


def table(
    heads: Sequence[object], rows: Iterable[Sequence[object]], *, text_columns: int = 1, narrow: bool = False
) -> Html:
    """A table in a frame that scrolls sideways where it is wider than the page.

    Args:
        heads: Cells of the head.
        rows: Cells of each row.
        text_columns: How many columns at the left hold text; the others are aligned as numbers.
        narrow: Take no more width than the cells need.
    """

    def cells(tag: str, row: Sequence[object]) -> Html:
        return joined(
            element(tag, cell, class_=None if column < text_columns else "number") for column, cell in enumerate(row)
        )

    head = element("thead", element("tr", cells("th", heads)))
    body = element("tbody", *(element("tr", cells("td", row)) for row in rows))
    return element(
        "div",
        element("table", head, body, class_="narrow" if narrow else None),
        class_="wide",
        tabindex="0",
        role="region",
    )


def folded(summary: str, *children: object, opened: bool = False) -> Html:
    """Content behind a line that opens it."""
    return element("details", element("summary", summary), *children, open="" if opened else None)


def png_source(content: bytes) -> str:
    """A PNG as the source of an image."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
