"""How one gets onto the screen or the serial console of a domain: by its XML, with the command that opens it."""

from __future__ import annotations

from typing import Any

import pytest
from kvmwatch_terminal.details import SECTIONS
from kvmwatch_terminal.rows import Row
from kvmwatch_terminal.sections import Shown, things

from kvmwatch.model import states
from kvmwatch.model.policy import Policy
from kvmwatch.model.snapshot import Console, Domain, Snapshot
from kvmwatch.reading import domain_xml, records
from kvmwatch.reading.records import Reading

SERIAL = """<serial type='pty'><source path='/dev/pts/3'/><target type='isa-serial' port='0'/><alias name='serial0'/>
</serial>"""
THE_SAME = """<console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/><target type='serial' port='0'/>
<alias name='serial0'/></console>"""
VIRTIO = "<console type='pty' tty='/dev/pts/4'><target type='virtio' port='1'/><alias name='console1'/></console>"


def of(devices: str) -> tuple[Console, ...]:
    return domain_xml.parse(f"<domain><name>web1</name><devices>{devices}</devices></domain>").consoles


@pytest.mark.parametrize(
    ("xml", "console"),
    [
        (
            "<graphics type='vnc' port='5901' autoport='yes' listen='127.0.0.1'>"
            "<listen type='address' address='127.0.0.1'/></graphics>",
            Console("vnc", "address", "127.0.0.1", "5901"),
        ),
        (
            "<graphics type='spice' port='5900' tlsPort='5902' listen='::1'/>",
            Console("spice", "address", "::1", "5900", "5902"),
        ),
        (
            "<graphics type='spice' tlsPort='5902'><listen type='network' address='10.0.0.1' network='lan'/></graphics>",
            Console("spice", "network", "10.0.0.1", None, "5902"),
        ),
        (
            "<graphics type='vnc'><listen type='socket' socket='/run/v.sock'/></graphics>",
            Console("vnc", "socket", path="/run/v.sock"),
        ),
        ("<graphics type='vnc' socket='/run/v.sock'/>", Console("vnc", "socket", path="/run/v.sock")),
        ("<graphics type='vnc' port='-1' autoport='yes' listen='0.0.0.0'/>", None),
        ("<graphics type='spice'><listen type='none'/></graphics>", None),
        ("<graphics type='egl-headless'/>", None),
        (SERIAL, Console("serial", "pty", path="/dev/pts/3")),
        (SERIAL + THE_SAME, Console("serial", "pty", path="/dev/pts/3")),
        (VIRTIO, Console("virtio", "pty", path="/dev/pts/4")),
        (
            "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4555'/><protocol type='raw'/></serial>",
            Console("serial", "tcp", "127.0.0.1", "4555"),
        ),
        (
            "<serial type='udp'><source mode='connect' host='10.0.0.9' service='2'/>"
            "<source mode='bind' host='10.0.0.1' service='1'/></serial>",
            Console("serial", "udp", "10.0.0.1", "1"),
        ),
        ("<serial type='unix'><source mode='bind' path='/s'/></serial>", Console("serial", "unix", path="/s")),
        ("<serial type='file'><source path='/var/log/x'/></serial>", Console("serial", "file", path="/var/log/x")),
        ("<serial type='null'/><console type='null'/>", None),
        ("<console type='pty'/>", Console("console", "pty")),
    ],
)
def test_of_the_xml(xml: str, console: Console | None) -> None:
    assert of(xml) == ((console,) if console else ())


def test_what_others_wrote_is_readable() -> None:
    (console,) = of("<serial type='file'><source path='/a&#9;\u202e&#10;b'/></serial>")
    assert console.path == "/a  b"


def test_one_that_does_not_run_has_none() -> None:
    defined = domain_xml.parse(f"<domain><devices>{SERIAL}</devices></domain>")

    def read(state: int) -> Domain:
        fields: dict[str, Any] = {"state.state": state, "state.reason": 1}
        return records.domain(Reading("u", "web1", None, 0.0, fields, defined), 0.0)

    assert read(states.RUNNING).consoles == (Console("serial", "pty", path="/dev/pts/3"),)
    assert read(states.SHUTOFF).consoles == ()


@pytest.mark.parametrize(
    ("devices", "commands"),
    [
        (SERIAL + THE_SAME + VIRTIO, ["virsh console 'a b'", "virsh console 'a b' --devname console1"]),
        (VIRTIO + SERIAL, ["virsh console 'a b' --devname serial0", "virsh console 'a b'"]),
        (
            THE_SAME + SERIAL + SERIAL.replace("serial0", "serial1"),
            ["virsh console 'a b'", "virsh console 'a b' --devname serial1"],
        ),
        ("<graphics type='vnc' port='5900'/><graphics type='rdp' port='3389'/>", ["virt-viewer 'a b'", None]),
        ("<serial type='file'><source path='/x'/></serial>", [None]),
    ],
)
def test_the_command_that_opens_it(devices: str, commands: list[str | None]) -> None:
    assert opened_by("a b", devices) == commands


@pytest.mark.parametrize("name", ["7", "-x", "--help", "a\u202eb", "a\tb"])
def test_a_name_that_is_an_id_or_an_option_there_is_not_in_the_command(name: str) -> None:
    """virsh console 7 opens the VM that runs as number 7, whatever it is called."""
    assert opened_by(name, SERIAL) == ["virsh console u"]


def opened_by(name: str, devices: str) -> list[str | None]:
    domain = Domain("u", name, 1, states.RUNNING, 1, 0.0, consoles=of(devices))
    (section,) = (section for section in SECTIONS if section.name == "consoles")
    shown = Shown(Row(domain, 0.0), Snapshot("qemu:///system", 0, 0), Policy())
    return [thing.of.command for thing in things(section, shown)]
