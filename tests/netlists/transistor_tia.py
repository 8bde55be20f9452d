"""A designer's amplifier for tests: a two-stage op-amp of a library's transistors, with feedback.

The library has two corners; one of them includes a file that nobody has, as a kit may for corners
that are not installed.
"""

from __future__ import annotations

from pathlib import Path

LIBRARY = """\
* Two transistors, level 1. Copyright of nobody.
.lib typical
.param vth=0.5
.lib "models.lib" mos
.endl typical

.lib slow
.param vth=0.6
.include "not_installed.inc"
.lib "models.lib" mos
.endl

.lib mos
.model nch nmos level=1 vto={vth} kp=200u lambda=0.05
.model pch pmos level=1 vto={-vth} kp=80u lambda=0.05
.endl mos
"""

AMPLIFIER = """\
* The supply is inside: +-1.65 V.
*#####################
.subckt My_Tia in out RF = 10k params: vos=0 ibias={20u}
vdd vdd 0 1.65
vss vss 0 -1.65
vos plus 0 {vos}
ib bias vss {ibias}
mb bias bias vdd vdd pch w=20u l=1u
* the input pair and its mirror
mt tail bias vdd vdd pch w=40u l=1u
m1 n1 in tail tail pch w=200u l=1u
m2 n2 plus tail tail pch w=200u l=1u
m3 n1 n1 vss vss nch w=20u l=1u
m4 n2 n1 vss vss nch w=20u l=1u
* the second stage sinks what the bit line brings
m5 out n2 vss vss nch w=800u l=1u
m6 out bias vdd vdd pch w=800u
+ l=1u
rf in out {rf}
.ends My_Tia
"""


FOUNDRY = """\
* A transimpedance amplifier: two-stage op-amp in GF180, 3.3 V devices, with feedback rf.
.param sw_stat_mismatch=0 sw_stat_global=0
.subckt my_tia in out rf=10k vos=0
vdd vdd 0 1.65
vss vss 0 -1.65
vos plus 0 {vos}
* bias: 20 uA
rb bias vss 95k
xb bias bias vdd vdd pmos_3p3 w=20u l=1u
* input pair
xt tail bias vdd vdd pmos_3p3 w=40u l=1u
x1 n1 in tail tail pmos_3p3 w=40u l=0.5u
x2 n2 plus tail tail pmos_3p3 w=40u l=0.5u
x3 n1 n1 vss vss nmos_3p3 w=10u l=1u
x4 n2 n1 vss vss nmos_3p3 w=10u l=1u
* second stage: the driver sinks what the bit line brings
x5 out n2 vss vss nmos_3p3 w=100u l=0.5u
x6a out bias vdd vdd pmos_3p3 w=100u l=0.5u
x6b out bias vdd vdd pmos_3p3 w=100u l=0.5u
x6c out bias vdd vdd pmos_3p3 w=100u l=0.5u
x6d out bias vdd vdd pmos_3p3 w=100u l=0.5u
rz n2 z 500
cc z out 2p
rf in out {rf}
.ends my_tia
"""


def write_amplifier(folder: Path) -> Path:
    """Writes `my_tia.cir` and `models.lib`; returns the former."""
    (folder / "models.lib").write_text(LIBRARY)
    (folder / "my_tia.cir").write_text(AMPLIFIER)
    return folder / "my_tia.cir"
