"""Configuration files: TOML, checked whole before anything runs.

The sections of a chip are the parameter sets of the blocks themselves, so that a key, its unit
and its bounds are written once, beside the block's equation.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from compact_models.errors import InputError
from compact_models.ohmic import OhmicCell
from compact_models.spec import Spec
from compact_models.toml_syntax import find_slip
from cosim.array.device_spec import DeviceSpec
from cosim.training.backprop_spec import BackpropSpec
from cosim.training.train_spec import TrainSpec
from netlists.adcs.quantiser import AdcSpec
from netlists.backward.spec import BackwardSpec
from netlists.drivers.level import DriverSpec
from netlists.hardware import Hardware, TileSpec
from netlists.neurons.spec import NeuronSpec
from netlists.readout.tia import TiaSpec
from netlists.update.spec import PulseSpec
from netlists.wires import Wires
from workflows import config_errors
from workflows.cell_device import (
    cell_device,
    cells_that_learn,
    found_device,
    raising_sign_of,
    with_places,
)
from workflows.layer_sections import LayerSpec, Tables, by_path, layer_spec, within
from workflows.own_blocks import BlocksSpec, OwnBlocks, load_blocks
from workflows.wires_file import ReadWires, WiresSpec, load_wires

# TOML has lists, a frozen parameter set holds a tuple.
_Widths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65536)], ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]


class StudySpec(Spec):
    """What every random draw starts from."""

    seed: int = Field(0, ge=0, lt=2**63, description="seed of the study")
    sample: int = Field(0, ge=0, lt=2**31, description="which chip of the study")


# A column is named or counted: -1 and "-1" are one.
_Column = Annotated[
    str,
    BeforeValidator(
        lambda value: (
            str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        )
    ),
]


class DataSpec(Spec):
    """What is learnt."""

    name: Literal["digits", "iris", "wine", "breast_cancer", "file"] = Field(
        "digits", description="a set that comes inside scikit-learn; `file` names others"
    )
    file: str = Field(
        "",
        description="a .csv, one sample a line, or an .npz with x [sample, feature] and labels y;"
        " beside the configuration",
    )
    label: _Column = Field(
        "",
        description="of a .csv: the label's column, by its name or its number from 0, -1 the last;"
        " of an .npz: the array of labels if it is not y",
    )
    test_file: str = Field(
        "", description="held-out samples, a file like the first; without it that one is cut"
    )
    test_share: float = Field(
        0.25, gt=0, lt=1, description="share of samples that only measure, without a test_file"
    )
    scale: Literal["none", "minmax", "standard", "range"] = Field(
        "minmax",
        description="fitted to the training share, docs/own_network.md; of a file none if nothing"
        " is said",
    )

    @property
    def noun(self) -> str:
        """What one of these data is called: an image, a row of a table, or a sample."""
        if self.name == "digits":
            return "image"
        return "row" if self.file.lower().endswith(".csv") else "sample"

    @model_validator(mode="before")
    @classmethod
    def _file_says_it(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("file"):
            return {"name": "file", "scale": "none"} | values
        return values

    @field_validator("file", "test_file")
    @classmethod
    def _is_a_path(cls, file: str) -> str:
        if "\0" in file:
            raise ValueError("a file name has no null characters")
        return file

    @model_validator(mode="after")
    def _file_goes_with_its_name(self) -> Self:
        if bool(self.file) != (self.name == "file"):
            raise ValueError(
                f'name = "{self.name}" and file = "{self.file}" are two sets of data: name one'
                if self.file
                else 'name = "file" needs the file: file = "your.csv"'
            )
        for key in ("label", "test_file"):
            if getattr(self, key) and not self.file:
                raise ValueError(f'{key} belongs to data of your own: file = "your.csv"')
        return self


class NetworkSpec(Spec):
    """The network between the data's features and its classes."""

    module: str = Field(
        "",
        description="of your own: my_net.py:make, beside the configuration; make returns a torch"
        " module, from whose weights training starts; the other keys stay as they are",
    )

    hidden: _Widths = Field((32,), max_length=16, description="neurons per hidden layer")
    activation: Literal["relu", "tanh", "sigmoid"] = Field(
        "relu", description="after each hidden layer"
    )
    bias: bool = Field(True, description="one more word line a layer, always driven with 1")

    @field_validator("module")
    @classmethod
    def _is_a_target(cls, module: str) -> str:
        if module and (".py:" not in module or "\0" in module):
            raise ValueError(
                'a network of your own is named by its file and its factory: "my_net.py:make"'
            )
        return module

    @model_validator(mode="after")
    def _module_says_it(self) -> Self:
        for key in ("hidden", "activation", "bias"):
            if self.module and getattr(self, key) != NetworkSpec.model_fields[key].default:
                raise ValueError(f"{key} and module are two networks: leave one of them out")
        return self


