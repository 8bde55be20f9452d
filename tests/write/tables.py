"""Update surrogates for tests: a table that several tests need is measured once in a session."""

from __future__ import annotations

from compact_models.model import CompactModel, ParameterSet
from cosim.surrogate.update import UpdateSurrogate
from cosim.tables.cache import cached_update, updates_folder
from cosim.tables.layout import QUICK, Effort
from netlists.pulse import Pulse


def kept_table(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    range_v: tuple[float, float],
    effort: Effort = QUICK,
) -> UpdateSurrogate:
    """The table of a device and a pulse, as `calibrate_update` makes it, of torch."""
    folder = updates_folder()
    return cached_update(
        model, parameter_set, pulse, range_v, folder=folder, effort=effort
    ).surrogate
