"""The other ways in which a hypervisor's data reaches Zabbix: active agent, push over TLS, external check over ssh."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import second as other
from commands import Command
from waiting import eventually, eventually_equal
from zabbix_kvm import external

from zabbix import CONFIG, WORK, Zabbix, provision, unsupported

if TYPE_CHECKING:
    from second import Second

SSHD_CONF = f"""
Port 2222
ListenAddress 127.0.0.1
HostKey {WORK}/ssh/host
AuthorizedKeysFile {WORK}/ssh/id.pub
StrictModes no
UsePAM no
PidFile none
"""
SSH_URI = f"qemu+ssh://root@127.0.0.1:2222/system?keyfile={WORK}/ssh/id&no_verify=1&no_tty=1"


@pytest.fixture(scope="module")
def sshd(zabbix: Zabbix) -> Iterator[None]:
    """An ssh server that lets the user zabbix in with a key, as root."""
    folder = WORK / "ssh"
    folder.mkdir()
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    subprocess.run(["chown", "zabbix", folder / "id"], check=True)
    (folder / "sshd.conf").write_text(SSHD_CONF)
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd.conf"], stderr=subprocess.DEVNULL
    )
    eventually("sshd answers", lambda: subprocess.call(["ssh-keyscan", "-p", "2222", "127.0.0.1"], **NOTHING) == 0)
    yield
    process.terminate()
    process.wait()


NOTHING = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def test_external_check_over_ssh(watched: Zabbix, kvm: Command, sshd: None, tmp_path: Path) -> None:
    file = tmp_path / "hypervisors.ini"
    file.write_text(f"[remote1]\nway = external\n{{$KVM.URI}} = {SSH_URI}\n{{$KVM.INTERVAL}} = 5s\n")
    assert provision(kvm, "--hypervisors", str(file), "--no-dashboard").code == 0
    other_port = SSH_URI.replace("2222", "2223")
    external.ALLOWED.write_text(f"{SSH_URI}\n{other_port}\n")
    has_values(watched, "remote1")
    watched.set_macros("remote1", KVM_URI=f"{SSH_URI}&command=/bin/sh")
    eventually(
        "a URI of somebody else's choice is told",
        lambda: "is not in" in watched.items("remote1")["kvm.error"]["lastvalue"],
    )
    watched.set_macros("remote1", KVM_URI=other_port)
    eventually(
        "a wrong port is told",
        lambda: "port 2223: Connection refused" in watched.items("remote1")["kvm.error"]["lastvalue"],
    )
    assert unsupported(watched, "remote1") == []


def test_active_agent(watched: Zabbix, kvm: Command, tmp_path: Path) -> None:
    file = tmp_path / "hypervisors.ini"
    file.write_text("[active1]\nway = active\n{$KVM.INTERVAL} = 5s\n")
    assert provision(kvm, "--hypervisors", str(file), "--no-dashboard").code == 0
    watched.active_agent("active1")
    has_values(watched, "active1")


def test_push_of_a_remote_hypervisor_over_tls(watched: Zabbix, kvm: Command, second: Second) -> None:
    assert provision(kvm, "--hypervisor", "tls1", "--way", "trapper", "--no-dashboard").code == 0
    send = ("zabbix_kvm", "send", "--uri", other.URI_TLS, "--host", "tls1", "--config", CONFIG)
    eventually("it takes values", lambda: kvm(*send).code == 0)
    eventually("kvm2 is read", lambda: watched.items("tls1")["kvm.host.hostname"]["lastvalue"] == "kvm2")
    unknown = kvm(*(argument.replace("/pki", "/no-pki") for argument in send))
    assert unknown.code == 3
    assert "no-pki" in unknown.err


def has_values(zabbix: Zabbix, host: str) -> None:
    """Wait until the VMs of a hypervisor have values and nothing is unsupported.

    A server that reads its configuration while a host is being made may see its items before its macros, and calls
    their intervals invalid until it reads the configuration again.
    """
    eventually(
        f"web1 on {host} has a CPU utilization",
        lambda: any(
            item["name"] == "VM web1: CPU utilization" and int(item["lastclock"])
            for item in zabbix.items(host).values()
        ),
    )
    hostname = "kvm.host.hostname"
    eventually_equal("it is kvm1", lambda: zabbix.items(host)[hostname]["lastvalue"], "kvm1")
    eventually_equal("nothing is unsupported", lambda: unsupported(zabbix, host), [])
