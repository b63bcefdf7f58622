"""What the domain's XML says that no statistics tell: device types, MAC addresses, balloon period, title.

It is searched from child to child: of a single tag ElementTree finds them by itself, for paths it has Python go
through all there are, which takes as long as to read the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Optional
from xml.etree import ElementTree

from kvmwatch.model import policy
from kvmwatch.model.record import Record
from kvmwatch.model.snapshot import Console, Disk, Interface
from kvmwatch.model.text import readable
from kvmwatch.reading import consoles
from kvmwatch.reading.titles import CLOUDS, LONGEST_TITLE, first_text

_KUBEVIRT = "{http://kubevirt.io}kubevirt"
_OURS = f"{{{policy.NAMESPACE}}}"
_AGENT = "org.qemu.guest_agent.0"
#: documents, of some KiB each: more than the domains of a hypervisor, or none would be met again
_REMEMBERED = 4096
_LONGEST_NAME = 255  # of a bridge, a model, a path: for people and for filters


class Definition(Record):
    """The parts of a domain's XML that monitoring needs; its devices have no figures yet."""

    title: Optional[str]
    vcpus: Sequence[int]  # their numbers
    vcpu_maximum: int
    balloon_period: int  # seconds; 0: the guest reports its memory only once
    agent_connected: Optional[bool]  # None: it has no channel for a guest agent
    policy: policy.Policy
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]  # in the order of net.N of the statistics
    project: Optional[str] = None  # whose it is in its cloud
    owner: Optional[str] = None
    pinned: tuple[tuple[int, str], ...] = ()
    consoles: tuple[Console, ...] = ()


@lru_cache(_REMEMBERED)
def parse(xml: str) -> Definition:
    """Read virDomainGetXMLDesc's document. Raises ElementTree.ParseError if it is none.

    Who reads again and again meets the same text, as a rule, and has it parsed once.
    """
    root = ElementTree.fromstring(xml)
    metadata, devices = _child(root, "metadata"), _child(root, "devices")
    # as libvirt finds what it gives as metadata: the first of our namespace, whatever it is called
    watch = next((found for found in metadata if found.tag.startswith(_OURS)), None)
    stats = _child(devices, "memballoon").find("stats")
    vcpu = root.find("vcpu")
    channels = (_child(channel, "target") for channel in devices.findall("channel"))
    channel = next((target for target in channels if target.get("name") == _AGENT), None)
    clouds = [(cloud, found) for cloud in CLOUDS if (found := metadata.find(cloud.tag)) is not None]
    names = (found.findtext(cloud.path("name")) for cloud, found in clouds)
    return Definition(
        title=first_text((root.findtext("title"), *names)),
        vcpus=_vcpus(root, vcpu),
        vcpu_maximum=1 if vcpu is None else int(vcpu.text or 1),
        balloon_period=int(stats.get("period") or 0) if stats is not None else 0,
        agent_connected=None if channel is None else channel.get("state") == "connected",
        policy=policy.Policy() if watch is None else _policy(watch, len(xml)),
        disks=tuple(_disk(disk) for disk in devices.findall("disk") if disk.find("target") is not None),
        interfaces=tuple(_interfaces(devices)),
        project=_of_kubevirt(root, metadata)
        or first_text(found.findtext(cloud.path(*cloud.project)) for cloud, found in clouds),
        owner=first_text(found.findtext(cloud.path(*cloud.owner)) for cloud, found in clouds),
        pinned=tuple(_pinned(root, vcpu)),
        consoles=(*consoles.graphics(devices), *consoles.serial(devices)),
    )


def _child(element: ElementTree.Element, tag: str) -> ElementTree.Element:
    """The first child with this tag, or one with nothing in it."""
    found = element.find(tag)
    return ElementTree.Element(tag) if found is None else found


def _of_kubevirt(root: ElementTree.Element, metadata: ElementTree.Element) -> Optional[str]:
    """Its namespace in KubeVirt, whose names are NAMESPACE_NAME."""
    namespace, _, name = (root.findtext("name") or "").partition("_")
    return readable(namespace, LONGEST_TITLE) if name and metadata.find(_KUBEVIRT) is not None else None


def _vcpus(root: ElementTree.Element, vcpu: Optional[ElementTree.Element]) -> Sequence[int]:
    """The first ones, unless each was plugged by itself (virsh setvcpu), which leaves gaps."""
    each = _child(root, "vcpus").findall("vcpu")
    if each:
        return tuple(int(one.get("id") or 0) for one in each if one.get("enabled") == "yes")
    return range(1 if vcpu is None else int(vcpu.get("current") or vcpu.text or 1))


def _pinned(root: ElementTree.Element, vcpu: Optional[ElementTree.Element]) -> Iterator[tuple[int, str]]:
    """Each vCPU with a pinning of its own; else all have that of <vcpu cpuset>, if any."""
    own = {
        int(pin.get("vcpu") or 0): readable(pin.get("cpuset") or "", _LONGEST_NAME)
        for pin in _child(root, "cputune").findall("vcpupin")
    }
    of_all = None if vcpu is None else vcpu.get("cpuset")
    numbers = range(int(vcpu.text or 0)) if vcpu is not None and of_all else own
    return ((number, own.get(number) or readable(of_all or "", _LONGEST_NAME)) for number in numbers)


def _policy(watch: ElementTree.Element, size: int) -> policy.Policy:
    if size > policy.LIMIT:  # of the whole document; so it is rarely written out to be measured
        size = len(ElementTree.tostring(watch, encoding="unicode"))
        if size > policy.LIMIT:
            return policy.too_large(size)

    def local(element: ElementTree.Element) -> tuple[str, policy.Attributes]:
        attributes = {name.removeprefix(_OURS): value for name, value in element.attrib.items()}
        return element.tag.rsplit("}", 1)[-1], attributes

    within = [local(child) for child in watch.iter() if child is not watch]
    return policy.read(*local(watch), within, "".join(watch.itertext()))


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
        pool=_attribute(disk, "source", "pool"),
        backing=tuple(_backing(disk)),
        limits=tuple(_limits(disk)),
        mirror=None if disk.find("mirror") is None else _attribute(disk, "mirror", "job") or "copy",
    )


def _backing(image: ElementTree.Element) -> Iterator[str]:
    while (below := image.find("backingStore")) is not None:
        path = _attribute(below, "source", "file", "dev", "name", "volume")
        if path:  # the end of the chain is an empty element
            yield path
        image = below


def _limits(disk: ElementTree.Element) -> Iterator[tuple[str, int]]:
    """What of <iotune> limits something: 0 does not, nor does the name of a group."""
    tuned = disk.find("iotune")
    for limit in () if tuned is None else tuned:
        number = int(limit.text) if limit.text and limit.text.isdecimal() else 0
        if number and limit.tag != "group_name":
            yield limit.tag, number


def _interfaces(devices: ElementTree.Element) -> Iterator[Interface]:
    keys: set[str] = set()
    for number, element in enumerate(devices.findall("interface")):
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
