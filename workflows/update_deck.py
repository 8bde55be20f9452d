"""The update phase of a chip as decks: an array a deck, with trains of pulses on its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from compact_models.files import write_text_atomic
from compact_models.variation import Stream
from cosim.array.device_spread import draw_cells
from cosim.array.paired_cells import Pair
from cosim.array.updates.layer import tile_trains
from cosim.driven.spice import states_deck
from cosim.driven.train_pulses import TrainPulses, train_slots
from cosim.driven.train_waveforms import train_waveforms
from cosim.network.chip_updates import raising_sign, writable_tile
from cosim.network.weight_array import name_of_array
from cosim.pulses.trains import PulseTrains, UpdateRule, has_pulse, pulse_trains
from netlists.chip import Chip
from netlists.names import comment
from netlists.tiles import LayerPlan, block_name
from netlists.update.drawn import draw_pulses

_PULSES = 8  # of a train
_STEPS = 100  # of the time of a slot


def write_update_decks(
    folder: Path,
    chip: Chip,
    pair: Pair,
    *,
    sigma: Sequence[Mapping[str, float]],
    seed: int,
    sample: int,
    origin: tuple[str, ...],
    header: tuple[str, ...] = (),
) -> dict[str, object]:
    """Writes `<layer>_<tile>.cir` for every array, with the trains of one update of random x and d.

    The decks say how cells end; `trains.csv` says what was on the lines.

    Args:
        folder: where to; it is made.
        chip: the chip; its cells are devices, in the states that they hold.
        pair: which cells of a pair pulses reach.
        sigma: by how much cells of each layer differ in what moves them, by parameter.
        seed: the study's seed.
        sample: which chip of the study.
        origin: lines that say where the chip comes from.
        header: what a reader of the decks has to know first.

    Raises:
        InputError: no pulse moves the cells of this chip.
    """
    drawn = draw_pulses(chip.hardware.pulse, chip.plans, seed=seed, sample=sample)
    device, decks = chip.hardware.device, dict[str, str]()
    sign = raising_sign(device)
    table = ["layer,line,number,value,pulses"]
    elements = 0
    for layer, plan in enumerate(chip.plans):
        x, d, trains = _trains(plan, Stream(seed, sample))
        # As `weight_array` has them of the arrays that hold a layer together.
        owns: list[dict[str, torch.Tensor]] = [{} for _ in range(plan.arrays)]
        if device is not None:
            owns = [
                draw_cells(
                    device, sigma[layer], (plan.rows, plan.outputs),
                    seed=seed, samples=(sample,),
                    path=f"{plan.name}/cells" + (f"/{name_of_array(k)}" if k else ""),
                )
                for k in range(plan.arrays)
            ]  # fmt: skip
        table += _lines(plan, "word", x, trains.words)
        table += _lines(plan, "bit", d, trains.bits)
        for number, part in enumerate(plan.tiles):
            own = owns[number * plan.arrays // len(plan.tiles)]
            array = writable_tile(chip, layer, number, own)
            rows, outs = (
                slice(part.row_start, part.row_stop),
                slice(part.out_start, part.out_stop),
            )
            slots = train_slots(tile_trains(trains, rows, outs, pair), 0)
            pulses = TrainPulses.of(chip.hardware.pulse, up_sign=sign, lines=drawn[layer][number])
            driven = train_waveforms(array.at_rest(), slots, pulses)
            minus = "their negatives" if pair == "both" else "no pulses"
            lines = (
                *header,
                f"update phase of {plan.source}, {part.name}: word lines {part.row_start} to"
                f" {part.row_stop - 1}, outputs {part.out_start} to {part.out_stop - 1}",
                f"one update of random x (word lines) and d (plus bit lines; minus: {minus}),"
                f" {len(slots)} slots of {pulses.up.duration_s:g} s; trains.csv has them",
                "it prints the states of all cells at its start, <state>_<row>_<col>_start, and at"
                " its end, <state>_<row>_<col>",
            )
            deck = states_deck(driven, steps=_STEPS * max(1, len(slots)), header=lines)
            decks[f"{block_name(plan, part)}.cir"] = deck.text
            elements += 3 * part.rows * part.cols
    folder.mkdir(exist_ok=True)
    for name, text in decks.items():
        write_text_atomic(folder / name, text)
    write_text_atomic(folder / "trains.csv", "\n".join(table) + "\n")
    write_text_atomic(folder / "origin.txt", "".join(f"{comment(line)}\n" for line in origin))
    return {
        "files": [*decks, "trains.csv", "origin.txt"],
        "note": "",
        "elements": elements,
        "layers": len(chip.plans),
        "tiles": len(decks),
    }


def _trains(plan: LayerPlan, stream: Stream) -> tuple[torch.Tensor, torch.Tensor, PulseTrains]:
    """Random x [1, row] and d [1, out], and trains whose largest coincide in every pulse."""
    draw = stream.at(f"netlist/update/{plan.name}", 0)
    rng = draw.part("x_and_d").rng()
    low = -1.0 if plan.signed_input else 0.0
    x = torch.from_numpy(rng.uniform(low, 1, (1, plan.rows)))
    d = torch.from_numpy(rng.uniform(-1, 1, (1, plan.outputs)))
    largest = float(x.abs().max() * d.abs().max())
    rule = UpdateRule(lr=_PULSES / largest, dw_min=1.0, max_pulses=_PULSES)
    return x, d, pulse_trains(x, d, rule, draw)


def _lines(plan: LayerPlan, kind: str, values: torch.Tensor, words: torch.Tensor) -> Iterator[str]:
    trains = has_pulse(words[0])[:, :_PULSES].tolist()
    for number, (value, has) in enumerate(zip(values[0].tolist(), trains, strict=True)):
        train = "".join("1" if one else "0" for one in has)
        yield f"{plan.name},{kind},{number},{value:.6g},{train}"
