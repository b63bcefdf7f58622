"""Nothing of libvirt's own logging gets between our lines."""

from __future__ import annotations

import subprocess

import pytest
from commands import EXAMPLE_URI, Command


def test_host_name_that_does_not_resolve_is_no_news(command: Command) -> None:
    """libvirt warns of it on stderr, unless it is told where to log."""
    if subprocess.call(["unshare", "--uts", "true"], stderr=subprocess.DEVNULL):
        pytest.skip("only root may change the host name of a namespace")
    script = f"hostname no-such-name; exec {command.bin}/check_kvm_host -u {EXAMPLE_URI}"
    ran = subprocess.run(["unshare", "--uts", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert (ran.stdout.startswith("KVM_HOST "), ran.stderr) == (True, "")
