"""A password in a URI or URL is printed by no command, however it fails and however much it is to say."""

from __future__ import annotations

import pytest
from commands import CHECKS, KINDS, Command

RUNS = "within"

SECRET = "s3cr3t"
URIS = (
    f"qemu+tcp://root:{SECRET}@127.0.0.1:1/system",
    f"esx://root:{SECRET}@127.0.0.1:1/?no_verify=1",
    f"nonsense://root:a@{SECRET}@127.0.0.1/",
    f"test://root:{SECRET}@127.0.0.1/nonexistent",
)
#: whoever reads a hypervisor
READING = (
    *((f"check_kvm_{check}",) for check in CHECKS),
    *(("zabbix_kvm", "discover", kind) for kind in KINDS),
    ("zabbix_kvm", "collect"),
    ("zabbix_kvm", "collect", "--for-agent"),
    ("zabbix_kvm", "send", "--config", "/dev/null"),
    ("nagios_kvm", "config", "--format", "nagios"),
    ("nagios_kvm", "config", "--format", "icinga2", "--host", "kvm1"),
    ("nagios_kvm", "publish", "--to", "/tmp/nonexistent", "--host", "kvm1"),
    ("nagios_kvm", "publish", "--to", "/nonexistent"),
)
#: whoever asks an API, and the option of its URL
ASKING = (
    ("zabbix_kvm", "provision", "--url"),
    ("zabbix_kvm", "verify", "--url"),
    ("nagios_kvm", "publish", "--host", "kvm1", "-u", "test:///default", "--credentials", "/nonexistent", "--to"),
)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_of_libvirt_uris(command: Command, arguments: tuple[str, ...]) -> None:
    for uri in URIS:
        for verbose in ((), ("-vvv",)):
            ran = command(*arguments, "-u", uri, "-t", "10", *verbose)
            assert SECRET not in ran.out + ran.err, uri


@pytest.mark.parametrize("arguments", [READING[0], *READING[-5::2]], ids=" ".join)
def test_of_a_libvirt_uri_while_a_process_ends(forked: Command, arguments: tuple[str, ...]) -> None:
    ran = forked(*arguments, "-u", URIS[0], "-t", "10", "-vvv")
    assert ran.code
    assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize("arguments", ASKING, ids=" ".join)
@pytest.mark.parametrize(
    "url", ["http://u:{}@127.0.0.1:1/zabbix", "http://u:{}@192.0.2.1/", "ftp://u:{}@kvm1", "http://u:{}@kvm1:x"]
)
def test_of_urls(command: Command, arguments: tuple[str, ...], url: str) -> None:
    ran = command(*arguments, url.format(SECRET), "-t", "10", env={"ZABBIX_TOKEN": SECRET})
    assert ran.code
    assert SECRET not in ran.out + ran.err
