"""A matplotlib figure as SVG text: reproducible, and safe to inline beside others.

matplotlib numbers its ids from one in every figure, so two figures in one page would share
them and a clip path of the first would cut the second. Every id here gets the figure's name
in front. Text is left as text, in the page's fonts.
"""

from __future__ import annotations

import io
import re
import warnings

from matplotlib.figure import Figure

from workflows.report.style import FONT_STACK

_TAG = re.compile(r"<[^>]*>")  # text and attributes never hold a raw `>`: matplotlib escapes it
_ID = re.compile(r'(\sid="|url\(#|(?:xlink:)?href="#)')
_DIGITS = re.compile(r"(\.\d{3})\d+")  # a thousandth of a point is finer than any screen or printer


def svg_text(figure: Figure, name: str) -> str:
    """Draws the figure into one `<svg>` element.

    Args:
        figure: drawn and saved within the same `figure_style()`.
        name: letters, digits and `_`; prefix of all ids.

    Returns:
        The element, without XML declaration, date or program name: the same figure gives the
        same text.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"figure name {name!r} must be of lower-case letters, digits and _")
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # The layout font lacks some scripts; the reader's browser draws the text itself.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]

    def own_ids(tag: re.Match[str]) -> str:
        renamed = _ID.sub(rf"\g<1>{name}-", tag.group())
        return _DIGITS.sub(r"\1", renamed.replace("'DejaVu Sans'", FONT_STACK))

    return _TAG.sub(own_ids, text).strip() + "\n"


def standalone(svg: str) -> str:
    """The element as a file of its own."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg
