"""What a study is refused for before anything runs, by whichever command reads it."""

from __future__ import annotations

from workflows.combinations import check_combination
from workflows.config import Config


def check_study(config: Config) -> None:
    """Checks what no single key says; data and network are checked where they are read.

    Raises:
        InputError: the configuration asks for writing that cannot be done, its parts do not go
            together, or its cells cannot have the conductances that they should.
    """
    check_combination(config)
    if config.device.name and config.train.algorithm == "backprop":
        from cosim.network.held_chip import check_range

        check_range(config.hardware)
    elif config.device.name:
        from workflows.cell_device import cells_that_learn

        layers = [config.of_layer(name) for name in config.layer]
        for train, device in (
            (config.train, config.device), *((own.train, own.device) for own in layers)
        ):  # fmt: skip
            cells = cells_that_learn(device, config.cell, config.driver)
            cells.check_pulses(config.pulse, str(getattr(train, "update", "step")))
    if "write" in config.model_fields_set:  # who does not write need not load what writes
        from workflows.write_plan import check_writing

        check_writing(config)
