"""Which sign of a pulse raises a device's conductance, and the refusal of the other one."""

from __future__ import annotations

from compact_models.errors import InputError
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_level import sign_that_raises
from cosim.write.verify import MeanDevice


def check_polarity(
    device: MeanDevice,
    surrogate: UpdateSurrogate,
    raises: tuple[str, float | None],
    lowers: tuple[str, float | None],
) -> None:
    """Refuses amplitudes whose polarity does the opposite of what they are given for.

    Args:
        device: the mean device as it is read.
        surrogate: of pulses in both directions.
        raises: what the user calls the amplitude that raises a conductance, and its level [V]; None
            was not given.
        lowers: the same of the one that lowers it.

    Raises:
        InputError: one of them has the sign of the other.
    """
    sign = sign_that_raises(surrogate) * (1 if device.rises else -1)
    for (name, value), good in ((raises, sign), (lowers, -sign)):
        if value is not None and value * good < 0:
            raise InputError(
                f"this polarity does the opposite to {device.name!r}",
                where=name,
                value=value,
                allowed="above 0 V" if good > 0 else "below 0 V",
                hint="change the sign of both amplitudes",
            )
