"""Whatever combination of calls fails costs what those calls were about, and is told of it; nothing else changes.

On libvirt's test driver, which lives in this process, so that each call of the binding can be let fail. What a fault
may cost is in the tables below: a call that is in none of them fails a test that says so.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import libvirt
import pytest
from check_kvm.frame import output, plugin
from check_kvm.frame.judging import all_checks, groups
from check_kvm.frame.plugin import Check
from check_kvm.frame.siteconfig import SiteConfig
from faults import Call, Faults, error
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nagios_kvm import judging, services
from zabbix_kvm import discovery, master

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.rates import Sample, Samples, samples, with_rates
from kvmwatch.model.selection import Selection
from kvmwatch.model.snapshot import Disk, Domain, Interface, Snapshot
from kvmwatch.reading import bulk, classic, descriptions, hypervisor
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

HERE = "tests/unit/test_containment.py"
#: those of local processes need more than libvirt
CHECKS = tuple(check for check in all_checks() if Group.PROCESSES not in check.groups)
OF_DOMAINS = tuple(check.name for check in CHECKS if check.selects == "domain" and check.name != "host")

#: method to the checks that judge what it tells of a domain (or of its disk, its interface, its snapshot)
OF_A_DOMAIN: dict[str, tuple[str, ...]] = {
    "virDomain.state": OF_DOMAINS,
    "virConnect.domainListGetStats": ("cpu", "memory", "disk", "network"),
    "virDomain.metadata": OF_DOMAINS,
    "virDomain.XMLDesc": ("memory", "disk", "network", "agent"),
    "virDomain.info": ("cpu", "memory"),
    "virDomain.vcpus": ("cpu",),
    "virDomain.memoryStats": ("memory",),
    "virDomain.blockStats": ("disk",),
    "virDomain.blockInfo": ("disk",),
    "virDomain.diskErrors": ("disk",),
    "virDomain.interfaceStats": ("network",),
    "virDomain.controlInfo": ("state", "cpu", "memory", "disk", "network"),
    "virDomain.guestInfo": ("agent",),
    "virDomain.fsInfo": ("agent",),
    "virDomain.listAllSnapshots": ("snapshot",),
    "virDomainSnapshot.getXMLDesc": ("snapshot",),
    "virConnect.lookupByUUIDString": (),  # there is another way to find it
}
#: method, and flags where it has some, to the checks that judge what it tells of the hypervisor or of all domains
OF_ALL: dict[tuple[str, str], tuple[str, ...]] = {
    ("virConnect.getInfo", ""): ("host",),
    ("virConnect.getCPUStats", ""): ("host",),
    ("virConnect.getMemoryStats", ""): ("host",),
    ("virConnect.getHostname", ""): ("host",),
    ("virConnect.getVersion", ""): ("host",),
    ("virConnect.getType", ""): ("host",),
    ("virConnect.getLibVersion", ""): ("host",),
    ("virConnect.getAllDomainStats", ""): (),  # there is another way to list them
    ("virConnect.listAllDomains", str(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)): ("state",),
    ("virConnect.listAllDomains", str(libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)): ("snapshot",),
    # these three matter to a check only where somebody asked for what they tell
    ("virConnect.listAllDomains", str(libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT)): (),
    ("virConnect.listAllDomains", str(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)): (),
    ("virConnect.listAllDomains", str(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)): (),
}
#: the same of the pools and the networks as a whole
OF_PARTS: dict[str, tuple[str, ...]] = {
    "virConnect.listAllStoragePools": ("pools",),
    "virConnect.listAllNetworks": ("networks",),
}
#: without which there is nothing to tell of
OF_THE_WHOLE = {("virConnect.listAllDomains", "0")}
#: of one pool or network
OF_A_PART = (
    *("virStoragePool.", "virStorageVol.", "virNetwork."),
    *("virConnect.storagePoolLookupByUUIDString", "virConnect.networkLookupByUUIDString"),
)

#: what may have a connection of its own: the host, pools, networks, the guest agents
BESIDE = ("virConnect.get", *OF_PARTS, *OF_A_PART, "virDomain.guestInfo", "virDomain.fsInfo")
#: whose answer is text, or has some in it
TEXTS = ("XMLDesc", "metadata", "getXMLDesc", "getHostname", "guestInfo", "fsInfo", "domainListGetStats")
STEADY = frozenset(
    f"virDomain.{name}" for name in ("info", "vcpus", "memoryStats", "blockStats", "blockInfo", "interfaceStats")
) | {"virConnect.getCPUStats", "virConnect.getMemoryStats"}

UUID = "11111111-0000-4000-8000-{:012d}".format
WEB1, DB1, HELD, PAUSED, OFF, ALONE = (UUID(number) for number in range(1, 7))
EVERY = (WEB1, DB1, HELD, PAUSED, OFF, ALONE)
VM = """<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
<test:runstate>{state}</test:runstate><name>{name}</name><uuid>{uuid}</uuid>
<metadata><k:watch xmlns:k='urn:kvmwatch:1' {watch}/></metadata>
<memory unit='GiB'>2</memory><vcpu>2</vcpu><os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/images/{name}.img'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><source file='/images/{name}-data.img'/><target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><target dev='hda' bus='ide'/></disk>
<interface type='bridge'><mac address='52:54:00:00:0{number}:01'/><source bridge='br0'/><target dev='tap{number}0'/>
</interface>
<interface type='bridge'><mac address='52:54:00:00:0{number}:02'/><source bridge='br1'/><target dev='tap{number}1'/>
</interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<memballoon model='virtio'><stats period='10'/></memballoon></devices>{snapshots}</domain>"""
SNAPSHOT = """<test:domainsnapshot><name>{name}</name><active>0</active><creationTime>1795450700</creationTime>
<state>running</state><domain type='test'><name>{vm}</name><uuid>{uuid}</uuid><memory>8</memory>
<os><type arch='x86_64'>hvm</type></os></domain></test:domainsnapshot>"""
POOL = """<pool type='dir'><name>{name}</name><uuid>33333333-0000-4000-8000-00000000000{number}</uuid>
<target><path>/pools/{name}</path></target>
<volume><name>a</name><capacity unit='GiB'>80</capacity><allocation unit='GiB'>40</allocation></volume>
<volume><name>b</name><capacity unit='GiB'>8</capacity><allocation unit='GiB'>4</allocation></volume></pool>"""
NETWORK = """<network><name>{name}</name><uuid>22222222-0000-4000-8000-00000000000{number}</uuid>
<forward mode='nat'/><bridge name='{name}br'/>
<ip address='192.168.{number}.1' netmask='255.255.255.0'><dhcp><range start='192.168.{number}.2'
end='192.168.{number}.9'/></dhcp></ip></network>"""


def node() -> str:
    """A hypervisor with VMs in several states, two of each thing that it and they can have."""
    parts = []
    for number, (name, state) in enumerate(
        (("web1", 1), ("db1", 1), ("held", 3), ("paused", 3), ("off", 5), ("alone", 1)), 1
    ):
        taken = [SNAPSHOT.format(name=f"s{n}", vm=name, uuid=UUID(number)) for n in range(2)]
        watch = {"alone": "ignore='yes'", "paused": "expect='paused'"}.get(name, "")
        parts.append(
            VM.format(
                name=name,
                number=number,
                uuid=UUID(number),
                state=state,
                watch=watch,
                snapshots="".join(taken) if name in ("web1", "off") else "",
            )
        )
    parts += [POOL.format(name=name, number=number) for number, name in enumerate(("images", "backup"))]
    parts += [NETWORK.format(name=name, number=number) for number, name in enumerate(("front", "back"))]
    return f"<node>{''.join(parts)}</node>"


#: what the test driver does not tell by itself: an agent that is connected, its file systems, a disk that failed
ANSWERS = {
    "virDomain.XMLDesc": lambda _domain, really, *_: really().replace(
        "name='org.qemu.guest_agent.0'", "name='org.qemu.guest_agent.0' state='connected'"
    ),
    "virDomain.guestInfo": lambda *_: {
        **{"fs.count": 1, "fs.0.mountpoint": "/", "fs.0.fstype": "ext4"},
        **{"fs.0.total-bytes": 1 << 30, "fs.0.used-bytes": 1 << 29},
    },
    "virDomain.state": lambda domain, really, *_: [3, 5] if domain.UUIDString() == HELD else really(),
    "virConnect.getAllDomainStats": lambda _connection, really, *_: [
        (domain, fields | ({"state.reason": 5} if domain.UUIDString() == HELD else {}))
        for domain, fields in really()
    ],
    "virDomain.diskErrors": lambda *_: {},
    "virNetwork.DHCPLeases": lambda network, *_: [
        {"mac": f"52:54:00:00:0{number}:0{1 + (network.name() == 'back')}", "ipaddr": f"192.168.0.{number}"}
        for number in range(1, 7)
    ],
    "virConnect.getMemoryStats": lambda *_: {"total": 64 << 20, "free": 32 << 20},
}

CODES = tuple(
    getattr(libvirt, f"VIR_ERR_{name}")
    for name in (
        *("OPERATION_FAILED", "INTERNAL_ERROR", "ACCESS_DENIED", "OPERATION_TIMEOUT", "OPERATION_INVALID"),
        *("SYSTEM_ERROR", "RPC", "AGENT_UNRESPONSIVE"),
    )
)
GONE = libvirt.VIR_ERR_NO_DOMAIN
GARBAGE = ("", "<", "<domain><na\x00me/></domain>", "<domain><vcpu>x</vcpu></domain>")


class Failing(NamedTuple):
    """How a call fails. Every kind is one that the binding really shows."""

    code: int = 0  # of libvirt's error
    garbage: str | None = None  # what it answers instead

    def __call__(self) -> Any:
        if self.garbage is not None:
            return self.garbage
        if not self.code:
            b"\xff".decode()  # what the binding does with text that is no UTF-8
        raise error(self.code, f"it failed with code {self.code}")


def kinds(call: Call) -> st.SearchStrategy[Failing]:
    method = call.name.split(".")[1]
    ways: list[st.SearchStrategy[Failing]] = [st.sampled_from(CODES).map(Failing)]
    if call.owner:
        ways.append(st.just(Failing(GONE)))
    if method in TEXTS:
        ways.append(st.just(Failing()))
    if method in ("XMLDesc", "getXMLDesc", "metadata"):
        ways.append(st.sampled_from(GARBAGE).map(lambda text: Failing(garbage=text)))
    return st.one_of(ways)


class World:
    """The hypervisor, and what is seen of it while nothing fails."""

    def __init__(self, uri: str, faults: Faults, xml_waits: bool) -> None:
        self.uri, self.faults, self.xml_waits = uri, faults, xml_waits
        self._earlier: Samples = {}
        undisturbed = self.read(ALL_GROUPS)
        self._earlier = {
            key: Sample(
                940.0, sample.generation, {name: max(0, value - 1) for name, value in sample.counters.items()}
            )
            for key, sample in samples(undisturbed).items()
        }
        self.before = Seen(self.read(ALL_GROUPS))
        self.judged = {check.name: told(check, self.read(check.reads)) for check in CHECKS}
        asked = self._asked()
        self.calls = sorted(call for call in asked if not left_out(call))
        self.of_parts = sorted(call for call in asked if call.name.startswith(OF_A_PART))

    def read(self, groups: Group) -> Snapshot:
        """Read it, with nothing in the records that the clock would change, and rates."""
        found = Reader(self.uri, groups, Selection(), Deadline(60)).read()
        host = found.host
        if host:
            host = host._replace(time=1000.0, stats=host.stats._replace(latency=0.01))
        domains = tuple(domain._replace(time=1000.0) for domain in found.domains)
        steady = found._replace(time=1_795_450_800.0, latency=0.01, host=host, domains=domains)
        return with_rates(steady, self._earlier)

    def _asked(self) -> set[Call]:
        """All calls there are: some are made only where others failed."""
        for name in (
            "virDomain.XMLDesc",
            "virDomain.memoryStats",
            "virDomain.guestInfo",
            "virConnect.getAllDomainStats",
        ):
            code = libvirt.VIR_ERR_NO_SUPPORT if name.startswith("virDomain.g") else libvirt.VIR_ERR_INTERNAL_ERROR
            owners = EVERY if name.startswith("virDomain") else ("",)
            with self.faults.these({Call(owner, name): Failing(code) for owner in owners}):
                self.read(ALL_GROUPS)
        return self.faults.asked


class Seen:
    """What our commands tell of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.records = {domain.uuid: domain for domain in snapshot.domains}
        self.pools, self.networks = snapshot.pools, snapshot.networks
        self.document = json.loads(json.dumps(master.document(snapshot)))
        self.domains = {entry["uuid"]: entry for entry in self.document["domains"]}
        self.rows = {row["{#VM.UUID}"]: row for row in self.document["discovery"].get("domains", ())}
        self.services = {
            result.service: (result.code, result.output)
            for result in judging.results(snapshot, CHECKS, SiteConfig(), output.DEFAULT_STYLE)
        }


