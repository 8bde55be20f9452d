"""The apt entry that `run` derives from a machine's own Debian source."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.run_script.machines import ENTRY, KEY, Machine

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