class CalibrationSpec(Spec):
    """How the surrogate is fitted."""

    arrays: int = Field(3, ge=1, le=1000, description="arrays per tile shape to fit to")
    held_out_arrays: int = Field(2, ge=1, le=1000, description="arrays that measure the error")


class VerifySpec(Spec):
    """How a trained network is verified."""

    images: int = Field(200, ge=1, le=10_000_000, description="held-out images through ngspice")


class WriteSpec(Spec):
    """How the trained network is written into dynamic cells, by write-verify."""

    device: str = Field(
        "", description="the cells' compact model; empty: that of [device], or stanford"
    )
    parameters: str = Field(
        "", description="its parameter set; empty: that of [device], or sky130 of stanford"
    )
    amplitude_v: float = Field(
        1.6,
        ge=-100,
        le=100,
        description="usual pulse that raises a conductance [V]; left as it is, both have the signs"
        " that the cells of [device] need",
    )
    amplitude_down_v: float = Field(
        -1.6, ge=-100, le=100, description="usual pulse that lowers it [V]"
    )
    width_s: float = Field(5e-8, gt=0, le=10, description="length of a pulse [s]")
    scheme: str = Field("v3", description="what the other lines carry: v2 or v3")
    at_once: int = Field(
        4, ge=1, le=65536, description="cells of a row in one pulse; many starve each other"
    )
    levels: int = Field(
        32, ge=2, le=65536, description="conductances to tell apart; half a step is met"
    )
    most_pulses: int = Field(20, ge=1, le=10_000, description="for one cell in one round")
    rounds: int = Field(
        3, ge=1, le=100, description="times that what is not met is tried, each with fewer at once"
    )
    sigma_switching: float = Field(
        0.03, ge=0, le=0.3, description="spread of switching voltages from cell to cell, of ln V"
    )
    sigma_step: float = Field(
        0.1, ge=0, le=2, description="spread of a step from pulse to pulse, of the step"
    )


class SimulatorSpec(Spec):
    """How ngspice is run."""

    jobs: int = Field(0, ge=0, le=4096, description="decks at a time; 0 is one per core")


def _by_algorithm(values: Any) -> Any:
    """The table [train], checked by the keys of its own algorithm."""
    if not isinstance(values, dict):
        return values
    return config_errors.train_class(values).model_validate(values, strict=True)


