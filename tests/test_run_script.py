"""The set-up script `run`, on machines that it can be told it stands on.

Each test copies `run` into a folder of its own, with its own /etc and a PATH of a few real tools
and stand-ins for apt-get, sudo, ngspice and Python, so that nothing is installed or changed here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[1] / "run"
TOOLS = (
    *("sh", "awk", "sed", "cat", "cp", "chmod", "dirname", "env", "flock", "grep", "head"),
    *("mkdir", "mv", "rm", "sha256sum", "tee"),
)

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


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Debian 12 with Python 3.11, its own mirror, and neither ngspice nor apt-get."""
    machine = Machine(tmp_path)
    machine.bin.mkdir()
    for tool in TOOLS:
        path = shutil.which(tool)
        assert path is not None, f"{tool} is missing here"
        (machine.bin / tool).symlink_to(path)
    machine.put("python3", PYTHON)
    machine.put("ngspice.template", NGSPICE.replace("{version}", "VERSION"))
    machine.checkout.mkdir()
    shutil.copy(RUN, machine.checkout / "run")
    for name in ("requirements.lock", "pyproject.toml"):
        (machine.checkout / name).write_text("x\n", encoding="utf-8")
    sources = machine.backports.parent
    sources.mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    (sources / "debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    (tmp_path / "calls").touch()
    machine.env = {
        "PATH": str(machine.bin),
        "HOME": str(tmp_path),
        "BIN": str(machine.bin),
        "CALLS": str(tmp_path / "calls"),
        "SPICELOOP_ETC": str(tmp_path / "etc"),
        "VERSION": "3.11.2",
        "OFFLINE": "",
        "PIP_FAILS": "",
    }
    return machine


def one_sentence(finished: subprocess.CompletedProcess[str]) -> str:
    """The message of a refusal: the last line, the only one that does not tell progress."""
    assert finished.returncode == 1
    refusals = [line for line in finished.stderr.splitlines() if not line.startswith("setup: ")]
    assert len(refusals) == 1, finished.stderr
    return refusals[0]


# ------------------------------------------------------------------------- the script ----


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_it_is_plain_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", str(RUN)], check=True)


def test_help_needs_no_set_up(machine: Machine) -> None:
    finished = machine.run("help")
    assert finished.returncode == 0
    assert finished.stdout == machine.run().stdout
    for command in ("demo", "test", "setup", "lint", "bench", "docs"):
        assert re.search(rf"^  {command} ", finished.stdout, re.MULTILINE)
    assert machine.calls() == []


def test_an_unknown_command_is_refused(machine: Machine) -> None:
    finished = machine.run("tset")
    assert finished.returncode == 2
    assert "'tset'" in finished.stderr
    assert "./run help" in finished.stderr


def test_arguments_pass_through_unchanged(machine: Machine) -> None:
    machine.have_ngspice(46)
    assert machine.run("test", "-k", "solver or wires").returncode == 0
    assert machine.calls("python")[-1] == "python -m pytest --ngspice required -k solver or wires"


# ------------------------------------------------------------------------ the apt entry ----

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
ENTRY = "Types: deb\nURIs: {uri}\nSuites: bookworm-backports\nComponents: main\n{options}"

DEB822 = f"""\
# made by the installer
Types: deb deb-src
# URIs: http://old.example.org/debian
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEY}
"""

SECURITY_FIRST = """\
Types: deb
URIs: http://security.example.org/debian-security
Suites: bookworm-security bookworm/updates
Components: main

types: deb
uris: https://mirror.example.org/debian/
suites:
 bookworm
 bookworm-updates
components: main
architectures: amd64
"""

CLOUD = f"""\
Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By: {KEY}
"""

WRITTEN_OUT_KEY = """\
Types: deb
URIs: https://mirror.example.org/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADmW5NdOOHwPIJlgPu6JDcKw/NZJPR8lsD3K87ZM18gzyQZJD+w
 -----END PGP PUBLIC KEY BLOCK-----
Check-Valid-Until: no
"""

THIRD_PARTY_FIRST = f"""\
Types: deb
URIs: https://tools.example.com/debian
Suites: bookworm
Components: main
Signed-By: /etc/apt/keyrings/tools.gpg

Types: deb
URIs: https://containers.example.com/linux/debian
Suites: bookworm
Components: stable

Types: deb
Enabled: no
URIs: https://off.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEY}

Types: deb-src
URIs: https://source.example.org/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: https://mirror.example.org/pool
Suites: bookworm
Components: main
Signed-By: {KEY}
"""

ONE_LINE = """\
#deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - DVD]/ bookworm main
deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - DVD]/ bookworm main
# deb http://old.example.org/debian bookworm main

deb-src http://source.example.org/debian bookworm main
deb http://security.example.org/debian-security bookworm-security main
deb\thttp://mirror.example.org/debian/   bookworm  main contrib # the near one
"""

ONE_LINE_OPTIONS = f"""\
deb [signed-by=/etc/apt/keyrings/tools.gpg] https://tools.example.com/debian bookworm main
deb [ arch=amd64,arm64 lang-=de signed-by={KEY} check-valid-until=no ] \
https://mirror.example.org/debian bookworm main
deb [signed-by={KEY}] https://mirror.example.org/debian bookworm-updates main
"""


@pytest.mark.parametrize(
    ("name", "text", "uri", "options"),
    [
        ("a.sources", DEB822, "http://mirror.example.org/debian", f"Signed-By: {KEY}\n"),
        (
            "a.sources",
            SECURITY_FIRST,
            "https://mirror.example.org/debian/",
            "architectures: amd64\n",
        ),
        ("a.sources", CLOUD, "mirror+file:///etc/apt/mirrors/debian.list", f"Signed-By: {KEY}\n"),
        (
            "a.sources",
            WRITTEN_OUT_KEY,
            "https://mirror.example.org/debian",
            WRITTEN_OUT_KEY[WRITTEN_OUT_KEY.index("Signed-By") :],
        ),
        ("a.sources", THIRD_PARTY_FIRST, "https://mirror.example.org/pool", f"Signed-By: {KEY}\n"),
        ("a.list", ONE_LINE, "http://mirror.example.org/debian/", ""),
        (
            "a.list",
            ONE_LINE_OPTIONS,
            "https://mirror.example.org/debian",
            "Architectures: amd64 arm64\nLanguages-Remove: de\n"
            f"Signed-By: {KEY}\nCheck-valid-until: no\n",
        ),
    ],
    ids=[
        *("deb822", "security first", "cloud mirror list", "key written out", "third parties"),
        *("one-line", "one-line options"),
    ],
)
def test_backports_entry_keeps_place_key_and_options(
    machine: Machine, name: str, text: str, uri: str, options: str
) -> None:
    file = machine.root / name
    file.write_text(text, encoding="utf-8")
    finished = machine.run("backports-entry", str(file), "bookworm")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == ENTRY.format(uri=uri, options=options)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# deb http://mirror.example.org/debian bookworm main\n",
        "deb http://security.example.org/debian-security bookworm-security main\n",
        "deb http://mirror.example.org/debian bookworm-updates main\n",
        "deb http://mirror.example.org/debian trixie main\n",
        "deb http://mirror.example.org/linux/debian bookworm stable\n",
    ],
)
def test_no_entry_without_a_debian_source(machine: Machine, text: str) -> None:
    file = machine.root / "a.list"
    file.write_text(text, encoding="utf-8")
    finished = machine.run("backports-entry", str(file), "bookworm")
    assert (finished.returncode, finished.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt-get here")
@pytest.mark.parametrize(
    ("name", "text"), [("a.sources", WRITTEN_OUT_KEY), ("a.list", ONE_LINE_OPTIONS)]
)
def test_apt_understands_the_entry(machine: Machine, name: str, text: str) -> None:
    file = machine.root / name
    file.write_text(text, encoding="utf-8")
    entry = machine.root / "entry.sources"
    entry.write_text(machine.run("backports-entry", str(file), "bookworm").stdout)
    targets = subprocess.run(
        [
            *("apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)"),
            *("-o", f"Dir::Etc::sourcelist={entry}", "-o", "Dir::Etc::sourceparts=-"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert targets.stderr == ""
    assert "https://mirror.example.org/debian/ bookworm-backports" in targets.stdout


# ---------------------------------------------------------------------------- ngspice ----


def test_a_fast_ngspice_is_left_alone(machine: Machine) -> None:
    machine.have_apt(candidate=39)
    machine.have_ngspice(46)
    assert machine.run("setup").returncode == 0
    assert machine.calls("apt-get") == []


def test_debian_12_gets_ngspice_from_backports(machine: Machine) -> None:
    machine.have_apt(candidate=39)
    finished = machine.run("setup")
    assert finished.returncode == 0
    assert "ngspice 46 with the KLU solver" in finished.stderr
    entry = machine.backports.read_text(encoding="utf-8")
    assert entry == ENTRY.format(
        uri="http://mirror.example.org/debian", options=f"Signed-By: {KEY}\n"
    )
    (install,) = (call for call in machine.calls("apt-get") if " install " in call)
    assert install.endswith("-t bookworm-backports ngspice")
    assert " -y " in install


def test_a_new_enough_candidate_needs_no_backports(machine: Machine) -> None:
    machine.have_apt(candidate=44)
    assert "ngspice 44 with the KLU solver" in machine.run("setup").stderr
    assert not machine.backports.exists()


def test_unreachable_backports_leave_no_trace_but_a_warning(machine: Machine) -> None:
    machine.have_apt(candidate=39)
    finished = machine.run("setup", OFFLINE="backports")
    assert finished.returncode == 0
    assert "warning: ngspice 39 without the KLU solver" in finished.stderr
    assert not machine.backports.exists()


def test_an_old_ngspice_does_where_nobody_may_install(machine: Machine) -> None:
    machine.have_apt(candidate=39, uid=1000)
    machine.have_ngspice(39)
    finished = machine.run("setup")
    assert finished.returncode == 0
    assert "warning: ngspice 39" in finished.stderr
    assert machine.calls("apt-get") == []


def test_sudo_is_used_where_it_asks_nothing(machine: Machine) -> None:
    machine.have_apt(candidate=44, uid=1000)
    machine.put("sudo", '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\n[ "$1" = true ] || exec "$@"\n')
    assert machine.run("setup").returncode == 0
    assert machine.calls("apt-get")


def test_without_apt_the_next_step_is_named(machine: Machine) -> None:
    assert "no apt-get" in (sentence := one_sentence(machine.run("setup")))
    assert "install ngspice" in sentence


def test_without_root_the_next_step_is_named(machine: Machine) -> None:
    machine.have_apt(candidate=39, uid=1000)
    assert "run 'apt-get install ngspice' as root" in one_sentence(machine.run("setup"))


def test_sudo_without_a_terminal_is_never_waited_for(machine: Machine) -> None:
    machine.have_apt(candidate=39, uid=1000)
    machine.put("sudo", '#!/bin/sh\n[ "$1" != -n ] || exit 1\nread -r password\n')
    assert "needs root" in one_sentence(machine.run("setup"))


def test_without_network_the_next_step_is_named(machine: Machine) -> None:
    machine.have_apt(candidate=None)
    assert "check the network" in one_sentence(machine.run("setup", OFFLINE="all"))


def test_too_old_an_ngspice_is_as_good_as_none(machine: Machine) -> None:
    machine.have_ngspice(36)
    assert "ngspice 39 or newer" in one_sentence(machine.run("setup"))


# ----------------------------------------------------------------------------- Python ----


def test_a_second_call_does_nothing_and_is_quick(machine: Machine) -> None:
    machine.have_ngspice(46)
    machine.run("setup")
    before = machine.calls("pip")
    started = time.perf_counter()
    assert machine.run("setup").returncode == 0
    assert time.perf_counter() - started < 0.5
    assert len(before) == 2
    assert machine.calls("pip") == before


def test_a_changed_lock_file_is_installed_into_the_same_venv(machine: Machine) -> None:
    machine.have_ngspice(46)
    machine.run("setup")
    (machine.checkout / ".venv/kept").touch()
    (machine.checkout / "requirements.lock").write_text("y\n", encoding="utf-8")
    machine.run("setup")
    assert (machine.checkout / ".venv/kept").exists()
    assert len(machine.calls("pip")) == 4


def test_a_half_made_venv_is_made_anew(machine: Machine) -> None:
    machine.have_ngspice(46)
    assert "pip could not install" in one_sentence(machine.run("setup", PIP_FAILS="yes"))
    (machine.checkout / ".venv/left-over").touch()
    finished = machine.run("setup")
    assert finished.returncode == 0
    assert "half-made" in finished.stderr
    assert not (machine.checkout / ".venv/left-over").exists()


def test_a_moved_checkout_gets_a_new_venv(machine: Machine) -> None:
    machine.have_ngspice(46)
    machine.run("setup")
    (machine.checkout / ".venv/stale").touch()
    moved = machine.checkout.rename(machine.root / "moved")
    subprocess.run([str(moved / "run"), "setup"], env=machine.env, check=True, capture_output=True)
    assert not (moved / ".venv/stale").exists()


def test_an_old_python_is_refused(machine: Machine) -> None:
    machine.have_ngspice(46)
    old = one_sentence(machine.run("setup", VERSION="3.9.2", PYTHON="python3"))
    assert "PYTHON=python3 is not a Python 3.11 or newer" in old
    assert "apt-get install python3" in one_sentence(machine.run("setup", VERSION="3.9.2"))
