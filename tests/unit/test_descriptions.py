"""A domain's XML that waits, fails or does not parse costs that domain its devices, and nobody else anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.reading.deadline import Deadline
from kvmwatch.reading.descriptions import Description, Descriptions

XML = "<domain><devices><disk device='disk'><target dev='vda'/></disk></devices></domain>"
OLD, NEW = 9_000_000, 11_003_000  # of libvirt


def error(code: int, text: str) -> libvirt.libvirtError:
    made = libvirt.libvirtError(text)
    made.err = (code, 0, text, 2, None, None, None, 0, 0)
    return made


class Domain:
    """Stands for a libvirt domain with an XML, or what libvirt raises in its place; a real one fails only by chance."""

    def __init__(self, uuid: str, xml: str | Exception = XML, occupied: int = 0, alive: bool = True) -> None:
        self.uuid, self.xml, self.occupied, self.alive = uuid, xml, occupied, alive
        self.denied = False  # polkit may deny a single domain
        self.asked: list[str] = []

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's names
        return self.uuid

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        self.asked.append("XML")
        if isinstance(self.xml, Exception):
            raise self.xml
        return self.xml

    def metadata(self, *_arguments: Any) -> str:
        self.asked.append("metadata")
        if self.denied:
            raise error(libvirt.VIR_ERR_ACCESS_DENIED, "access denied")
        return "<watch ignore='yes'/>"

    def controlInfo(self, _flags: int) -> tuple[int, int, int]:  # noqa: N802
        self.asked.append("control")
        return (libvirt.VIR_DOMAIN_CONTROL_OCCUPIED if self.occupied else 0), 0, self.occupied * 1000

    def connect(self) -> Any:
        return SimpleNamespace(isAlive=lambda: self.alive)


def read(
    *domains: Domain, version: int = NEW, waiting: tuple[str, ...] = (), groups: Group = Group.DEFINITION
) -> dict[str, Description]:
    hypervisor: Any = SimpleNamespace(
        connection=SimpleNamespace(getLibVersion=lambda: version), call=lambda work: work()
    )
    listed: Any = [(domain, {"state.state": libvirt.VIR_DOMAIN_RUNNING}) for domain in domains]
    return Descriptions(hypervisor, groups, Deadline(10)).read(listed, waiting)


@pytest.mark.parametrize(
    "xml",
    [
        "<domain><na\x00me/></domain>",
        "",
        error(libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock"),
        error(libvirt.VIR_ERR_OPERATION_FAILED, "max_queued"),
        error(libvirt.VIR_ERR_ACCESS_DENIED, "access denied"),
    ],
    ids=repr,
)
def test_xml_that_cannot_be_had_is_told_of_its_domain_alone(xml: str | Exception) -> None:
    read_now = read(Domain("a"), Domain("b", xml), Domain("c"))
    assert read_now["b"].definition is None
    assert read_now["b"].unread
    assert read_now["b"].policy == Policy(ignore=True), "its metadata are obeyed all the same"
    for uuid in "ac":
        assert read_now[uuid].definition
        assert read_now[uuid].unread == ()


def test_a_domain_that_is_gone_has_no_description() -> None:
    assert read(Domain("a"), Domain("b", error(libvirt.VIR_ERR_NO_DOMAIN, "no domain"))).keys() == {"a"}


def test_a_lost_connection_is_an_error_of_the_whole() -> None:
    lost = Domain("b", error(libvirt.VIR_ERR_SYSTEM_ERROR, "Connection reset by peer"), alive=False)
    with pytest.raises(libvirt.libvirtError, match="reset by peer"):
        read(Domain("a"), lost)


def test_the_xml_of_a_hung_domain_is_not_asked_for_where_it_would_wait() -> None:
    hung = Domain("b", occupied=7)
    read_now = read(Domain("a"), hung)
    assert hung.asked == ["control", "metadata"]
    assert read_now["b"].unread
    assert read_now["a"].definition


def test_before_libvirt_11_it_is_asked_for_as_it_does_not_wait() -> None:
    hung = Domain("b", occupied=7)
    assert read(Domain("a"), hung, version=OLD)["b"].definition
    assert hung.asked == ["XML"]


@pytest.mark.parametrize("version", [OLD, NEW])
def test_what_let_a_call_wait_is_not_asked_again(version: int) -> None:
    held = Domain("b")
    assert read(Domain("a"), held, version=version, waiting=("b",))["b"].unread
    assert "XML" not in held.asked


@pytest.mark.parametrize("groups", [Group.DEFINITION, Group.POLICY], ids=str)
def test_a_domain_that_is_denied_is_told_and_no_other(groups: Group) -> None:
    denied = Domain("b", error(libvirt.VIR_ERR_ACCESS_DENIED, "access denied"))
    denied.denied = True
    read_now = read(Domain("a"), denied, groups=groups)
    assert {part.why for part in read_now["b"].unread} == {"access denied"}
    assert read_now["a"].unread == ()
