"""Words that no symbol of a model can have as its name, and which language means what by them.

Of ngspice those are here that it misreads in braces, as measured with version 46. Of Verilog-A all
keywords of Verilog-AMS 2.4 (Accellera, 2014, annex B) are, for other compilers refuse more of them
than OpenVAF does. What is not here is run in `tests/devices/test_names.py`.
"""

from __future__ import annotations

import keyword

_VERILOG = """
    above abs absdelay absdelta abstol ac_stim access acos acosh aliasparam always analog analysis
    and asin asinh assert assign atan atan2 atanh automatic begin branch buf bufif0 bufif1
    case casex casez ceil cell cmos config connect connectmodule connectrules continuous
    cos cosh cross ddt ddt_nature ddx deassign default defparam design disable discipline discrete
    domain driver_update edge else end endcase endconfig endconnectrules enddiscipline endfunction
    endgenerate endmodule endnature endparamset endprimitive endspecify endtable endtask event
    exclude exp final_step flicker_noise floor flow for force forever fork from function generate
    genvar ground highz0 highz1 hypot idt idt_nature idtmod if ifnone incdir include inf initial
    initial_step inout input instance integer join laplace_nd laplace_np laplace_zd laplace_zp large
    last_crossing liblist library limexp ln localparam log macromodule max medium merged min module
    nand nature negedge net_resolution nmos noise_table noise_table_log nor noshowcancelled not
    notif0 notif1 or output parameter paramset pmos posedge potential pow primitive pull0 pull1
    pulldown pullup pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat
    resolveto rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed sin sinh slew
    small specify specparam split sqrt string strong0 strong1 supply0 supply1 table tan tanh task
    time timer tran tranif0 tranif1 transition tri tri0 tri1 triand trior trireg units unsigned use
    uwire vectored wait wand weak0 weak1 while white_noise wire wor wreal xnor xor zi_nd zi_np
    zi_zd zi_zp electrical
"""
_NGSPICE = """
    abs acos acosh agauss arctan asin asinh atan atanh aunif ceil cos cosh e exp floor gauss
    gnd hertz int limit ln log log10 max min nint pi pow pwl pwr sgn sin sinh sqr sqrt tan tanh
    temper ternary_fcn time unif var vec
"""
# Terminals and what the tables and the equations of a device call their own.
_OWN = "v i p n m s y current t_s v_v i_a"

# ngspice takes the two of a pair for one parameter where a compiled device has both.
TAKEN_FOR_ONE = (("temp", "temperature"), ("dt", "dtemp"))

_WORDS = {
    "this program": frozenset(_OWN.split()),
    "Python": frozenset(keyword.kwlist),
    "ngspice": frozenset(_NGSPICE.split()),
    "Verilog-A": frozenset(_VERILOG.split()),
}


def reserved_by(name: str) -> str:
    """The language, or languages, that mean something of their own by `name`; empty if none does.

    Args:
        name: as a model would have it, in lower case.
    """
    return " and ".join(language for language, words in _WORDS.items() if name in words)
