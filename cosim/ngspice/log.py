"""Reading ngspice's log: what went wrong, on which line of the deck, and the `.meas` results.

All patterns are anchored at the words that ngspice itself puts at the start of a line. A search for
"error" anywhere would hit a node of that name in the table of node voltages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Files = Mapping[str, str | bytes]

# The analysis could not be solved, whatever the exit code says.
_STUCK = re.compile(
    r"^(?:doAnalyses:.*(?:timestep too small|iteration limit|no convergence|too many iterations).*"
    r"|(?:Error: |Warning: )?(?:Transient op failed|DC solution failed|no convergence)\b.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_DO_ANALYSES = re.compile(r"^doAnalyses:.*$", re.IGNORECASE | re.MULTILINE)
# What usually lies behind a failed analysis, the most telling first.
_CAUSES = (
    re.compile(r"^Error: .*out of range for .*(?:\n\s+in line \S+)?", re.MULTILINE),
    re.compile(r"^Warning: singular matrix:.*$", re.IGNORECASE | re.MULTILINE),
    re.compile(r"^Warning: (?:source|\w+ gmin) stepping failed.*$", re.IGNORECASE | re.MULTILINE),
)

_ERROR_LINE = re.compile(
    r"^\s*(?:(?:fatal |internal )?error(?:\s*:|\s+on line|\s+in |!)|undefined parameter \[)",
    re.IGNORECASE,
)
# ngspice tries one way to an operating point after the other; the solution that it ends with obeys
# the same criteria, whichever way found it.
_STEPPING_FAILED = re.compile(r"^Warning:.*stepping failed", re.IGNORECASE)
_STEPPING_DONE = re.compile(r"^(?:Note|Warning):.*stepping completed", re.IGNORECASE)
# Lines after which the numbers are not those of the circuit that was meant, the most telling first.
_DISTRUSTED = (
    re.compile(r"^Warning:.*instance line, ignored", re.IGNORECASE),
    re.compile(r"^Warning: redefinition of .*ignored", re.IGNORECASE),
    re.compile(r"^Warning, can't find model", re.IGNORECASE),
    re.compile(r"^Warning: Value of resistor \S+ is too small", re.IGNORECASE),
    re.compile(r"^Warning: \S+: resistance to+ low", re.IGNORECASE),
    re.compile(r"^Warning:\s+singular matrix:", re.IGNORECASE),
    # An operating point by transient is where a decaying circuit happened to be, not a solution.
    re.compile(r"^Note:\s+Transient op started", re.IGNORECASE),
    _ERROR_LINE,
    _STEPPING_FAILED,
    re.compile(r"^\s*run simulation\(s\) aborted", re.IGNORECASE),
    re.compile(r"^\s*Simulation interrupted", re.IGNORECASE),
)
_ANY_DISTRUSTED = re.compile(
    "|".join(f"(?:{pattern.pattern})" for pattern in _DISTRUSTED), re.IGNORECASE
)
_NOISE = re.compile(r"^\s*(?:Note:|Simulation interrupted|Circuit:|Error: there aren't)", re.I)

_LONGEST, _KEPT = 400, 180  # characters of a message, and of each of its ends if it is longer

# "in line no. 6 from file ./my.cir": the lines of an included file as it stands. Some versions
# write the name with the quotation marks that it has in the deck, or with one of them.
_FROM_FILE = re.compile(
    r"\s*/?\s*in line no\. (\d+) from file \"?(?:\./)?([^\s\"]+)\"?", re.IGNORECASE
)
_SECTION = re.compile(r"^\s*\.endl\b", re.IGNORECASE | re.MULTILINE)
_UNDEFINED = re.compile(r"undefined parameter \[([^\]\s]+)\]", re.IGNORECASE)
_LINE_NUMBER = re.compile(r"\bline (?:no\.? )?(\d+)", re.IGNORECASE)
_FLATTENED = re.compile(r"(?<![\w.])[a-z]\.(?:\w+\.)+(\w+)")
# What ngspice says of the machine at the end of every run.
_ACCOUNT = re.compile(
    r"^\s*(?:(?:Total DRAM|DRAM currently) available|(?:Maximum|Current) ngspice program size"
    r"|Shared ngspice pages|Text \(code\) pages|Stack|Library pages)\s*=",
)
_NAMED = re.compile(r"\[([^\]\s]+)\]|'([^']+)'|include file (\S+)")
_MEASURE_TITLE = re.compile(r"^\s*Measurements for ", re.IGNORECASE)
_MEASURE = re.compile(r"^(\S+)\s+=\s+(\S+)")


def convergence_failure(log_text: str) -> str:
    """The sentence about an analysis that could not be solved; empty when there is none."""
    stuck = _STUCK.search(log_text)
    if stuck is None:
        return ""
    analysis = _DO_ANALYSES.search(log_text)
    parts = [(analysis or stuck).group(0)]
    cause = next((hit for pattern in _CAUSES if (hit := pattern.search(log_text))), None)
    if cause is not None:
        parts.append(cause.group(0))
    return "; ".join(_one_line(part) for part in parts)


def first_error(log_text: str, deck_text: str, files: Files | None = None) -> str:
    """The first error in the log with the line it belongs to; empty when there is none.

    Args:
        log_text: the log.
        deck_text: the deck.
        files: those beside it, by name.
    """
    lines = log_text.splitlines()
    for number, line in enumerate(lines):
        if _ERROR_LINE.match(line):
            return _with_place(lines[number : number + 4], deck_text, files or {})
    return ""


def excerpt(log_text: str, count: int) -> list[str]:
    """The line that says what went wrong, and then the last `count` of the log.

    What ngspice says of the machine's memory is left out.
    """
    lines = [line for line in log_text.splitlines() if line.strip() and not _ACCOUNT.match(line)]
    first = next(
        (k for k, line in enumerate(lines) if _ERROR_LINE.match(line) or _STUCK.match(line)), None
    )
    if first is None:
        first = next((k for k, line in enumerate(lines) if _ANY_DISTRUSTED.match(line)), None)
    rest = range(max(0, len(lines) - count), len(lines))
    if first is None:
        return [lines[k] for k in rest]
    return [lines[first], *(lines[k] for k in rest if k != first)]


def distrusted_line(
    log_text: str, deck_text: str, tolerated: tuple[str, ...], files: Files | None = None
) -> str:
    """The most telling log line after which the results cannot be believed; empty when none.

    Args:
        log_text: the log.
        deck_text: the deck, to name the line in it.
        tolerated: pieces of lines that the deck accepts, in any case.
        files: those beside the deck, by name.
    """
    lines = log_text.splitlines()
    accepted = [piece.lower() for piece in tolerated]
    done = max((n for n, line in enumerate(lines) if _STEPPING_DONE.match(line)), default=-1)
    suspects = [
        number
        for number, line in enumerate(lines)
        if _ANY_DISTRUSTED.match(line)
        and not any(piece in line.lower() for piece in accepted)
        and not (number < done and _STEPPING_FAILED.match(line))
    ]
    for pattern in _DISTRUSTED:
        for number in suspects:
            if pattern.match(lines[number]):
                return "log: " + _with_place(lines[number : number + 4], deck_text, files or {})
    return ""


def measure_failure(log_text: str, name: str) -> str:
    """What the log says about a `.meas` that gave no number; empty when nothing."""
    pattern = re.compile(
        rf"^\s*Error: measure\s+{re.escape(name)}\s.*$", re.IGNORECASE | re.MULTILINE
    )
    hit = pattern.search(log_text)
    return _one_line(hit.group(0)) if hit else ""


def parse_measures(log_text: str) -> dict[str, float]:
    """The `.meas` results by name in lower case; those that failed are absent."""
    found: dict[str, float] = {}
    inside = False
    for line in log_text.splitlines():
        if _MEASURE_TITLE.match(line):
            inside = True
            continue
        hit = _MEASURE.match(line) if inside else None
        if hit is not None:
            try:
                found[hit.group(1).lower()] = float(hit.group(2))
            except ValueError:
                continue  # "failed" stands where the number should be
    return found


def solver_used(log_text: str) -> str:
    """`KLU` or `Sparse`: the linear solver that the run really used; empty if it got to none."""
    if "Using KLU as Direct Linear Solver" in log_text:
        return "KLU"
    return "Sparse" if "Doing analysis at" in log_text else ""


def _with_place(lines: list[str], deck_text: str, files: Files) -> str:
    """The first of `lines` with the lines that belong to it and the place in the deck or a file."""
    kept = [lines[0].strip()]
    for line in lines[1:]:
        announced = kept[-1].endswith(":")  # "Error in netlist line no. 5:" says it on the next
        if not line.strip():
            if len(kept) > 1:
                break
            continue
        if _NOISE.match(line) or (_ANY_DISTRUSTED.match(line) and not announced):
            break
        if announced or line[0].isspace() or len(kept) > 1:
            kept.append(line.strip())
    texts = {name: text for name, text in files.items() if isinstance(text, str)}
    message = _one_line(" / ".join(kept))
    undefined = _UNDEFINED.search(message)
    said = _why_undefined(undefined[1], deck_text, texts) if undefined else ""
    told = _FROM_FILE.search(message)
    if told is not None and told[2] in texts:
        message = message[: told.start()] + message[told.end() :]
        return f"{_short(message)}{said} ({_line_of(texts[told[2]], told[2], int(told[1]))})"
    message = f"{_short(message)}{said}"
    place = _deck_line(kept, deck_text)
    if place:
        text = _one_line(deck_text.splitlines()[place - 1])
        echoed = any(_one_line(line).lower().endswith(text.lower()) for line in kept[:1])
        echoed |= any(_one_line(line).lower() == text.lower() for line in kept)
        shown = "" if echoed else f": {_short(text)}"
        return f"{message} (deck line {place}{shown})"
    # Of its own flattened netlist: it is no number of a line that anybody has.
    message = _LINE_NUMBER.sub(r"\g<0> of ngspice's own flattened netlist", message, count=1)
    found = [(name, at) for name, text in texts.items() if (at := _deck_line(kept, text))]
    # Two files that both could be meant say nothing, but who uses a parameter first needs it.
    if len(found) == 1 or (found and undefined):
        name, at = found[0]
        return f"{message} ({_line_of(texts[name], name, at)})"
    return message


def _line_of(text: str, name: str, number: int) -> str:
    """Names a line of a file beside the deck, with its text.

    Files stand there as the user wrote them, but of a library the sections that are not asked for
    are left out: its lines have other numbers.
    """
    lines = text.splitlines()
    file = f"the deck's copy of {name}" if _SECTION.search(text) else name
    shown = f": {_short(_one_line(lines[number - 1]))}" if 0 < number <= len(lines) else ""
    return f"line {number} of {file}{shown}"


def _why_undefined(name: str, deck_text: str, texts: Mapping[str, str]) -> str:
    """What became of a parameter that ngspice does not know."""
    defined = re.compile(rf"(?<![\w.]){re.escape(name)}\s*=(?!=)", re.IGNORECASE)
    everything = {"the deck": deck_text, **texts}
    places = [file for file, text in everything.items() if defined.search(text)]
    if places:
        return f", which {places[0]} defines where it does not reach"
    return ", which neither the deck nor a file beside it defines: is an include missing?"


def _deck_line(message: list[str], deck_text: str) -> int:
    """The number of the deck line that a message is about, counted from 1; 0 if unknown.

    ngspice counts the lines of a netlist of its own, after it has expanded parameters, blocks and
    continuation lines, so what it echoes is looked for: the line, an element of a block by its
    name, or what the message names.
    """
    deck = [_one_line(line).lower() for line in deck_text.splitlines()]
    whole = [_one_line(line).lower() for line in message]
    for part in [*whole, *(line.rpartition(": ")[2] for line in whole)]:
        # The last one, because of two equal names the later is the one that is refused.
        hits = [place for place, line in enumerate(deck, 1) if line and line == part]
        if hits:
            return hits[-1]
    text = " ".join(whole)
    for name in _FLATTENED.findall(text):  # q.xs.q is an element q of a block
        hits = [place for place, line in enumerate(deck, 1) if line.split(" ")[0] == name]
        if len(hits) == 1:
            return hits[0]
    for groups in _NAMED.findall(text):
        word = _one_line("".join(groups))
        hits = [place for place, line in enumerate(deck, 1) if _holds(line, word)]
        if hits:
            return hits[0]
    return 0


def _holds(line: str, word: str) -> bool:
    return not line.startswith("*") and bool(
        re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", line)
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    """`text` without its middle where it is long: ngspice quotes sources of thousands of points."""
    return text if len(text) <= _LONGEST else f"{text[:_KEPT]} ... {text[-_KEPT:]}"
