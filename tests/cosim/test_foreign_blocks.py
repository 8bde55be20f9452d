"""A user's own amplifier and neuron in a chip: calibrated, read in ngspice, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from compact_models.errors import InputError
from cosim.calibration.periphery import amplifier_sweep
from cosim.network.models import exact_model, ideal_model
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from netlists.pyspice import pyspice_netlist
from tests.cosim.own_blocks import (
    OpAmpLoop,
    SeriesCell,
    SoftNeuron,
    calibrated,
    own_chip,
    rms,
    surrogate_codes,
    vectors,
)

netlist = pyspice_netlist()


class RailedAmp(netlist.SubCircuit):
    """A loop whose op-amp is stuck in its rails where calibration drives it furthest."""

    def __init__(self) -> None:
        super().__init__("railed", "inp", "outp", rf=1e4, vos=0.0)
        self.B("amp", "outp", "0", v="1.7*tanh(1000*({vos}-V(inp))/1.7)")
        self.R("f", "inp", "outp", "{rf}")


class DiodeClamp(netlist.SubCircuit):
    """A rectifier of resistors and a diode, without parameters."""

    def __init__(self) -> None:
        super().__init__("clamp", "a", "y")
        self.R("1", "a", "y", 1e3)
        self.R("2", "y", "0", 1e5)
        self.model("dd", "D", IS=1e-9, N=1.2)
        self.D("1", "0", "y", model="dd")


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("activation", "blocks"),
    [
        (nn.Tanh, {"tia": OpAmpLoop, "neuron": SoftNeuron}),
        (nn.ReLU, {"tia": OpAmpLoop, "neuron": DiodeClamp}),
        (nn.Tanh, {"tia": RailedAmp}),
        (nn.ReLU, {"cell": SeriesCell, "tia": OpAmpLoop}),
    ],
)
def test_the_surrogate_learns_the_users_blocks(
    activation: type[nn.Module], blocks: dict[str, Any], ngspice: Ngspice
) -> None:
    """Codes of a 4-3-2 network within 1 LSB rms of ngspice, and not those of our own blocks."""
    x = vectors()
    chip = own_chip(4, 3, 2, activation=activation, inputs=x, **blocks)
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [s.outcome for s in read.simulations] == ["ok"], read.simulations
    assert np.ptp(read.codes) > 100
    assert rms(surrogate_codes(chip, calibrated(chip, ngspice), x) - read.codes) <= 1.0
    if set(blocks) & {"cell", "neuron"}:  # an amplifier may do the same as ours
        ours = own_chip(4, 3, 2, activation=activation, inputs=x)
        assert rms(read_chip(ours, x, ngspice, jobs=1).codes - read.codes) > 3.0


@pytest.mark.ngspice
def test_the_loop_computes_what_our_closed_form_does(ngspice: Ngspice) -> None:
    x = vectors()
    ours = own_chip(4, 3, 2, inputs=x)
    loop = own_chip(4, 3, 2, inputs=x, tia=OpAmpLoop)
    difference = (
        read_chip(loop, x, ngspice, jobs=1).codes - read_chip(ours, x, ngspice, jobs=1).codes
    )
    # The loop has no rails; ours bends a little towards them.
    assert rms(difference) < 0.05 * np.ptp(read_chip(ours, x, ngspice, jobs=1).codes)


class WrongSignAmp(netlist.SubCircuit):
    """A current meter whose output rises."""

    def __init__(self) -> None:
        super().__init__("wrong_sign", "inp", "outp", rf=1e4)
        self.V("x", "inp", "0", 0)
        self.B("out", "outp", "0", v="{rf}*I(Vx)")


class ExchangedAmp(netlist.SubCircuit):
    """A loop whose op-amp has its inputs exchanged: at DC its output is that of a right one."""

    def __init__(self) -> None:
        super().__init__("exchanged", "inp", "outp", rf=1e4, vos=0.0)
        self.V("os", "plus", "0", "{vos}")
        self.VCVS("amp", "outp", "0", "inp", "plus", voltage_gain=1e4)
        self.R("f", "inp", "outp", "{rf}")


class ExchangedRailedAmp(netlist.SubCircuit):
    """The same with rails, in one of which ngspice finds it."""

    def __init__(self) -> None:
        super().__init__("exchanged_railed", "inp", "outp", rf=1e4, vos=0.0)
        self.B("amp", "outp", "0", v="1.7*tanh(1000*(V(inp)-{vos})/1.7)")
        self.R("f", "inp", "outp", "{rf}")


class WeakSourceAmp(netlist.SubCircuit):
    """A class-A output: it sinks what it must, and sources no more than 0.4 V / rf."""

    def __init__(self) -> None:
        super().__init__("weak_source", "inp", "outp", rf=1e4, vos=0.0)
        self.B("amp", "0", "outp", i="min(0.1*({vos}-V(inp)),0.4/{rf})")
        self.R("out", "outp", "0", 1e6)
        self.R("f", "inp", "outp", "{rf}")


class FixedGainAmp(netlist.SubCircuit):
    """An amplifier with a feedback resistor of its own."""

    def __init__(self) -> None:
        super().__init__("fixed_gain", "inp", "outp")
        self.V("x", "inp", "0", 0)
        self.B("out", "outp", "0", v="-3210*I(Vx)")


class FallingNeuron(netlist.SubCircuit):
    """An inverter."""

    def __init__(self) -> None:
        super().__init__("falling", "a", "y", vos=0.0)
        self.B("out", "y", "0", v="-0.4*tanh(5*(V(a)+{vos}))")


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"tia": WrongSignAmp}, ("user's tia, layer_0", "rises with the current", "which is -rf")),
        (
            {"tia": ExchangedAmp},
            (
                "user's tia, layer_0",
                "positive feedback",
                "inputs are exchanged",
                "V/A at its input",
            ),
        ),
        (
            {"tia": ExchangedRailedAmp},
            ("user's tia, layer_0", "stuck at a rail", "at -1.7 V without a current", "exchanged"),
        ),
        ({"neuron": FallingNeuron}, ("user's neuron, layer_0", "got '-0.789 V", "output falls")),
    ],
)
def test_a_block_of_the_wrong_sign_or_feedback_is_refused(
    blocks: dict[str, Any], words: tuple[str, ...], ngspice: Ngspice
) -> None:
    with pytest.raises(InputError) as refused:
        calibrated(own_chip(4, 2, 2, inputs=vectors(3), **blocks), ngspice)
    for word in words:
        assert word in str(refused.value), refused.value


def test_a_deck_says_which_block_of_the_user_it_holds() -> None:
    chip = own_chip(4, 2, inputs=vectors(3), tia=OpAmpLoop)
    bench = amplifier_sweep(chip, 0, chip.hardware.blocks["tia"], 0)
    assert bench.decks[0].holds == ("tia: the user's own, from PySpice",)


@pytest.mark.ngspice
def test_an_amplifier_that_runs_out_of_current_is_told_where(ngspice: Ngspice) -> None:
    """Its sign is right around 0, and wrong only on a line through all of its curve."""
    chip = own_chip(4, 2, inputs=vectors(3), tia=WeakSourceAmp)
    with pytest.raises(InputError) as refused:
        calibrated(chip, ngspice)
    said = str(refused.value)
    assert "user's tia, layer_0: it cannot drive the currents of its layer" in said
    assert "wrong sign" not in said
    at_a = float(said.split("turns back at ")[1].split(" A")[0])
    # Of the instances whose rf is drawn largest, the limit is that much lower.
    assert at_a == pytest.approx(-0.4 / chip.plans[0].r_feedback_ohm, rel=0.06)


@pytest.mark.ngspice
@pytest.mark.parametrize(("v_rail_v", "refused"), [(1.65, None), (2.2, False), (3.0, True)])
def test_rails_below_the_configured_range_are_said(
    v_rail_v: float, refused: bool | None, ngspice: Ngspice
) -> None:
    """What is planned for is 0.6 of the range: with 3 V that is 1.8 V, and it clips at 1.7 V."""
    chip = own_chip(4, 2, inputs=vectors(3), tia=RailedAmp, v_rail_v=v_rail_v)
    if refused:
        with pytest.raises(InputError, match=r"clips at 1\.7 V") as told:
            calibrated(chip, ngspice)
        assert "[tia] v_rail_v says 3 V" in str(told.value)
        assert "v_rail_v = 1.7" in told.value.hint
        return
    notes = calibrated(chip, ngspice).notes
    assert len(notes) == (refused is False)
    if notes:
        assert "layer_0: its output clips at 1.7 V where [tia] v_rail_v says 2.2 V" in notes[0]


class SteepNeuron(netlist.SubCircuit):
    """A rectifier of gain 2: its full scale is twice that of the converters."""

    def __init__(self) -> None:
        super().__init__("steep", "a", "y", vos=0.0)
        self.B("out", "y", "0", v="max(0,2*(V(a)+{vos}))")


@pytest.mark.ngspice
def test_a_neuron_beyond_the_converters_is_said_with_the_key(ngspice: Ngspice) -> None:
    chip = own_chip(4, 3, 2, activation=nn.ReLU, inputs=vectors(3), neuron=SteepNeuron)
    (said,) = calibrated(chip, ngspice).notes
    assert "layer_0: gives up to 1 V for inputs up to 0.5 V" in said
    assert "full scale is 0.5 V ([adc] v_full_scale_v): what is beyond clips" in said


@pytest.mark.ngspice
def test_a_gain_other_than_rf_is_said_with_both_numbers(ngspice: Ngspice) -> None:
    chip = own_chip(4, 2, inputs=vectors(3), tia=FixedGainAmp)
    *silent, said = calibrated(chip, ngspice).notes
    assert "gives -3.21e+03 V/A" in said
    # It has no parameters at all.
    assert [
        "has no parameter vos: [tia] sigma_offset_v = 0.001 draws nothing" in silent[0],
        "has no parameter rf: [tia] sigma_feedback = 0.01 draws nothing" in silent[1],
        len(silent),
    ] == [True, True, 2]
    asked = chip.plans[0].r_feedback_ohm
    assert float(said.split("-rf = ")[1].split()[0]) == pytest.approx(-asked, rel=0.05)
    assert calibrated(own_chip(4, 2, inputs=vectors(3), tia=OpAmpLoop), ngspice).notes == ()


@pytest.mark.parametrize(
    ("blocks", "named"),
    [
        ({"tia": OpAmpLoop}, "the block 'tia' is the user's own: {} has no equations for it"),
        ({"cell": SeriesCell, "neuron": SoftNeuron}, "'cell' and 'neuron'"),
    ],
)
def test_fidelities_without_equations_refuse_by_name(blocks: dict[str, Any], named: str) -> None:
    chip = own_chip(4, 3, inputs=vectors(3), **blocks)
    with pytest.raises(InputError, match=named.format("exact")) as refused:
        exact_model(chip.hardware, chip.plans, chip.periphery)
    assert refused.value.hint == "use surrogate or spice"
    with pytest.raises(InputError, match=named.format("ideal")):
        ideal_model(chip.hardware, chip.plans)