class Told(NamedTuple):
    """A check's exit code, and what it says of each VM: the state and line of each subject, and the perfdata."""

    code: int
    text: str
    subjects: dict[str, list[tuple[str, str]]]
    perfdata: dict[str, list[str]]


NAMES = dict(zip(("web1", "db1", "held", "paused", "off", "alone"), EVERY))
ALL_GROUPS = groups(CHECKS) | master.GROUPS | Group.FILESYSTEM


def told(check: Check, snapshot: Snapshot) -> Told:
    verdict = plugin.judged(check, snapshot, plugin.checked_thresholds(check, SiteConfig()))
    text, code = output.render(check.name, verdict, output.Style(verbose=1))
    subjects: dict[str, list[tuple[str, str]]] = {}
    perfdata: dict[str, list[str]] = {}
    for subject in verdict.sorted_subjects():
        subjects.setdefault(owner(subject.name), []).append((str(subject.state), subject.line()))
    for measured in verdict.perfdata:
        perfdata.setdefault(owner(measured.label.replace(".", " ")), []).append(str(measured.performance))
    return Told(code, text, subjects, perfdata)


def owner(name: str) -> str:
    """The UUID of the VM that a subject is of; empty where it is of none."""
    return NAMES.get(name.split(" ", maxsplit=1)[0], "")


