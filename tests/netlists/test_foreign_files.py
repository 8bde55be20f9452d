"""A user's own SPICE files: what is copied, how copies name each other, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from compact_models.errors import InputError
from netlists.design_deck import design_deck
from netlists.foreign_cards import OURS, spice_number
from netlists.foreign_files import BlockSource, LibraryCard, ReadBlocks, read_blocks
from netlists.foreign_switches import switches_on
from netlists.hardware import Hardware
from netlists.network import network_circuit
from tests.cosim.chips import chip_of, small_inputs, small_network
from tests.netlists.transistor_tia import write_amplifier


def read(path: Path, *libraries: LibraryCard, name: str = "my_tia") -> ReadBlocks:
    return read_blocks({"tia": BlockSource(path, name)}, libraries, reserved=["network.cir"])


def texts(found: ReadBlocks) -> dict[str, str]:
    files = found.blocks["tia"].files
    assert files is not None
    return dict(files.texts)


def test_a_block_of_a_file_with_a_library(tmp_path: Path) -> None:
    path = write_amplifier(tmp_path)
    found = read(path, LibraryCard(tmp_path / "models.lib", "typical"))
    block = found.blocks["tia"]
    assert (block.name, block.ports) == ("my_tia", ("in", "out"))
    assert dict(block.parameters) == {"rf": 1e4, "vos": 0.0, "ibias": "{20u}"}
    assert block.files is not None
    assert block.files.cards == ('.lib "models.lib" typical', '.include "my_tia.cir"')
    library = texts(found)["models.lib"]
    assert "* Two transistors, level 1. Copyright of nobody." in library  # a licence stays
    assert ".lib mos" in library  # `typical` asks for it
    assert "slow" not in library  # ngspice would look for what it includes
    own = texts(found)["my_tia.cir"]
    assert "* the input pair and its mirror\n" in own
    assert "* ####" in own  # ngspice would run *####
    assert "\n+ l=1u\n" in own


def test_copies_are_read_again_as_they_are(tmp_path: Path) -> None:
    path = write_amplifier(tmp_path)
    first = read(path, LibraryCard(tmp_path / "models.lib", "typical"))
    copies = tmp_path / "copies"
    copies.mkdir()
    for name, text in texts(first).items():
        (copies / name).write_text(text)
    again = read(copies / "my_tia.cir", LibraryCard(copies / "models.lib", "typical"))
    assert texts(again) == texts(first)
    assert again.sources == first.sources
    assert again.libraries == first.libraries


def test_files_from_anywhere_name_each_other_in_one_folder(tmp_path: Path) -> None:
    kit = tmp_path / "a kit"
    (kit / "deep").mkdir(parents=True)
    (kit / "models.lib").write_text(".lib tt\n.include 'deep/models.lib'\n.endl\n")
    (kit / "deep" / "models.lib").write_text(".model d1 d is=1e-14\n")
    own = tmp_path / "network.cir"
    own.write_text(
        f'.LIB "{kit}/models.lib" TT\n.subckt amp in out\nd1 in out d1 ; "none"\n.ends\n'
    )
    found = read(own, name="AMP")
    assert texts(found) == {
        "network_2.cir": '.LIB "models.lib" TT\n.subckt amp in out\nd1 in out d1 ; "none"\n.ends\n',
        "models.lib": '.lib tt\n.include "models_2.lib"\n.endl\n',
        "models_2.lib": ".model d1 d is=1e-14\n",
    }


GOOD = ".subckt my_tia in out rf=1k\nr1 in out {rf}\n.ends\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f".control\nshell ls\n.endc\n{GOOD}", r"line 1: a block cannot run commands; got '.contr"),
        (f"  .CONTROL\n{GOOD}", r"line 1: a block cannot run commands"),
        (f"{GOOD}*# shell touch x\n", r"line 4: ngspice runs what stands behind \*# as a command"),
        (f" *#shell touch x\n{GOOD}", r"line 1: ngspice runs"),
        (f"*ng_script\n{GOOD}", r"line 1: ngspice runs"),
        (f"! touch x\n{GOOD}", r"line 1: a block cannot run commands"),
        (GOOD.replace("r1", "shell ls\nr1"), r"line 2: a block cannot run commands"),
        (GOOD.replace("r1", "SYSTEM ls\nr1"), r"line 2: a block cannot run commands"),
        (f".exec ls\n{GOOD}", r"line 1: a block cannot run commands"),
        (GOOD.replace("{rf}", "{rf} `ls`"), r"line 2: a backquote"),
        (f".cont\\\\\nrol\n{GOOD}", r"line 1: a backquote or a backslash"),
        (f".op\n{GOOD}", r"line 1: .op has no place in a block.*outputs belong to the deck"),
        (f"{GOOD}.end\n", r"line 4: .end has no place"),
        (f".option reltol=1\n{GOOD}", "would change how the whole deck is solved; got 'reltol=1'"),
        (f".param a=1\n+ V_Rail = 2\n{GOOD}", "line 1: the deck has a parameter.*got 'V_Rail'"),
        (f".model p\n+ d_process (process_file=ls)\n{GOOD}", "line 1: .*d_process starts a progr"),
        (f".model p filesource(file=x)\n{GOOD}", "filesource reads a file"),
        (f"r0 a b 1\n{GOOD}", "line 1: an element outside of a subcircuit"),
        (GOOD.replace(".ends", "* none"), ".ends is missing"),
        (f"{GOOD}.ends\n", "line 4: an .ends without its .subckt"),
        (f".include gone.inc\n{GOOD}", "line 1: the file that is included is not there; got 'gone"),
        (f".include\n{GOOD}", "line 1: this names no file"),
        (f".lib\n+ models.lib typical\n{GOOD}", "line 1: this names no file"),
        (f".lib models.lib typicall\n{GOOD}", "no such section.*typical.*did you mean 'typical'"),
        (f".include evil.inc\n{GOOD}", r"evil.inc, line 2: ngspice runs"),
        (f".lib evil.inc tt\n{GOOD}", r"evil.inc, line 2: ngspice runs"),
        (GOOD.replace("my_tia", "mytia"), "no such subcircuit; got 'my_tia'.*did you mean 'mytia'"),
        (GOOD.replace("in out rf", "out in rf"), "the ports stand in the wrong order"),
        (f"\n{GOOD.replace('in out rf', 'in out vdd rf')}", "own.cir, line 2: it must have two p"),
        (GOOD.replace("1k", "1k\u03a9"), "line 1: there are characters"),
        (GOOD.replace("rf=1k", "rf=1k r\x00=1"), "line 1: there are characters"),
    ],
)  # fmt: skip
def test_what_has_no_place_in_a_deck_is_refused_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    write_amplifier(tmp_path)
    (tmp_path / "evil.inc").write_text(".lib tt\n*# shell touch x\n.param a=1\n.endl\n")
    path = tmp_path / "own.cir"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        read(path)
    assert str(tmp_path) in refused.value.sentence() or "the user's tia" in refused.value.where


def test_what_no_deck_reads_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "kit.lib").write_text(
        ".lib tt\n.param a=1\n.endl\n.lib ff\n.op\n.include gone.inc\n.endl\n"
    )
    path = tmp_path / "own.cir"
    path.write_text(f".lib kit.lib tt\n{GOOD}")
    assert texts(read(path))["kit.lib"] == ".lib tt\n.param a=1\n.endl\n"


def test_old_files_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "own.cir"
    path.write_bytes(b"* f\xfcr 10 \xb5A, 5 \x80\r\n" + GOOD.replace("\n", "\r\n").encode())
    assert texts(read(path))["own.cir"] == f"* fur 10 uA, 5 ?\n{GOOD}"


def test_a_comment_that_only_reads_like_a_command_in_ascii_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.cir"
    path.write_text(f"*\uff03shell ls\n{GOOD}", encoding="utf-8")  # a wide number sign
    with pytest.raises(InputError, match="as a command"):
        read(path)


def test_parameters_inside_a_block_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "own.cir"
    path.write_text(GOOD.replace("r1", ".param v_rail=2\nr1"))
    assert ".param v_rail=2" in texts(read(path))["own.cir"]


def test_all_parameters_of_a_deck_are_known_to_be_taken() -> None:
    hardware = Hardware()
    chip = chip_of(small_network(), hardware, small_inputs(3))
    made = design_deck(network_circuit(chip, title="t")).circuit
    assert {one.name for one in made.shared} == set(OURS)


@pytest.mark.parametrize("name", ["cell", "DRIVER", "layer_0", "network"])
def test_a_library_with_the_name_of_one_of_our_blocks_is_refused(name: str, tmp_path: Path) -> None:
    """ngspice would leave one of the two out, and say so only in its log."""
    path = tmp_path / "own.cir"
    path.write_text(f".subckt {name} a b\nr1 a b 1\n.ends\n{GOOD}")
    chip = chip_of(small_network(), Hardware(blocks=read(path).blocks), small_inputs(3))
    with pytest.raises(InputError, match=f"is a block of the chip already; got '{name.lower()}'"):
        network_circuit(chip, title="t")


def test_a_section_without_its_end(tmp_path: Path) -> None:
    (tmp_path / "kit.lib").write_text(".lib tt\n.param a=1\n.op\n")
    path = tmp_path / "own.cir"
    path.write_text(f".lib kit.lib tt\n{GOOD}")
    with pytest.raises(InputError, match=r"line 1: the section tt has no \.endl"):
        read(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10k", 1e4), ("2.2MEGohm", 2.2e6), ("1e-6", 1e-6), (".5u", 5e-7), ("{a}", "{a}")],
)  # fmt: skip
def test_numbers_as_spice_writes_them(text: str, value: float | str) -> None:
    assert spice_number(text) == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_parameter_that_no_file_declares_is_refused_with_the_file_that_does(
    tmp_path: Path,
) -> None:
    path = write_amplifier(tmp_path)
    library = tmp_path / "models.lib"
    library.write_text(
        library.read_text().replace(".param vth=0.5", ".param vth='0.5+(skew==1)*max(skew, pi)'")
    )
    cards = LibraryCard(library, "typical")
    with pytest.raises(InputError, match="an include is missing") as refused:
        read(path, cards)
    assert "'skew'" in refused.value.what
    (tmp_path / "design.inc").write_text("* skew = 3 in a comment\n.param other=1\n+ skew = 0\n")
    with pytest.raises(InputError) as refused:
        read(path, cards)
    assert refused.value.hint.startswith(f"{tmp_path / 'design.inc'} declares it")
    assert "design.inc" in texts(read(path, LibraryCard(tmp_path / "design.inc"), cards))


KIT = "* kit\n.param sw_mm = 1\n.param skew = 1\n.param drawn='agauss(0,1,3)'\n"
USED = ".param vth='0.5*skew + drawn*sw_mm'\n"


@pytest.mark.parametrize(
    ("cards", "on"),
    [
        (("kit", "used"), [("sw_mm", "kit.inc, line 2", "")]),
        (("off", "kit", "used"), [("sw_mm", "kit.inc, line 2", "off.inc, line 1")]),
        (("kit", "off", "used"), []),
    ],
)
def test_switches_of_statistics_that_the_last_file_leaves_on(
    cards: tuple[str, ...], on: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    for name, text in (("kit", KIT), ("used", USED), ("off", ".param sw_mm=0\n")):
        (tmp_path / f"{name}.inc").write_text(text)
    path = write_amplifier(tmp_path)
    libraries = (LibraryCard(tmp_path / f"{name}.inc") for name in cards)
    found = read(path, *libraries, LibraryCard(tmp_path / "models.lib", "typical"))
    files = found.blocks["tia"].files
    assert files is not None
    assert [(one.name, one.place, one.off_before) for one in switches_on(files)] == on
