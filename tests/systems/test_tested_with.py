"""docs/install.md says with what everything is tested: the row of this machine's release is what is installed on it."""

from __future__ import annotations

import platform
import re
import subprocess

import pytest
from installed import CHECKOUT

#: column to the package whose version it is
PACKAGES = {
    "Python": "python3",
    "libvirt": "libvirt-daemon",
    "QEMU": "qemu-system-x86",
    "Zabbix": "zabbix-server-pgsql",
    "Nagios": "nagios4-core",
    "NRPE": "nagios-nrpe-server",
    "Icinga": "icinga2-bin",
    "Director": "icingaweb2-module-director",
}


def test_the_row_of_this_release() -> None:
    release = platform.freedesktop_os_release()
    name = f"{release['ID'].capitalize()} {release['VERSION_ID']}"
    if release["ID"] != "debian":
        pytest.skip(f"{name} is not one of the table: its versions change with every point release")
    installed = [name, *(version(package) for package in PACKAGES.values())]
    row = f"| {' | '.join(installed)} |"
    page = (CHECKOUT / "docs" / "install.md").read_text(encoding="utf-8")
    assert f"| release | {' | '.join(PACKAGES)} |" in page
    assert row in page, "docs/install.md: the table of what it is tested with"


def version(package: str) -> str:
    """Major and minor version: what a release does not change any more."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    text = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    found = re.match(r"(?:\d+:)?(\d+\.\d+)", text)
    assert found, text
    return found[1]