def left_out(call: Call) -> bool:
    return (call.name, call.argument) in OF_THE_WHOLE or call.name.startswith(OF_A_PART)


def judges(call: Call) -> tuple[str, ...]:
    """The checks that judge what a call tells. Fails for one of which the tables say nothing."""
    if call.argument == "hda":
        return ()  # a drive for media is no disk of the domain
    if call.name in OF_A_DOMAIN:
        return OF_A_DOMAIN[call.name]
    if call.name in OF_PARTS:
        return ()
    known = (call.name, call.argument) in OF_ALL
    assert known, f"{call.name} is asked: say in the tables of {HERE} which checks judge what it tells"
    return OF_ALL[call.name, call.argument]


def statistics(_connection: Any, _really: Any, domains: list[Any], flags: int, _more: int) -> bulk.Listed:
    """Stands for a QEMU driver's bulk statistics, where a call fails for one domain's sake only by chance."""
    groups = (group for group, flag in bulk._STATS.items() if flag & flags)
    return classic.read(domains, reduce(or_, groups, Group.NONE))


def one_hypervisor(patch: pytest.MonkeyPatch, uri: str) -> None:
    """Let all connections be to the same one, as those to a daemon are: the test driver makes one for each of them.

    Making it takes longer than a reading. What may write stays apart from what may not.
    """
    for way in ("open", "openReadOnly"):
        opened = getattr(libvirt, way)(uri)
        patch.setattr(opened, "close", lambda: 0)
        patch.setattr(libvirt, way, {uri: opened}.__getitem__)


