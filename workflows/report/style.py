"""How every figure looks: one palette, one type size, one width.

A fidelity has the same colour and name in every figure and on the page. The colours come
from the palette of Okabe and Ito ("Color Universal Design", 2008), which stays apart for
colour-blind readers and in grey print; SPICE, the reference, is ink.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

WIDTH_IN = 9.6
"""Width of every figure, in inches: the text column of the page (at 96 px an inch)."""

INK = "#1b1f24"
MUTED = "#5b6570"
RULE = "#c9ced4"
GRID = "#eceef1"
FAILED = "#b0307a"
"""Anything without a valid SPICE result."""

FIDELITY_COLOUR = MappingProxyType(
    {"ideal": "#d55e00", "surrogate": "#0072b2", "exact": "#009e73", "spice": INK}
)
FIDELITY_MARKER = MappingProxyType({"ideal": "s", "surrogate": "o", "exact": "^", "spice": "D"})
FIDELITY_NAME = MappingProxyType(
    {"ideal": "Ideal", "surrogate": "Surrogate", "exact": "Exact", "spice": "SPICE"}
)
FONT_STACK = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
"""The page's and the figures' fonts. Figures are laid out with DejaVu Sans, which comes with
matplotlib and is the widest of these: what fits there fits everywhere."""

_STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,  # names come from users: a `$` is a dollar sign
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "image.interpolation": "none",
    "hatch.linewidth": 0.6,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: sharp, searchable, readable aloud
    "svg.hashsalt": "spiceloop",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The style, for drawing and for saving; a reader's own matplotlib settings play no part."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def percent_axis(ax: Axes, axis: str = "y") -> None:
    """Shows an axis that holds shares (0..1) in percent."""

    def percent(value: float, _position: int) -> str:
        return f"{100 * value:.6g} %"

    (ax.yaxis if axis == "y" else ax.xaxis).set_major_formatter(FuncFormatter(percent))


def aside(ax: Axes, words: str) -> None:
    """Numbers of a panel, right of its title: inside it they would lie on what is drawn."""
    ax.set_title(words, loc="right", color=MUTED, fontsize=8.0, weight="normal")


def key_below(ax: Axes, columns: int) -> None:
    """The key to the lines of a panel, below it, where nothing is drawn."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, borderaxespad=0)
