"""All panels of one device, by what kind of device it is."""

from __future__ import annotations

from collections.abc import Callable

from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.polarity import polarity
from cosim.portraits import pulse_device, read_device
from cosim.portraits.loop import fan, sweep
from cosim.portraits.panel import FULL, FULL_SOLVED, Absent, Detail, Panel
from cosim.portraits.switching import pulse_train, switching_curve


def portrait(
    model: CompactModel, numbers: ParameterSet, detail: Detail | None = None
) -> dict[str, Panel]:
    """The panels of a device by name, in the order in which they are drawn.

    A panel that cannot be computed is an `Absent` that says why; it is never left out.

    Args:
        model: the device.
        numbers: its parameter set.
        detail: how finely; None chooses by what the model costs.
    """
    chosen = detail or (FULL_SOLVED if model.internals else FULL)
    return _KINDS[model.kind](model, numbers, chosen)


def _dynamic(model: CompactModel, numbers: ParameterSet, detail: Detail) -> dict[str, Panel]:
    try:
        how = polarity(model, numbers)
    except InputError as error:
        reason = f"{error.what[0].upper()}{error.what[1:]}."
        loop = sweep(model, numbers, detail, 0)
        return {
            "loop": loop,
            "switching": Absent("Switching time", reason),
            "pulses": Absent("Potentiation and depression", reason),
            "variability": fan(model, numbers, detail, loop),
        }
    loop = sweep(model, numbers, detail, how.colour_sign)
    return {
        "loop": loop,
        "switching": switching_curve(model, numbers, how, detail),
        "pulses": pulse_train(model, numbers, how, detail),
        "variability": fan(model, numbers, detail, loop),
    }


def _pulse(model: CompactModel, numbers: ParameterSet, detail: Detail) -> dict[str, Panel]:
    train = pulse_device.weight_train(model, numbers, detail)
    return {
        "pulses": train,
        "steps": pulse_device.step_sizes(model, numbers),
        "alternation": pulse_device.alternation(model, numbers),
        "noise": pulse_device.noise_fan(train),
    }


def _read(model: CompactModel, numbers: ParameterSet, detail: Detail) -> dict[str, Panel]:
    return {
        "drift": read_device.drift(model, numbers, detail),
        "programming": read_device.programming(model, numbers),
        "exponents": read_device.exponents(model, numbers),
        "read_noise": read_device.read_noise(model, numbers),
    }


_KINDS: dict[str, Callable[[CompactModel, ParameterSet, Detail], dict[str, Panel]]] = {
    "dynamic": _dynamic,
    "pulse": _pulse,
    "read": _read,
}
