"""Configurations that cannot be used: refused in one sentence, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from compact_models.errors import InputError
from tests.workflows.command import names_all, refused
from workflows.config import Config, parse_config

CASES = {
    "unknown key": ("[cell]\ng_onn_s = 1e-4\n", ["[cell] g_onn_s", "unknown key", "'g_on_s'"]),
    "unknown section": ("[cells]\ng_on_s = 1e-4\n", ["cells", "unknown section", "'cell'"]),
    "unknown key far from all": ("[wires]\nzzz = 1\n", ["[wires] zzz", "r_wordline_ohm"]),
    "negative resistance": ("[wires]\nr_wordline_ohm = -1.0\n",
                            ["[wires] r_wordline_ohm", "-1.0", "or 1e-06 to 1e+09 ohm"]),
    "on below off": ("[cell]\ng_on_s = 1e-6\ng_off_s = 2e-6\n", ["cell", "1e-06", "2e-06"]),
    "on equals off": ("[cell]\ng_on_s = 1e-6\ng_off_s = 1e-6\n", ["cell", "larger"]),
    "too many bits": ("[adc]\nbits = 17\n", ["[adc] bits", "17", ">= 2", "<= 16"]),
    "too few bits": ("[driver]\ndac_bits = 0\n", ["[driver] dac_bits", "0", ">= 1"]),
    "text for a number": ("[adc]\nbits = 'nine'\n", ["[adc] bits", "nine", "an integer"]),
    "number in quotes": ("[adc]\nbits = '9'\n", ["[adc] bits", "'9'", "an integer"]),
    "float for a count": ("[train]\nepochs = 3.0\n", ["[train] epochs", "3.0", "an integer"]),
    "true for a count": ("[train]\nepochs = true\n", ["[train] epochs", "True", "an integer"]),
    "one for true": ("[network]\nbias = 1\n", ["[network] bias", "true or false"]),
    "date for a number": ("[adc]\nv_full_scale_v = 2020-01-01\n", ["[adc] v_full_scale_v", "2020"]),
    "table for a number": ("[adc.bits]\nx = 1\n", ["[adc] bits", "an integer"]),
    "number for a section": ("adc = 3\n", ["adc", "3"]),
    "array of a section": ("[[adc]]\nbits = 3\n", ["adc"]),
    "nan": ("[wires]\nr_wordline_ohm = nan\n", ["[wires] r_wordline_ohm", "nan", "finite"]),
    "inf": ("[wires]\nr_bitline_ohm = inf\n", ["[wires] r_bitline_ohm", "inf", "finite"]),
    "hidden layer of none": ("[network]\nhidden = [8, 0]\n", ["[network.hidden] 1", "0"]),
    "hidden is no list": ("[network]\nhidden = 8\n", ["[network] hidden", "8"]),
    "unknown data": ("[data]\nname = 'mnist'\n", ["[data] name", "mnist", "digits", "iris"]),
    "unknown activation": ("[network]\nactivation = 'gelu'\n", ["[network] activation", "relu"]),
    "huge number": (f"[study]\nseed = {'9' * 40}\n", ["[study] seed", "< 9.2"]),
    "longer than Python reads": (f"[study]\nseed = {'9' * 5000}\n", ["not a TOML file"]),
    "long and hexadecimal": (f"[study]\nseed = 0x{'f' * 9000}\n", ["[study] seed"]),
    "not TOML": ("[cell\n", ["chip.toml:1", "cannot read this line"]),
    "key twice": ("[adc]\nbits = 8\nbits = 9\n", ["chip.toml:3: [adc] bits", "twice"]),
    "decimal comma": ("[adc]\nbits = 8,5\n", ["chip.toml:2: [adc] bits", "8.5"]),
    "nested too deep": (f"x = {'[' * 5000}{']' * 5000}\n", ["not a TOML file"]),
    "several errors": ("[adc]\nbits = 99\n[driver]\ndac_bits = 99\n", ["bits", "and 1 more"]),
    "colours in a key": ('[cell]\n"\\u001b[31mred" = 1\n', ["unknown key", "[cell]"]),
    "lines in a key": ('[cell]\n"a\\n.include /etc/passwd" = 1\n', ["unknown key", "a .include"]),
    "colours in a value": ('[data]\nname = "\\u001b[2J"\n', ["[data] name"]),
    "data file with a null": ('[data]\nname = "file"\nfile = "a\\u0000b"\n', ["[data] file"]),
    "a key outside of its section": ("seed = 7\n", ["seed is a key of [study]"]),
    "no data file named": ('[data]\nname = "file"\n', ["[data]", 'file = "your.csv"']),
    "data file is a folder": ('[data]\nname = "file"\nfile = "/proc"\n', ["/proc", "folder"]),
    "name too long": (f'[data]\nname = "file"\nfile = "{"a" * 300}"\n', ["too long"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), CASES.values(), ids=CASES)
def test_bad_configuration_is_refused_by_name(text: str, words: list[str], tmp_path: Path) -> None:
    config = tmp_path / "chip.toml"
    config.write_text(text)
    sentence = refused(tmp_path, "netlist", config, "-o", tmp_path / "deck")
    names_all(sentence, *words)
    assert len(sentence) < 1500
    if "data" not in text:
        names_all(sentence, "chip.toml")


@pytest.mark.ngspice
@pytest.mark.parametrize("command", ["train", "netlist"])
def test_what_is_no_configuration_file_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes("# r\xe9sistance\n".encode("latin-1"))
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    out = ("-o", tmp_path / "out")
    names_all(refused(tmp_path, command, tmp_path / "latin.toml", *out), "UTF-8", "latin.toml")
    names_all(refused(tmp_path, command, tmp_path / "binary.toml", *out), "binary.toml")
    names_all(refused(tmp_path, command, tmp_path / "missing.toml", *out), "missing.toml")
    names_all(refused(tmp_path, command, tmp_path / ("a" * 300), *out), "too long")
    names_all(refused(tmp_path, command, tmp_path / "latin.toml" / "x", *out), "latin.toml/x")


@pytest.mark.ngspice
def test_folder_or_nothing_for_a_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    out = ("-o", tmp_path / "out")
    names_all(refused(tmp_path, "train", tmp_path / "folder", *out), "folder", "directory")
    names_all(refused(tmp_path, "train", "", *out), "directory")
    names_all(refused(tmp_path, "netlist", "", *out), "run.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve"],
        ["solve", "a.npz"],
        ["verify", "r", "--chips", "x"],
        ["nonsense"],
        ["check", "--nonsense"],
        ["map", "-o"],
    ],
)
def test_wrong_usage_is_one_sentence_too(arguments: list[str], tmp_path: Path) -> None:
    names_all(refused(tmp_path, *arguments), "--help")


def test_messages_name_the_allowed_range_from_the_schema_itself() -> None:
    with pytest.raises(InputError, match=r"got 0; allowed: an integer >= 1 and <= 100000"):
        parse_config("[train]\nepochs = 0\n", where="x")


def test_whole_numbers_stand_for_floats() -> None:
    assert parse_config("[wires]\nr_wordline_ohm = 2\n", where="x").wires.r_wordline_ohm == 2.0


def test_a_configuration_reads_back_from_its_own_file() -> None:
    config = parse_config("[network]\nhidden = [3, 4]\n[cell]\ng_on_s = 2.5e-5\n", where="x")
    assert parse_config(config.to_toml(), where="y") == config
    assert parse_config(Config().to_toml(), where="y").hash == Config().hash
    assert config.hash != Config().hash
