"""Every way in which ngspice fails, loudly or silently, run for real and held to its outcome."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from cosim.ngspice import Deck, Ngspice, Outcome, SimulationFailedError, run_deck
from cosim.ngspice.log import first_error

pytestmark = pytest.mark.ngspice

DIVIDER = "V1 a 0 1\nR1 a b 1e3\nR2 b 0 1e3\n"


def deck(body: str, **promises: object) -> Deck:
    """A deck that asks for KLU: title on line 1, option on line 2, the body from line 3."""
    return replace(Deck(f"* title\n.option klu\n{body}.end\n"), **promises)


def in_file(line: str) -> Deck:
    """A deck whose line 6 is right, and an included file whose line 6 is not."""
    own = f"* file\n* of a user\n.subckt own p q\n* here\n\n{line}\n.ends\n"
    return deck('V1 a 0 1\n.include "own.cir"\nXa a 0 own\nR1 a 0 1\n.op\n', files={"own.cir": own})


# With the Sparse solver all of ngspice's methods fail here, and it takes what a transient reached.
OPEN_NODE = Deck(
    "* t\nI1 0 a 10u\nC1 a 0 10p\n.op\n.end\n", tolerated=("singular matrix", "stepping failed")
)


class Case(NamedTuple):
    name: str
    deck: Deck
    outcome: Outcome
    said: tuple[str, ...]  # what the reason must hold, in lower case


REJECTED = [
    Case("a long line", deck(f"V1 a 0 pwl({' '.join(f't{k} 0' for k in range(2000))})\nR1 a 0 1\n"
         ".tran 1n 1u\n"), Outcome.CRASHED, ("v1 a 0 pwl", " ... ", "deck line 3")),
    Case("bad syntax", deck("V1 a 0 1\nfoo\n.op\n"), Outcome.CRASHED, ("foo", "deck line 4")),
    Case("unknown subcircuit", deck("V1 a 0 1\nX1 a 0 nosuch\n.op\n"), Outcome.CRASHED,
         ("unknown subckt", "nosuch", "deck line 4")),
    Case("unknown model", deck("V1 a 0 1\nD1 a 0 nosuch\n.op\n"), Outcome.CRASHED,
         ("nosuch", "model", "deck line 4")),
    Case("unknown parameter", deck("V1 a 0 1\nR1 a 0 {nosuch}\n.op\n"), Outcome.CRASHED,
         ("undefined parameter", "nosuch", "deck line 4")),
    Case("missing include", deck("V1 a 0 1\n.include nosuch.lib\n.op\n"), Outcome.CRASHED,
         ("nosuch.lib", "deck line 4")),
    Case("element twice", deck("V1 a 0 1\nR1 a 0 1\nR2 a 0 1\nR1 a 0 2\n.op\n"), Outcome.CRASHED,
         ("r1 a 0 2", "already exists", "deck line 6")),
    Case("in a block", deck(".subckt s a b\nr1 a b 1k\n+ tc=0\nq7 a\n.ends\nV1 a 0 1\nXs a 0 s\n"
         ".op\n"), Outcome.CRASHED, ("q7 a", "deck line 6")),
    Case("unknown subcircuit in a file", in_file("Xin p q nosuch"), Outcome.CRASHED,
         ("xa.xin a 0 nosuch", "(line 6 of own.cir: xin p q nosuch)")),
    Case("element in a file", in_file("q7 p"), Outcome.CRASHED,
         ("q7 p", "(line 6 of own.cir: q7 p)")),
    Case("parameter in a file", in_file("Rp p q {nosuch}"), Outcome.CRASHED,
         ("undefined parameter [nosuch]", "is an include missing",
          "(line 6 of own.cir: rp p q {nosuch})")),
    Case("nothing to save", deck(DIVIDER + ".save v(zz)\n.op\n"), Outcome.CRASHED,
         ("no data saved",)),
]  # fmt: skip

UNSOLVABLE = [
    Case("voltage loop", deck("V1 a 0 1\nV2 a 0 2\nR1 a 0 1\n.op\n"), Outcome.NO_CONVERGENCE,
         ("doanalyses: op", "singular matrix", "v1#branch")),
    Case("no operating point", deck("B1 b 0 V=v(b)>2?1:4\nR1 b 0 1\n.op\n"),
         Outcome.NO_CONVERGENCE, ("timestep too small", 'node "b"')),
    Case("time step too small",
         deck("B1 b 0 V=sqrt(0.5-time*1e6)\nR1 b 0 1\nC1 b 0 1p\n.tran 10n 1u\n"),
         Outcome.NO_CONVERGENCE, ("doanalyses: tran", "out of range for sqrt", "in line b1")),
    Case("sweep dies half way", deck("V1 a 0 0\nB1 b 0 I=v(a)*5+v(b)*v(b)-1\nR1 b 0 1\n"
                                     ".dc V1 0 1 0.1\n"),
         Outcome.NO_CONVERGENCE, ("doanalyses: dc", "v1 = 0.3")),
    Case("logarithm of a negative", deck("V1 a 0 -1\nB1 b 0 V=log(v(a))\nR1 b 0 1\n.op\n"),
         Outcome.NO_CONVERGENCE, ("-1 out of range for log", "in line b1")),
    Case("control block hides it",
         deck("V1 a 0 1\nV2 a 0 2\nR1 a 0 1\n.control\nop\nwrite out.raw\nquit 0\n.endc\n"),
         Outcome.NO_CONVERGENCE, ("doanalyses: op", "singular matrix")),
]  # fmt: skip

SILENT = [
    Case("singular matrix", deck("I1 0 a 1u\nC1 a 0 1p\n.op\n"), Outcome.INVALID,
         ("singular matrix", "node a")),
    Case("infinite voltage",
         deck("I1 0 a 10u\nC1 a 0 10p\n.op\n", tolerated=("singular matrix",)), Outcome.INVALID,
         ("v(a) = inf", "point 0", "not finite")),
    Case("operating point by transient", OPEN_NODE, Outcome.INVALID, ("transient op started",)),
    Case("element line ignored", deck("V1 a 0 1\nR1 a 0\n.op\n"), Outcome.INVALID,
         ("r1 a 0", "ignored", "deck line 4")),
    Case("second definition ignored",
         deck(".subckt s a b\nR1 a b 1\n.ends\n.subckt s a b\nR1 a b 2\n.ends\n"
              "V1 a 0 1\nX1 a 0 s\n.op\n"), Outcome.INVALID, ("redefinition of .subckt s",)),
    Case("resistance of zero", deck("V1 a 0 1\nR1 a b 0\nR2 b 0 1e3\n.op\n"), Outcome.INVALID,
         ("resistor r1 is too small",)),
    Case("division by zero", deck("V1 a 0 0\nB1 b 0 V=1/v(a)\nR1 b 0 1\n.op\n"), Outcome.INVALID,
         ("v(b) = 1e+32", "point 0", "limit of 1e+09")),
    Case("exponential overflow",
         deck("V1 a 0 0\nB1 b 0 V=exp(v(a))\nR1 b 0 1\n.dc V1 0 5000 1000\n"), Outcome.INVALID,
         ("v(b)", "at point 1", "limit")),
    Case("no analysis", deck(DIVIDER), Outcome.INVALID, ("no raw file", "no analysis")),
    Case("measure never triggers",
         deck(DIVIDER + ".dc V1 0 1 0.1\n.meas dc top max v(b)\n.meas dc at when v(b)=7\n",
              expected_measures=("top", "at")),
         Outcome.INVALID, ("measure 'at'", "out of interval")),
    Case("measure not written", deck(DIVIDER + ".op\n", expected_measures=("top",)),
         Outcome.INVALID, ("measure 'top'",)),
    Case("fewer points", deck(DIVIDER + ".dc V1 0 1 0.1\n", expected_points=12), Outcome.INVALID,
         ("11 points", "expected 12")),
    Case("signal not saved",
         deck(DIVIDER + ".save v(a) v(nosuch)\n.op\n", expected_signals=("v(a)", "v(NoSuch)")),
         Outcome.INVALID, ("no signal 'v(nosuch)'",)),
    Case("error in a control block", deck(DIVIDER + ".control\nlet x = v(nosuch)\n.endc\n.op\n"),
         Outcome.INVALID, ("error", "nosuch")),
]  # fmt: skip

CASES = REJECTED + UNSOLVABLE + SILENT


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_failure_has_its_outcome_and_names_its_cause(case: Case, ngspice: Ngspice) -> None:
    if not ngspice.klu:
        pytest.skip("the wording is that of ngspice 46")
    result = run_deck(case.deck, ngspice, timeout_s=30)
    assert result.outcome is case.outcome, result.reason
    for words in case.said:
        assert words in result.reason.lower()
    assert "\n" not in result.reason
    assert len(result.reason) < 600


@pytest.mark.parametrize("body", [
    pytest.param(DIVIDER + ".op\n", id="operating point"),
    pytest.param(DIVIDER + ".dc V1 0 1 0.1\n", id="sweep"),
    pytest.param("V1 error 0 1\nR1 error singular_matrix 1\nR2 singular_matrix 0 1\n"
                 "C1 error 0 1n\n.tran 1n 20n\n", id="nodes called error and singular matrix"),
    pytest.param("V1 a 0 1 ac 1\nR1 a b 1e3\nC1 b 0 1p\n.ac dec 1 1e9 1e12\n",
                 id="frequencies above the limit of values"),
    pytest.param("I1 0 a 0\nR1 a 0 1\n.dc R1 1e9 1e11 1e10\n", id="swept value above the limit"),
])  # fmt: skip
def test_a_good_run_is_ok(body: str, ngspice: Ngspice) -> None:
    result = run_deck(deck(body), ngspice, timeout_s=30)
    assert (result.outcome, result.reason) == (Outcome.OK, "")


def test_a_failed_deck_names_what_the_user_put_into_it(ngspice: Ngspice) -> None:
    """Nobody but us knows a file deck.cir in a folder that is gone."""
    failed = deck("V1 a 0 1\nV2 a 0 2\nR1 a 0 1\n.op\n", holds=("own tia, amp of amp.cir",))
    with pytest.raises(SimulationFailedError, match=r"it holds own tia, amp of amp\.cir\n"):
        run_deck(failed, ngspice, timeout_s=30).require_ok()


def test_a_deck_can_accept_a_log_line_and_a_larger_value(ngspice: Ngspice) -> None:
    accepted = ("SINGULAR matrix", "transient op started", "stepping failed")
    result = run_deck(replace(OPEN_NODE, tolerated=accepted), ngspice, timeout_s=30)
    assert result.outcome is Outcome.OK, result.reason
    large = deck("V1 a 0 0\nB1 b 0 V=1/v(a)\nR1 b 0 1\n.op\n", value_limit=1e33)
    assert run_deck(large, ngspice, timeout_s=30).ok


def test_numbers_of_a_failed_run_are_not_handed_out(ngspice: Ngspice) -> None:
    result = run_deck(deck("I1 0 a 1u\nC1 a 0 1p\n.op\n", name="tile_3"), ngspice, timeout_s=30)
    with pytest.raises(SimulationFailedError) as caught:
        _ = result.plot
    message = str(caught.value)
    assert "tile_3: invalid: log: Warning: singular matrix: check node a" in message
    assert f"{ngspice.path} -n -b -r out.raw deck.cir" in message
    log = message.partition("from the log:\n")[2].splitlines()
    assert log[0].strip() == "Warning: singular matrix:  check node a"
    assert "No. of Data Rows" in message  # the end of the log
    assert "DRAM" not in message  # of the machine, not of the run
    assert "Library pages" not in message
    assert "set SPICELOOP_KEEP=FOLDER" in message


def test_the_decks_of_failed_runs_are_kept_where_the_user_asks(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deck, side files and log; the command in the message then runs there."""
    monkeypatch.setenv("SPICELOOP_KEEP", str(tmp_path / "failed"))
    bad = deck(".include r.inc\nV1 a 0 1\nV2 a 0 2\n.op\n", name="images 3/4",
               files={"r.inc": "R1 a 0 1\n"})  # fmt: skip
    for name in ("images_3_4", "images_3_4-2"):
        result = run_deck(bad, ngspice, timeout_s=30)
        place = tmp_path / "failed" / name
        assert result.kept == str(place)
        assert (place / "deck.cir").read_text(encoding="utf-8") == bad.text
        assert {path.name for path in place.iterdir()} == {"deck.cir", "r.inc", "ngspice.log"}
        assert f"kept in {place}: run the command above there" in str(SimulationFailedError(result))
    again = subprocess.run(result.command, cwd=place, capture_output=True, check=False)
    assert b"singular matrix" in again.stdout + again.stderr
    good = run_deck(deck(DIVIDER + ".op\n"), ngspice, timeout_s=30)
    assert (good.ok, good.kept) == (True, "")
    assert len(list((tmp_path / "failed").iterdir())) == 2


@pytest.mark.parametrize("name", ["./own.cir", "own.cir", '"own.cir', '"own.cir"'])
def test_the_line_of_a_file_is_told_however_a_version_writes_its_name(name: str) -> None:
    log = f"Error: unknown subckt: xa.xin a 0 nosuch\n    in line no. 6 from file {name}\n"
    files = {"own.cir": "1\n2\n3\n4\n5\nXin p q nosuch\n"}
    said = first_error(log, '* t\n.include "own.cir"\n', files)
    assert said.endswith("nosuch (line 6 of own.cir: Xin p q nosuch)")
