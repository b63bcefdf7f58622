"""What the domain's XML says that no statistics tell: device types, MAC addresses, balloon period, title."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional
from xml.etree import ElementTree

from kvmwatch.model import policy
from kvmwatch.model.snapshot import Disk, Interface
from kvmwatch.model.text import readable

#: characters; what a host's name and a macro's value take in Zabbix
LONGEST_TITLE = 128
#: the elements of clouds that have the name which people know, and the way from there to whose it is
_CLOUDS = (
    ("{http://openstack.org/xmlns/libvirt/nova/1.1}", "instance", ("owner", "project")),
    ("{http://openstack.org/xmlns/libvirt/nova/1.0}", "instance", ("owner", "project")),  # older VMs
    ("{http://opennebula.org/xmlns/libvirt/1.0}", "vm", ("gname",)),
)
_TITLES = ("title", *(f"metadata/{namespace}{element}/{namespace}name" for namespace, element, _ in _CLOUDS))
_PROJECTS = tuple(
    "/".join([f"metadata/{namespace}{element}", *(f"{namespace}{step}" for step in steps)])
    for namespace, element, steps in _CLOUDS
)
_KUBEVIRT = "metadata/{http://kubevirt.io}kubevirt"
_LONGEST_NAME = 255  # of a bridge, a model, a path: for people and for filters


class Definition(NamedTuple):
    """The parts of a domain's XML that monitoring needs; its devices have no figures yet."""

    title: Optional[str]
    vcpus: int
    balloon_period: int  # seconds; 0: the guest reports its memory only once
    agent_connected: Optional[bool]  # None: it has no channel for a guest agent
    policy: policy.Policy
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]  # in the order of net.N of the statistics
    project: Optional[str] = None  # whose it is in its cloud


def parse(xml: str) -> Definition:
    """Read virDomainGetXMLDesc's document. Raises ElementTree.ParseError if it is none."""
    root = ElementTree.fromstring(xml)
    watch = root.find(f"metadata/{{{policy.NAMESPACE}}}watch")
    stats = root.find("devices/memballoon/stats")
    vcpu = root.find("vcpu")
    channel = root.find("devices/channel/target[@name='org.qemu.guest_agent.0']")
    return Definition(
        title=_title(root),
        vcpus=int(vcpu.get("current") or vcpu.text or 1) if vcpu is not None else 1,
        balloon_period=int(stats.get("period") or 0) if stats is not None else 0,
        agent_connected=None if channel is None else channel.get("state") == "connected",
        policy=policy.Policy() if watch is None else _policy(watch, len(xml)),
        disks=tuple(_disk(disk) for disk in root.iterfind("devices/disk") if disk.find("target") is not None),
        interfaces=tuple(_interfaces(root)),
        project=_project(root),
    )


def _title(root: ElementTree.Element) -> Optional[str]:
    """The first name for people that there is and that is not empty."""
    return _text(root, _TITLES)


def _project(root: ElementTree.Element) -> Optional[str]:
    """Its project in OpenStack, group in OpenNebula or namespace in KubeVirt, whose names are NAMESPACE_NAME."""
    namespace, _, name = (root.findtext("name") or "").partition("_")
    if name and root.find(_KUBEVIRT) is not None:
        return readable(namespace, LONGEST_TITLE)
    return _text(root, _PROJECTS)


def _text(root: ElementTree.Element, paths: tuple[str, ...]) -> Optional[str]:
    """The first text that is not empty at one of these places."""
    texts = (root.findtext(path) for path in paths)
    return next((readable(text.strip(), LONGEST_TITLE) for text in texts if text and text.strip()), None)


def _policy(watch: ElementTree.Element, size: int) -> policy.Policy:
    if size > policy.LIMIT:  # of the whole document; so it is rarely written out to be measured
        size = len(ElementTree.tostring(watch, encoding="unicode"))
        if size > policy.LIMIT:
            return policy.too_large(size)

    def local(element: ElementTree.Element) -> str:
        return element.tag.rsplit("}", 1)[-1]

    return policy.read(local(watch), watch.attrib, [(local(child), child.attrib) for child in watch])


def _attribute(element: ElementTree.Element, child: str, *names: str) -> Optional[str]:
    found = element.find(child)
    text = None if found is None else next((found.get(name) for name in names if found.get(name)), None)
    return None if text is None else readable(text, _LONGEST_NAME)


def _disk(disk: ElementTree.Element) -> Disk:
    return Disk(
        name=_attribute(disk, "target", "dev") or "",
        device=disk.get("device") or "disk",
        bus=_attribute(disk, "target", "bus"),
        kind=disk.get("type"),
        path=_attribute(disk, "source", "file", "dev", "name", "volume"),
        mirror=None if disk.find("mirror") is None else _attribute(disk, "mirror", "job") or "copy",
    )


def _interfaces(root: ElementTree.Element) -> Iterator[Interface]:
    keys: set[str] = set()
    for number, element in enumerate(root.iterfind("devices/interface")):
        key = _attribute(element, "mac", "address") or f"net{number}"
        if key in keys:  # the same MAC twice is legal
            key = f"{key}#{number}"
        keys.add(key)
        yield _interface(element, key)


def _interface(interface: ElementTree.Element, key: str) -> Interface:
    return Interface(
        key=key,
        name=_attribute(interface, "target", "dev"),
        kind=interface.get("type") or "",
        source=_attribute(interface, "source", "network", "bridge", "dev", "portgroup"),
        model=_attribute(interface, "model", "type"),
        link_down=_attribute(interface, "link", "state") == "down",
        bridge=_attribute(interface, "source", "bridge"),
        device=_attribute(interface, "source", "dev"),
        virtualport=_attribute(interface, "virtualport", "type"),
    )