class Config(Spec):
    """A whole study: chip, data, network and how to train and verify it."""

    study: StudySpec = StudySpec()
    data: DataSpec = DataSpec()
    network: NetworkSpec = NetworkSpec()
    cell: OhmicCell = OhmicCell()
    wires: WiresSpec = WiresSpec()
    tile: TileSpec = TileSpec()
    driver: DriverSpec = DriverSpec()
    tia: TiaSpec = TiaSpec()
    neuron: NeuronSpec = NeuronSpec()
    adc: AdcSpec = AdcSpec()
    backward: BackwardSpec = BackwardSpec()
    pulse: PulseSpec = PulseSpec()
    calibration: CalibrationSpec = CalibrationSpec()
    train: Annotated[SerializeAsAny[TrainSpec], BeforeValidator(_by_algorithm)] = BackpropSpec()
    device: DeviceSpec = DeviceSpec()
    layer: Annotated[Tables, BeforeValidator(by_path)] = Field(
        {}, description="keys of one layer, [layer.NAME], by its module path"
    )
    verify: VerifySpec = VerifySpec()
    write: WriteSpec = WriteSpec()
    blocks: BlocksSpec = BlocksSpec()
    simulator: SimulatorSpec = SimulatorSpec()
    # What the files of [blocks] and [wires] say; `with_files` reads them.
    _own: OwnBlocks | None = PrivateAttr(None)
    _wires: ReadWires | None = PrivateAttr(None)

    @field_validator("layer")
    @classmethod
    def _layers_can_be(cls, tables: Tables, info: ValidationInfo) -> Tables:
        if {"train", "device"} <= info.data.keys():  # else they are refused themselves
            for name, own in tables.items():
                try:
                    layer_spec(info.data["train"], info.data["device"], own)
                except ValidationError as error:
                    raise within(error, name) from error
        return tables

    def of_layer(self, name: str) -> LayerSpec:
        """How a layer is trained and what its cells are.

        Args:
            name: its module path.
        """
        return layer_spec(self.train, self.device, self.layer.get(name, {}))

    @property
    def writing(self) -> WriteSpec:
        """How the network is written, with the device that it is written into.

        That of `[write]`, else that of `[device]`, else stanford sky130. Pulses that nobody has
        named are of the polarity that writes the cells of `[device]`.
        """
        device, own = self.write.device, self.write.parameters
        if not device:
            device = self.device.name or "stanford"
            own = own or (self.device.parameters if self.device.name else "sky130")
        elif device == self.device.name:
            own = own or self.device.parameters
        found = self.write.model_copy(update={"device": device, "parameters": own})
        default = WriteSpec()
        levels = found.amplitude_v, found.amplitude_down_v
        if self.device.name != device or levels != (default.amplitude_v, default.amplitude_down_v):
            return found
        # As `[pulse]` has it: which sign raises a conductance is the device's.
        sign = raising_sign_of(self.device.model_copy(update={"parameters": own}))
        up_v, down_v = sign * default.amplitude_v, sign * default.amplitude_down_v
        return found.model_copy(update={"amplitude_v": up_v, "amplitude_down_v": down_v})

    def with_files(self, folder: Path, *, where: str) -> Config:
        """The same study with the files of its blocks and wires read.

        Args:
            folder: what their paths are relative to.
            where: the configuration, for messages.

        Raises:
            InputError: a block or a file of wires cannot be used.
        """
        made = self.model_copy()
        made._own = load_blocks(self.blocks, folder, where)
        made._wires = load_wires(self.wires, self.tile, folder, where)
        return made

    @property
    def read_wires(self) -> ReadWires | None:
        """Wires of single lines and segments, read; None where all are equal.

        Raises:
            InputError: there is a file of them, and nobody has read it.
        """
        if self.wires.file and self._wires is None:
            raise InputError(
                "the file of these wires has not been read",
                where="[wires] file",
                hint="load the configuration with load_config, or call with_files",
            )
        return self._wires

    @property
    def own_blocks(self) -> OwnBlocks | None:
        """The user's own blocks, read; None where there are none.

        Raises:
            InputError: there are, and nobody has read them.
        """
        if self.blocks.roles and self._own is None:
            raise InputError(
                "the files of these blocks have not been read",
                where="[blocks]",
                hint="load the configuration with load_config, or call with_files",
            )
        return self._own

    @property
    def hardware(self) -> Hardware:
        """The chip's part of the configuration."""
        own, read = self.own_blocks, self.read_wires
        equal = Wires(self.wires.r_wordline_ohm, self.wires.r_bitline_ohm)
        return Hardware(
            cell=self._cell_of_device() or self.cell,
            wires=equal if read is None else read.wires,
            tile=self.tile,
            driver=self.driver,
            tia=self.tia,
            neuron=self.neuron,
            adc=self.adc,
            backward=self.backward,
            pulse=self.pulse,
            blocks={} if own is None else own.blocks,
            device=cell_device(self.device),
            cells=self._cells_of_layers(),
        )

    def _cells_of_layers(self) -> dict[str, OhmicCell]:
        """Of layers whose pulse devices are others than `[device]`."""
        whole = self.device.kind
        own = {name: self.of_layer(name).device for name in self.layer}
        return {
            name: cells_that_learn(one, self.cell, self.driver).cell
            for name, one in own.items()
            if one.kind != whole and one.name and found_device(one)[0].pulse is not None
        }

    def _cell_of_device(self) -> OhmicCell | None:
        """What a chip is planned with where cells learn by pulses; None where they do not."""
        if not self.device.name:
            return None
        by_law = found_device(self.device)[0].pulse is not None
        if self.train.algorithm == "backprop" and not by_law:
            return None
        return cells_that_learn(self.device, self.cell, self.driver).cell

    def to_toml(self) -> str:
        """Every key with its value, as a file that reads back to the same configuration."""
        values = self.model_dump(mode="json")
        for key in self._wires.stored if self._wires else ():
            del values["wires"][key]
        return tomli_w.dumps(values)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with every value that a trained chip depends on.

        `[write]` is none of these: one run can be written in many ways. Of `[blocks]` it is what
        their files say, not where they lie, and likewise of the file of `[wires]` and of cells that
        are devices.
        """
        values = self.model_dump(mode="json", exclude={"write", "blocks"})
        del values["wires"]["file"]
        device = cell_device(self.device)
        if device is not None:
            values["device"] |= {"name": device.content, "parameters": ""}
        own, read = self.own_blocks, self.read_wires
        text = tomli_w.dumps(values) + ("" if own is None else own.digest())
        text += "" if read is None else read.digest()
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_config(path: Path) -> Config:
    """Reads a configuration file.

    Args:
        path: a TOML file; a data file that it names is taken relative to its folder.

    Raises:
        InputError: it cannot be read, is no TOML, or has an unknown key or a bad value; the
            message names file, key, value, allowed range and the closest valid key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark before it
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"cannot read this configuration ({reason})", where=str(path)) from error
    config = parse_config(text, where=str(path))
    found = {
        key: str((path.parent / name).resolve())
        for key in ("file", "test_file")
        if (name := getattr(config.data, key))
    }
    if found:
        config = config.model_copy(update={"data": config.data.model_copy(update=found)})
    config = config.model_copy(update={"device": with_places(config.device, path.parent)})
    if config.network.module:
        network = {"module": str((path.parent / config.network.module).resolve())}
        config = config.model_copy(update={"network": config.network.model_copy(update=network)})
    return config.with_files(path.parent, where=str(path))


def parse_config(text: str, *, where: str) -> Config:
    """The configuration in a TOML text; see `load_config`."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of 5,000 digits
        slip = find_slip(text, error)
        raise InputError(
            slip.what,
            where=slip.place(where),
            value=slip.value,
            allowed="" if slip.hint else allowed_range([*slip.table.split("."), slip.key]),
            hint=slip.hint,
        ) from error
    try:
        # Strict: `bits = "9"` and `epochs = true` are slips, not other ways to write a number.
        return Config.model_validate(values, strict=True)
    except ValidationError as error:
        raise config_errors.explain(error, Config, where, values) from error


def checked_data(values: dict[str, Any], *, where: str) -> DataSpec:
    """The section [data] with these keys.

    Raises:
        InputError: a bad value, or keys that do not go together.
    """
    try:
        return DataSpec.model_validate(values, strict=True)
    except ValidationError as error:
        raise config_errors.explain(within(error, "data"), Config, where, {}) from error


def allowed_range(place: list[str], train: type[TrainSpec] = BackpropSpec) -> str:
    """The allowed range of a key in words, from the field's own bounds; of the class of [train]."""
    return config_errors.allowed_range(Config, place, train)