@pytest.fixture(scope="module", params=["classic", "bulk", "bulk, waits"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hypervisor with each provider of statistics, and as a libvirt whose XML waits (11.0), whichever is here."""
    provider, _, waits = request.param.partition(", ")
    file = tmp_path_factory.mktemp("containment") / "node.xml"
    file.write_text(node(), encoding="utf-8")
    faults = Faults(ANSWERS | {"virConnect.domainListGetStats": statistics})
    with pytest.MonkeyPatch.context() as patch:
        faults.wrap(patch, STEADY)
        patch.setattr(descriptions, "_XML_WAITS", 0 if waits else sys.maxsize)
        if provider == "bulk":
            patch.setattr(hypervisor, "_provider", lambda _uri: bulk)
        one_hypervisor(patch, f"test://{file}")
        yield World(f"test://{file}", faults, bool(waits))


def test_all_is_well_while_nothing_fails(world: World) -> None:
    """Else the other tests would prove nothing."""
    assert world.before.document["unread"] == {"count": 0, "text": ""}
    wrong = {name for name, (code, _) in world.before.services.items() if code}
    assert wrong == {"KVM state held"}, (
        "a check that finds something wrong with World's VMs hides what containment is of"
    )
    assert {call.owner for call in world.calls} == {"", *EVERY}
    assert world.before.domains[WEB1]["addresses"] == "192.168.0.1"
    assert "addresses" not in world.before.domains[OFF]


def test_every_call_is_in_the_tables(world: World) -> None:
    """See ``judges``."""
    assert all(isinstance(judges(call), tuple) for call in world.calls)


class Lost:
    """What some failed calls cost."""

    def __init__(self, failed: Mapping[Call, Failing], xml_waits: bool) -> None:
        self.xml_waits = xml_waits
        # of a domain that has just stopped nobody wants to know whether its QEMU answers
        stopped = Failing(libvirt.VIR_ERR_OPERATION_INVALID)
        self.failed = {
            call: failing
            for call, failing in failed.items()
            if (call.name, failing) != ("virDomain.controlInfo", stopped)
        }
        self.gone = {call.owner for call, failing in failed.items() if failing.code == GONE}
        self.touched = {call.owner for call in failed if call.owner}
        self.lists = {call.argument for call in failed if call.name == "virConnect.listAllDomains"}

    def by(self, check: str, uuid: str) -> bool | None:
        """Whether a check lost what it judges of a domain, or of the hypervisor (without UUID). None: perhaps.

        What it lost is not OK; where it lost nothing, it says what it said before.
        """
        part = {"pool": "pools", "net": "networks"}.get(check)
        if part:
            return self.parts(part) and not uuid
        if check == "host" and uuid:
            return False
        if check == "host" and self.gone:
            return None  # what domains were promised is a sum over all of them
        if uuid in self.gone:
            return None
        of_it = {call.name for call in self.failed if check in judges(call) and call.owner in ("", uuid)}
        if check == "host":
            of_it |= {call.name for call in self.failed if call.name == "virDomain.info" and call.owner != OFF}
        if of_it == {"virDomain.controlInfo"} and (self.xml_waits or self.of("", "getLibVersion")):
            return None  # it may have been asked only whether its XML would wait
        if not of_it and self.of(uuid, "lookupByUUIDString") and check in OF_A_DOMAIN["virDomain.controlInfo"]:
            return None  # there is another way to find it, and not to ask whether its QEMU answers
        if of_it and uuid == ALONE:
            return None  # it is judged only when it could not tell that it is to be left alone
        if of_it and uuid == OFF and (of_it <= {"virDomain.state"} or check not in ("state", "snapshot")):
            return None  # that it is off is told by another call as well
        return bool(of_it)

    def of(self, uuid: str, *methods: str) -> bool:
        """Whether one of these methods failed for a domain."""
        return any(call.owner == uuid and call.name.split(".")[1] in methods for call in self.failed)

    def parts(self, kind: str) -> bool:
        return any(kind in OF_PARTS.get(call.name, ()) for call in self.failed)


def without_addresses(domain: Domain) -> Domain:
    """The record without what the networks' leases tell."""
    return domain._replace(interfaces=tuple(interface._replace(addresses=()) for interface in domain.interfaces))


def compare_records(lost: Lost, before: Seen, after: Seen) -> None:
    kept = without_addresses if lost.parts("networks") else lambda domain: domain
    for uuid, record in ((uuid, kept(domain)) for uuid, domain in before.records.items()):
        if uuid not in after.records:
            assert uuid in lost.gone, f"{record.name} is left out"
            continue
        now = kept(after.records[uuid])
        if uuid not in lost.touched:
            assert without_lists(now, lost) == without_lists(record, lost)
        elif not lost.of(uuid, "XMLDesc", "state", "domainListGetStats"):
            compare_devices(lost, record, now)
    if not lost.parts("pools"):
        assert after.pools == before.pools
    if not lost.parts("networks"):
        assert after.networks == before.networks


def compare_devices(lost: Lost, before: Domain, after: Domain) -> None:
    assert [disk.name for disk in after.disks] == [disk.name for disk in before.disks]
    assert [interface.key for interface in after.interfaces] == [interface.key for interface in before.interfaces]
    pairs: list[tuple[Disk | Interface, Disk | Interface]] = [
        *zip(before.disks, after.disks),
        *zip(before.interfaces, after.interfaces),
    ]
    for was, now in pairs:
        if not any(call.owner == before.uuid and call.argument == was.name for call in lost.failed):
            assert now == was or (isinstance(was, Disk) and lost.of(before.uuid, "diskErrors"))


def without_lists(domain: Domain, lost: Lost) -> Domain:
    """The record without what lists of domains tell, where one failed."""
    if not lost.lists:
        return domain
    return domain._replace(
        autostart=None,
        persistent=None,
        managed_save=None,
        has_snapshots=None,
        has_checkpoints=None,
        unread=(),
        stats=domain.stats._replace(snapshots=None, oldest_snapshot=None, newest_checkpoint=None),
    )


def compare_services(lost: Lost, before: Seen, after: Seen) -> None:
    for service in services.services(Snapshot("", 0, 0, domains=tuple(before.records.values())), CHECKS):
        check, domain = service.check, service.domain
        uuid = domain.uuid if domain else ""
        if service.name not in after.services:
            assert uuid in lost.gone, f"{service.name} is left out"
            continue
        code, text = after.services[service.name]
        losing = lost.by(check.name, uuid)
        if losing:
            assert code, text
        elif losing is not None:
            assert (code, text) == before.services[service.name]


def compare_documents(lost: Lost, before: Seen, after: Seen) -> None:
    untouched = before.records.keys() - lost.touched
    spoilt = {"addresses": ""} if lost.parts("networks") else {}
    for uuid in untouched if not lost.lists else ():
        assert after.domains[uuid] | spoilt == before.domains[uuid] | spoilt
    nameless = lost.of("", "getHostname")
    assert nameless == ("domains" not in after.document["discovery"]), "an old list is better than one of nobody's"
    for uuid, row in before.rows.items() if not nameless else ():
        if uuid in after.records and not lost.of(uuid, "XMLDesc"):
            now = after.rows[uuid]
            if lost.lists or lost.of(uuid, "state"):  # which tell whether it runs, and whether it should
                assert now["{#VM.STATE}"] != discovery.OFF or row["{#VM.STATE}"] == discovery.OFF, "it is left out"
                now = now | {"{#VM.STATE}": row["{#VM.STATE}"]}
            assert now | {"filesystems": 0} == row | {"filesystems": 0}
            assert now == row or lost.of(uuid, "guestInfo", "fsInfo", "state", "lookupByUUIDString")
        assert uuid in after.rows or uuid in lost.gone
    for kind in ("pools", "networks"):
        if not lost.parts(kind):
            assert after.document[kind] == before.document[kind]
            assert after.document["discovery"][kind] == before.document["discovery"][kind]
        elif kind in after.document["discovery"]:
            assert len(after.document["discovery"][kind]) == len(before.document["discovery"][kind])
    unread = after.document["unread"]
    losers = {name for name, uuid in NAMES.items() if any(lost.by(check.name, uuid) for check in CHECKS)}
    losers -= {"off"} if lost.of(OFF, "state") else set()
    assert unread["count"] >= len(losers)
    if unread["count"] < 10:  # the text is cut to what an item takes
        assert {name for name in losers if f"VM {name}" not in unread["text"]} == set()
    assert bool(lost.failed) or unread["count"] == 0


def compare_told(lost: Lost, check: Check, before: Told, after: Told) -> None:
    for uuid in ("", *EVERY):
        losing = lost.by(check.name, uuid)
        now = after.subjects.get(uuid, [])
        if losing:
            assert after.code, after.text
            assert not uuid or any(state != "ok" for state, _ in now), after.text
        elif losing is not None and uuid:
            assert now == before.subjects.get(uuid, [])
            assert after.perfdata.get(uuid) == before.perfdata.get(uuid)


def contained(world: World, failing: Mapping[Call, Failing], check: Check) -> None:
    """See that these failing calls cost what they may, in everything that is read at once, and in a single check."""
    with world.faults.these(failing):
        after = Seen(world.read(ALL_GROUPS))
    lost = Lost({call: failing[call] for call in world.faults.failed}, world.xml_waits)
    compare_records(lost, world.before, after)
    compare_services(lost, world.before, after)
    compare_documents(lost, world.before, after)
    with world.faults.these(failing):
        now = told(check, world.read(check.reads))
    lost = Lost({call: failing[call] for call in world.faults.failed}, world.xml_waits)
    compare_told(lost, check, world.judged[check.name], now)


def some(data: st.DataObject, world: World, most: int) -> tuple[dict[Call, Failing], Check]:
    chosen = data.draw(st.lists(st.sampled_from(world.calls), max_size=most, unique=True), "calls")
    failing = {call: data.draw(kinds(call), f"{call.name} of {call.owner}") for call in chosen}
    return failing, data.draw(st.sampled_from(CHECKS), "check")


def test_any_call_that_fails_alone(world: World) -> None:
    """Of a VM that runs, one that does not, and of the hypervisor itself."""
    for number, call in enumerate(world.calls):
        if call.owner in (WEB1, OFF, ""):
            concerned = [check for check in CHECKS if check.name in judges(call)] or [CHECKS[number % len(CHECKS)]]
            contained(world, {call: Failing(CODES[number % len(CODES)])}, concerned[0])


def test_text_that_is_no_utf_8(world: World) -> None:
    """A file system or an interface can have such a name, and the binding raises something of its own."""
    for call in (call for call in world.calls if call.owner == WEB1 and call.name.split(".")[1] in TEXTS):
        (concerned, *_) = (check for check in CHECKS if check.name in judges(call))
        contained(world, {call: Failing()}, concerned)


def test_a_pool_or_network_that_fails_costs_no_more_than_all_of_them(world: World) -> None:
    for call in world.of_parts:
        method = call.name.split(".")[1]
        unreadable = method in ("XMLDesc", "bridgeName", "DHCPLeases")
        with world.faults.these({call: Failing(0 if unreadable else libvirt.VIR_ERR_INTERNAL_ERROR)}):
            after = Seen(world.read(ALL_GROUPS))
        spoilt = "networks" if call.name.startswith(("virNetwork.", "virConnect.network")) else "pools"
        kept = without_addresses if spoilt == "networks" else lambda domain: domain
        assert set(map(kept, after.records.values())) == set(map(kept, world.before.records.values())), call
        for kind in {"pools", "networks"} - {spoilt}:
            assert after.document[kind] == world.before.document[kind], call
        found = after.document["discovery"].get(spoilt)
        assert found is None or len(found) == len(world.before.document["discovery"][spoilt]), call


FIXED = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@given(data=st.data())
@settings(FIXED, max_examples=40)
def test_any_combination_of_failing_calls(world: World, data: st.DataObject) -> None:
    contained(world, *some(data, world, most=5))


@pytest.mark.parametrize("owner", [WEB1, ""], ids=["of a VM", "of the hypervisor"])
def test_a_lost_connection_is_an_error_of_the_whole(world: World, owner: str) -> None:
    for call in (call for call in world.calls if call.owner == owner and not call.name.startswith(BESIDE)):
        lost = Failing(libvirt.VIR_ERR_SYSTEM_ERROR)
        with world.faults.these({call: lost}, alive=False), contextlib.suppress(KvmwatchError):
            world.read(ALL_GROUPS)
            assert call not in world.faults.failed, f"{call} failed, and nobody was told"
