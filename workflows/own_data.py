"""Data that the command line names, in place of a configuration's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compact_models.errors import InputError
from workflows.config import Config, checked_data


@dataclass(frozen=True)
class OwnData:
    """What `--data`, `--test`, `--label` and `--scale` say; empty where they say nothing."""

    data: Path | None = None
    test: Path | None = None
    label: str = ""
    scale: str = ""

    @property
    def named(self) -> bool:
        """Whether anything is said."""
        return bool(self.data or self.test or self.label or self.scale)


def named_data(config: Config) -> bool:
    """Whether a configuration names data; the default set stands for nobody's."""
    return "data" in config.model_fields_set


def needs_data(config: Config) -> Config:
    """The same configuration, which names data.

    Raises:
        InputError: it names none.
    """
    if not named_data(config):
        raise InputError(
            "no data are named: ranges come from them, and so do the accuracies",
            where="--data",
            hint="give --data FILE --label COLUMN, or [data] in --config",
        )
    return config


def with_data(config: Config, own: OwnData) -> Config:
    """A configuration with what the command line says of data in place of its own.

    Args:
        config: its section [data] fills in what the command line leaves open.
        own: paths are relative to the current folder.

    Raises:
        InputError: options that go with no data, or keys that do not go together.
    """
    if not own.named:
        return config
    values = config.data.model_dump(exclude_unset=True) if named_data(config) else {}
    if own.data is not None:
        values = {key: value for key, value in values.items() if key != "name"}
        values["file"] = str(own.data.resolve())
    elif not values.get("file"):
        raise InputError(
            "these options say something of data, and no data are named",
            where="--test, --label, --scale",
            hint="give --data FILE too",
        )
    if own.test is not None:
        values["test_file"] = str(own.test.resolve())
    values |= {key: value for key, value in (("label", own.label), ("scale", own.scale)) if value}
    try:
        data = checked_data(values, where="--data")
    except InputError as error:
        if not own.scale or "[data] scale" not in error.where:
            raise
        raise error.at("--scale") from error
    return config.model_copy(update={"data": data})
