"""How an emitted device is put into a deck of one's own: comments for the top of its file."""

from __future__ import annotations

from compact_models.emit.ngspice import state_node
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State

# With ngspice's own tolerances a filament that switches within picoseconds ends the run, or worse,
# overshoots its bound by a third of its range. These are the options of `spiceloop device run`, as
# tight as a whole circuit can have them.
OPTIONS = (
    ".option method=gear reltol=1e-5 abstol=1e-15 vntol=1e-9 chgtol=1e-8"
    " itl4=100 gmin=1e-15 trtol=1"
)
_STEPS = 2000  # of a sweep


def how_to_use(
    model: CompactModel, numbers: ParameterSet, block: str, *, compiled: bool
) -> list[str]:
    """The comments, line by line, without the mark of a comment."""
    if not model.states:
        return [f"use: x1 p n {block}", *_read_only(model)]
    # The period with all digits, rounded it falls out of step; a step is no more than a limit.
    stop, step = float(numbers.period_s), float(numbers.period_s) / _STEPS
    states = [_state(state, numbers, compiled=compiled) for state in model.states]
    if compiled:
        use = [
            "compile: openvaf-r FILE.va -o FILE.osdi (spiceloop check says where it is)",
            "load: pre_osdi FILE.osdi (a line of .control, ngspice 42 and later)",
            f"use: n1 p n card, with .model card {block}",
        ]
    else:
        use = [f"use: x1 p n {block}"]
    return [
        *use,
        *_read_only(model),
        "     current flows into p at a positive voltage",
        f"run: .tran {step:g} {stop!r} 0 {step:g}",
        f"     {OPTIONS}",
        "     longest step: at most a 2000th of a sweep and a 50th of a pulse",
        ".tran (with uic or without), .op and .ac begin in the states <state>_0",
        "not for .dc: ngspice takes the swept value for the time there, and the states run away",
        *(f"state: {one}" for one in states),
    ]


def _read_only(model: CompactModel) -> list[str]:
    """What no voltage does to a device that is only programmed and read."""
    if model.kind != "read":
        return []
    return [
        "read only: no voltage writes this device; its conductance is what it was programmed to,",
        "     set for each instance, and drifts with time alone",
    ]


def _state(state: State, numbers: ParameterSet, *, compiled: bool) -> str:
    node = "v(n1#n_s_" + state.name + ")" if compiled else f"v(x1.{state_node(state)})"
    size = state.scale.xreplace(
        {x: numbers.values[x.name] for x in state.scale.free_symbols if isinstance(x, Parameter)}
    )
    what = f"{state.name}, in units of {float(size):g} {state.unit}"
    if state.lower is not None:
        what = f"{state.name}, 0 to 1 from its lower to its upper bound"
        if state.log:
            what += ", along its logarithm"
    return f"{node} is {what}" + (", counted from where it starts" if compiled else "")
