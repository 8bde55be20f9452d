"""Machines for the set-up script `run` to stand on: stand-ins for all that it would change.

Each machine has a copy of `run` in a folder of its own, its own /etc and a PATH of a few real tools
and stand-ins for apt-get, sudo, ngspice and Python, so that nothing is installed or changed here.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "run"
TOOLS = (
    *("sh", "awk", "sed", "cat", "cp", "chmod", "dirname", "env", "flock", "grep", "head"),
    *("mkdir", "mv", "rm", "sha256sum", "tee"),
)

# The entry that a Debian source of its own place and key leads to.
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
ENTRY = "Types: deb\nURIs: {uri}\nSuites: bookworm-backports\nComponents: main\n{options}"

# --------------------------------------------------------------------------- stand-ins ----

NGSPICE = """#!/bin/sh
echo '** ngspice-{version} : Circuit level simulation program'
[ {version} -lt 42 ] || echo '** Compiled with KLU Direct Linear Solver'
"""

# Installs ngspice 46 from a backports suite and $CANDIDATE otherwise; $OFFLINE names what fails.
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$CALLS"
case "$OFFLINE $*" in
    all*) exit 100 ;;
    binutils*install*binutils*) exit 100 ;;
    *install*binutils*) printf '#!/bin/sh\n' >"$BIN/ld"; chmod +x "$BIN/ld"; exit 0 ;;
    backports*spiceloop-backports*) exit 100 ;;
    *install*-backports*) version=46 ;;
    *install*) version=$CANDIDATE ;;
    *) exit 0 ;;
esac
sed "s/VERSION/$version/" "$BIN/ngspice.template" >"$BIN/ngspice"
chmod +x "$BIN/ngspice"
"""

APT_CACHE = """#!/bin/sh
case "$1" in
    policy) printf 'ngspice:\\n  Candidate: %s\\n' "${CANDIDATE:-(none)}" ;;
    madison)
        if [ -e "$SPICELOOP_ETC/apt/sources.list.d/spiceloop-backports.sources" ]; then
            echo 'ngspice | 46+ds-1 | http://mirror.example.org bookworm-backports/main amd64'
        fi
        echo "ngspice | $CANDIDATE+ds-1 | http://mirror.example.org bookworm/main amd64"
        ;;
esac
"""

PYTHON = """#!/bin/sh
case "$1 $2" in
    -V*) echo "Python $VERSION" ;;
    '-c import sys; raise'*) [ "$VERSION" != 3.9.2 ] ;;
    '-c import sys; print'*) echo 3.11 ;;
    '-m venv') mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    '-m pip') echo "pip $*" >>"$CALLS"; [ -z "$PIP_FAILS" ] ;;
    -m*) echo "python $*" >>"$CALLS" ;;
esac
"""


@dataclass
class Machine:
    """A pretended machine: its folders and the environment that its stand-ins read."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def backports(self) -> Path:
        return self.root / "etc/apt/sources.list.d/spiceloop-backports.sources"

    def put(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def have_ngspice(self, version: int) -> None:
        self.put("ngspice", NGSPICE.format(version=version))

    def have_linker(self) -> None:
        self.put("ld", "#!/bin/sh\n")

    def have_apt(self, *, candidate: int | None, uid: int = 0) -> None:
        self.put("apt-get", APT_GET)
        self.put("apt-cache", APT_CACHE)
        self.put("id", f"#!/bin/sh\necho {uid}\n")
        self.env["CANDIDATE"] = "" if candidate is None else str(candidate)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.checkout / "run"), *arguments],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def calls(self, of: str = "") -> list[str]:
        text = (self.root / "calls").read_text(encoding="utf-8")
        return [line for line in text.splitlines() if line.startswith(of)]


def one_sentence(finished: subprocess.CompletedProcess[str]) -> str:
    """The message of a refusal: the last line, the only one that does not tell progress."""
    assert finished.returncode == 1
    refusals = [line for line in finished.stderr.splitlines() if not line.startswith("setup: ")]
    assert len(refusals) == 1, finished.stderr
    return refusals[0]
