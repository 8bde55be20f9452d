"""`spiceloop device list` and `device netlist`: what models there are, and their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compact_models.emit.ngspice import subcircuit
from compact_models.emit.verilog_a import module
from compact_models.errors import InputError, closest
from compact_models.files import check_place, write_text_atomic
from compact_models.library import (
    Problems,
    all_models,
    all_sets,
    check_device_folder,
    find_model,
    find_set,
    sets_of_no_model,
)
from workflows.device.table import line_width, wrapped
from workflows.device.usage import how_to_use

LANGUAGES = {"b": subcircuit, "verilog-a": module}
# A file of one kind under the other's usual name would be fed to the wrong program.
SUFFIXES = {
    "b": frozenset({".cir", ".ckt", ".inc", ".lib", ".net", ".sp", ".spi", ".spice", ".sub"}),
    "verilog-a": frozenset({".va", ".vams"}),
}


def list_models() -> tuple[dict[str, Any], list[str]]:
    """Every model with its states and parameter sets, as an object and as lines of text.

    What is wrong with a file of the device folder is under `problems` and keeps nothing else away.
    """
    models: list[dict[str, Any]] = []
    lines: list[str] = []
    width = line_width()
    problems = Problems()
    known = all_models(problems)
    sets_of_no_model(known, problems)
    for model in known.values():
        sets = all_sets(model, problems).values()
        states = [state.name for state in model.states]
        models.append(
            {
                "name": model.name,
                "title": model.title,
                "states": states,
                "kind": model.kind,
                "parameter_sets": [
                    {"name": one.name, "source": one.credit, "confirmed": one.confirmed}
                    for one in sets
                ],
            }
        )
        heading = f"{model.name}: {model.title}; {model.kind}; states {', '.join(states)}"
        lines += wrapped(heading, width)
        for one in sets:
            lines += wrapped(f"{one.name}: {one.credit}", width, indent=4)
    sentences = [problems[path].sentence() for path in sorted(problems)]
    return {"models": models, "problems": sentences}, lines


def write_netlist(name: str, set_name: str | None, form: str, out: Path) -> dict[str, Any]:
    """Writes a device as text: a subcircuit of B sources, or a Verilog-A module.

    Args:
        name: a model's name or the path of its file.
        set_name: a parameter set's name or path; None is the model's first.
        form: `b` or `verilog-a`.
        out: the file to write.

    Raises:
        InputError: a name cannot be used or the file cannot be written.
    """
    if not form.strip():
        raise InputError("the value is missing", where="--form", allowed=", ".join(LANGUAGES))
    if form not in LANGUAGES:
        raise InputError(
            "no such choice",
            where="--form",
            value=form,
            allowed=", ".join(LANGUAGES),
            hint=closest(form, LANGUAGES),
        )
    _check_suffix(form, out)
    check_device_folder(may_be_missing=True)  # what is bundled needs none
    model = find_model(name)
    numbers = find_set(model, set_name)
    block = f"{model.name}_{numbers.name}".replace("-", "_")
    check_place(out, "--out")
    compiled = form == "verilog-a"
    usage = how_to_use(model, numbers, block, compiled=compiled)
    mark = "//" if compiled else "*"
    head = "".join(f"{mark} {line}\n" for line in usage)
    write_text_atomic(out, head + LANGUAGES[form](model, numbers, block))
    return {"out": str(out), "block": block, "source": numbers.credit, "usage": usage}


def _check_suffix(form: str, out: Path) -> None:
    """Refuses a file whose name says that it is of another form."""
    other = next(
        (one for one in SUFFIXES if one != form and out.suffix.lower() in SUFFIXES[one]), ""
    )
    if other:
        usual = ".va" if form == "verilog-a" else ".cir"
        raise InputError(
            f"a file of this name is of the form {other!r}, not {form!r}",
            where="--out",
            value=str(out),
            hint=f"name it {out.with_suffix(usual).name}, or ask for --form {other}",
        )
