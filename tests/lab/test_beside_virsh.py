"""kvmwatch show beside virsh, field by field for every guest there is; and the questions of the page."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pages
import pytest
from commands import Command, together
from guests import WORK, disk, guest, interface, qcow2
from test_list import STATES, virsh
from test_traps import domstats

if TYPE_CHECKING:
    from bed import Bed

pytestmark = pytest.mark.daemons("libvirtd")

#: a guest with what the others do not have: pinned vCPUs, limits, a snapshot
MADE = "beside1"
TAKEN = 8  # guests that are asked at once
STEADY = ("state", "agent", "snapshot")  # checks that say the same a moment later


class Virsh:
    """What virsh tells of a guest, each when it is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def info(self) -> dict[str, str]:
        """Dominfo."""
        return dict(re.findall(r"^(.*?): +(.*)$", virsh("dominfo", self.name), re.MULTILINE))

    @cached_property
    def stats(self) -> dict[str, str]:
        """Domstats."""
        return domstats(self.name, "--nowait")

    @cached_property
    def memory(self) -> dict[str, int]:
        """Dommemstat; KiB, but for last_update."""
        return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", self.words("dommemstat"), re.M)}

    def table(self, command: str, *options: str) -> list[list[str]]:
        """The rows of a table."""
        return [
            re.split(r"\s{2,}", line.strip()) for line in self.words(command, *options).splitlines()[2:] if line
        ]

    def words(self, command: str, *options: str) -> str:
        """What a command prints."""
        return virsh(command, self.name, *options)

    @property
    def runs(self) -> bool:
        """Whether it has a QEMU."""
        return self.info["State"] != "shut off"

    def parts(self, kind: str) -> list[dict[str, str]]:
        """What domstats has of each vCPU, disk or interface."""
        found = []
        for number in range(int(self.stats.get(f"{kind}.count", self.stats.get(f"{kind}.current", 0)))):
            prefix = f"{kind}.{number}."
            of = {key[len(prefix) :]: value for key, value in self.stats.items() if key.startswith(prefix)}
            found.append(of)
        return found


def kib(text: str) -> int:
    """Bytes of "131072 KiB"."""
    return int(text.split(maxsplit=1)[0]) * 1024


class Field(NamedTuple):
    """A field of virsh's, and ours; ``close``: how far apart, relatively, two looks may be."""

    name: str
    ours: Callable[[dict[str, Any]], Any]
    theirs: Callable[[Virsh], Any]
    close: float = 0
    of: Callable[[Virsh], object] = lambda told: True  # the guests that have it

    def about(self, theirs: Any) -> Any:
        """What ours is to be equal to."""
        return pytest.approx(theirs, rel=self.close, abs=3) if self.close else theirs


def runs(told: Virsh) -> bool:
    return told.runs


def has(field: str) -> Callable[[Virsh], bool]:
    return lambda told: told.runs and field in told.memory


def has_balloon(told: Virsh) -> bool:
    return told.runs and "<memballoon model='none'/>" not in told.words("dumpxml")


def each(section: str, *names: str) -> Callable[[dict[str, Any]], Any]:
    """These fields of each thing of a section, sorted."""
    return lambda shown: sorted(tuple(thing[name] for name in names) for thing in shown[section])


def in_words(value: bool) -> str:
    return "yes" if value else "no"


def all_cpus() -> str:
    """What virsh calls those of the host."""
    last = int(re.findall(r"CPU\(s\): +(\d+)", virsh("nodeinfo"))[0]) - 1
    return f"0-{last}" if last else "0"


FIELDS = (
    Field(
        "dominfo Id", lambda shown: "-" if shown["id"] is None else str(shown["id"]), lambda told: told.info["Id"]
    ),
    Field("dominfo UUID", lambda shown: shown["uuid"], lambda told: told.info["UUID"]),
    Field("dominfo Name", lambda shown: shown["name"], lambda told: told.info["Name"]),
    Field(
        *("dominfo State", lambda shown: shown["state"]),
        lambda told: STATES.get(told.info["State"], told.info["State"]),
    ),
    Field("dominfo CPU(s)", lambda shown: shown["vcpus"], lambda told: int(told.info["CPU(s)"])),
    Field(
        *(
            "dominfo CPU time",
            lambda shown: shown["cpu_time"],
            lambda told: float(told.info["CPU time"][:-1]),
            0.2,
        ),
        of=runs,
    ),
    Field(
        *("dominfo Max memory", lambda shown: shown["memory_maximum"], lambda told: kib(told.info["Max memory"])),
    ),
    Field(
        *("dominfo Used memory", lambda shown: shown["memory"], lambda told: kib(told.info["Used memory"])),
        of=has_balloon,
    ),
    Field("dominfo Persistent", lambda shown: in_words(shown["persistent"]), lambda told: told.info["Persistent"]),
    Field(
        *("dominfo Autostart", lambda shown: "enable" if shown["autostart"] else "disable"),
        lambda told: told.info["Autostart"],
    ),
    Field(
        *("dominfo Managed save", lambda shown: in_words(shown["managed_save"])),
        lambda told: told.info["Managed save"],
    ),
    Field(
        *("domstats vcpu.current", lambda shown: shown["vcpus"], lambda told: int(told.stats["vcpu.current"])),
        of=runs,
    ),
    Field(
        *("domstats vcpu.maximum", lambda shown: shown["vcpus_maximum"]),
        *(lambda told: int(told.stats["vcpu.maximum"]), 0, runs),
    ),
    Field(
        *("domstats cpu.time", lambda shown: shown["cpu_time"]),
        *(lambda told: int(told.stats["cpu.time"]) / 1e9, 0.2, runs),
    ),
    Field(
        *("domstats vcpu.N.time", lambda shown: sum(vcpu["cpu_time"] for vcpu in shown["vcpu"])),
        *(lambda told: sum(int(vcpu["time"]) for vcpu in told.parts("vcpu")) / 1e9, 0.2, runs),
    ),
    Field(
        *("domstats vcpu.N", lambda shown: len(shown["vcpu"]), lambda told: len(told.parts("vcpu"))),
        of=runs,
    ),
    Field(
        *("domstats balloon.maximum", lambda shown: shown["memory_maximum"]),
        *(lambda told: int(told.stats["balloon.maximum"]) * 1024, 0, has_balloon),
    ),
    Field(
        *("domstats block.N.name, capacity", each("disks", "name", "capacity")),
        lambda told: sorted(
            (block["name"], int(block["capacity"]) if "capacity" in block else None)
            for block in told.parts("block")
        ),
        of=runs,
    ),
    Field(
        *(
            "domstats block.N.physical",
            lambda shown: sum(d["allocation"] for d in shown["disks"] if d["name"] == "vda"),
        ),
        lambda told: sum(int(block["physical"]) for block in told.parts("block") if block["name"] == "vda"),
        *(0.1, runs),  # other disks are raw, of which an untouched one looks full
    ),
    Field(
        *("domstats net.N.name", lambda shown: sorted(i["name"] for i in shown["interfaces"] if i["name"])),
        *(lambda told: sorted(net["name"] for net in told.parts("net") if "name" in net), 0, runs),
    ),
    Field(
        *(
            "domblklist Target, Source",
            lambda shown: sorted((d["name"], d["path"] or "-") for d in shown["disks"]),
        ),
        lambda told: sorted((row[0], row[1]) for row in told.table("domblklist")),
    ),
    Field(
        *("domblklist Type, Device, Target", each("disks", "kind", "device", "name")),
        lambda told: sorted((*row[:3],) for row in told.table("domblklist", "--details")),
    ),
    Field(
        "domiflist Interface, Type, Source, Model, MAC",
        lambda shown: sorted(
            tuple(i[name] or "-" for name in ("name", "kind", "source", "model", "mac"))
            for i in shown["interfaces"]
        ),
        lambda told: sorted(map(tuple, told.table("domiflist"))),
    ),
    Field(
        *("vcpupin", lambda shown: [vcpu["pinned"] or all_cpus() for vcpu in shown["vcpu"]]),
        *(lambda told: [row[1] for row in told.table("vcpupin")], 0, runs),
    ),
    Field(
        *("vcpuinfo CPU time", lambda shown: sum(vcpu["cpu_time"] for vcpu in shown["vcpu"])),
        lambda told: sum(float(time) for time in re.findall(r"CPU time: +([0-9.]+)s", told.words("vcpuinfo"))),
        *(0.2, runs),
    ),
    Field(
        *("dommemstat actual", lambda shown: shown["memory"], lambda told: told.memory["actual"] * 1024),
        of=has_balloon,
    ),
    Field(
        *("dommemstat rss", lambda shown: shown["rss"], lambda told: told.memory["rss"] * 1024, 0.1),
        of=has("rss"),
    ),
    Field(
        *(
            "dommemstat last_update",
            lambda shown: shown["balloon_updated"],
            lambda told: told.memory["last_update"],
        ),
        *(1e-7, has("usable")),  # of Unix time, so three minutes
    ),
    Field(
        *("dommemstat available - usable", lambda shown: shown["used"]),
        lambda told: (told.memory["available"] - told.memory["usable"]) * 1024,
        *(0.2, has("usable")),
    ),
    Field(
        *("snapshot-list", lambda shown: shown["snapshots"]),
        lambda told: len(told.words("snapshot-list", "--name").split()),
    ),
)


@pytest.fixture(scope="module")
def command_of_all(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def made(bed: Bed) -> Iterator[None]:
    """The guest that is pinned, limited and has a snapshot."""
    image = WORK / f"{MADE}.qcow2"
    qcow2(image, "8M")
    devices = disk(image, "vda").replace("</disk>", "<iotune><total_iops_sec>500</total_iops_sec></iotune></disk>")
    try:
        domain = bed.define(
            guest(MADE, devices=devices + interface("default", "52:54:00:00:07:01"), vcpus=2), paused=True
        )
        domain.pinVcpu(1, (True,))
        domain.snapshotCreateXML("<domainsnapshot><name>before</name></domainsnapshot>")
        yield
    finally:
        with_snapshots = bed.lookup(MADE)
        for snapshot in with_snapshots.listAllSnapshots():
            snapshot.delete()
        bed.remove(MADE)


@pytest.fixture(scope="module")
def shown(made: None, command_of_all: Command) -> dict[str, tuple[dict[str, Any], Virsh, str]]:
    """Each guest as kvmwatch shows it, as virsh does, and kvmwatch's text."""
    names = [name for name in virsh("list", "--all", "--name").splitlines() if name]
    left = [("kvmwatch", "show", name, *words) for words in (("--json",), ()) for name in names]
    ran = {}
    for _ in range(3):  # on a busy machine any VM may be late once, which is said
        ran |= dict(zip(left, together(command_of_all, left, TAKEN)))
        left = [call for call in left if ran[call].code or ran[call].err]
    assert not [(call, ran[call].err) for call in left]
    return {
        name: (
            json.loads(ran["kvmwatch", "show", name, "--json"].out),
            Virsh(name),
            ran["kvmwatch", "show", name].out,
        )
        for name in names
    }


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_guest(
    field: Field, shown: dict[str, tuple[dict[str, Any], Virsh, str]], command_of_all: Command
) -> None:
    seen = 0
    for name, (document, told, _) in shown.items():
        if not field.of(told):
            continue
        seen += 1
        ours, theirs = field.ours(document), field.theirs(told)
        if field.close and ours != field.about(theirs):  # it goes on: both once more, right after each other
            ran = command_of_all("kvmwatch", "show", name, "--json")
            ours, theirs = field.ours(json.loads(ran.out)), field.theirs(Virsh(name))
        assert ours == field.about(theirs), name
    assert seen, "no guest has it"


def test_nothing_of_a_guest_that_is_off_is_made_up(shown: dict[str, tuple[dict[str, Any], Virsh, str]]) -> None:
    """Where virsh has figures of a guest that is shut off they are of something else, such as the daemon."""
    for name, (document, told, _) in shown.items():
        if not told.runs:
            figures = ("id", "cpu", "steal", "cpu_time", "rss", "used", "started", "emulator")
            assert {document[figure] for figure in figures} == {None}, name
            assert (document["vcpu"], document["processes"]) == ([], []), name


def test_the_text_tells_the_same(shown: dict[str, tuple[dict[str, Any], Virsh, str]]) -> None:
    for name, (document, told, text) in shown.items():
        assert text.splitlines()[0].startswith(name)
        assert re.search(rf"^  uuid +{document['uuid']}$", text, re.MULTILINE), name
        for number in [document["id"]] if document["id"] is not None else []:
            assert re.search(rf"^  id +{number}$", text, re.MULTILINE), name
        for row in told.table("domiflist"):
            assert row[4] in text, name
        for row in told.table("domblklist"):
            assert row[1] in text, name
        for check in document["checks"]:
            status = check["status"] if check["check"] in STEADY else "[A-Z]+"
            assert re.search(rf"^  {check['check']} +{status} ", text, re.MULTILINE), name


#: lines in the answer to each question of the page, of this lab
ANSWERS = {
    "list --problems": (
        r"^crash1 +CRITICAL",
        r"^pool dead +CRITICAL .*inactive",
        r"^pool tiny +CRITICAL .*usage 9\d %",
    ),
    "list --sort host_cpu": (r"^NAME .* CPU/1 ", r"^(web1|idle1) .* [\d.]+ %"),
    "list --sort steal": (r"^NAME .* STEAL ", r"^web1 .* [\d.]+ %"),
    "list --sort rss": (r"^NAME .* RSS .*\nweb1 .* MiB",),
    "list --sort write": (r"^NAME .* WRITE .*\nweb1 .* [KM]iB/s",),
    "view disks": (r"^VM .*READ TAKES +WRITE TAKES", r"^web1 +vd[ab] .* [um]?s "),
    "net --sort tx": (r"^INTERFACE.* IN +OUT ", r"^vnet\d+ +tap +web1 .* [km]bit/s"),
    "net --sort drops": (r"^INTERFACE.* DROPS ", r"^vnet\d+ +tap +web1 .* \d+/s"),
    "show web1": (r"^  cpu .*steal \d", r"READ TAKES +WRITE TAKES", r"STORAGE WAIT\n  vCPUs +2 "),
    "--paused --other": (
        r"^crash1 +crashed .* panicked",
        r"^auto1 +shut off .* autostart",
        r"^pause1 +paused .* user",
    ),
    "--sort started": (
        rf"^NAME +STATE +UP\n{MADE} .* \d+ (s|min)",
        r"^web1 +running +\d",
        r"^never1 +shut off +-",
    ),
    "owner,addresses": (r"^NAME +PROJECT +OWNER +ADDRESSES", r"^web1 .* 192\.168\.122\.2\b"),
    "net vnet7": (r"^vnet\d+ +tap +web1 .* virbr0 ",),
    "net virbr0": (r"^vnet\d+ +tap +web1 .* virbr0 ", r"^virbr0 +bridge "),
    "net web1": (r"^INTERFACE .* BRIDGE +UPLINKS ", r"^vnet\d+ +tap +web1 .* virbr0 "),
    "--on images": (r"^NAME +STATE +DISKS\nnone here$",),  # its guests' images are beside it
    "view pools": (r"^tiny .* 9\d %", r"^dead .* inactive"),
    "--with-snapshot": (rf"^NAME +SNAPSHOTS +OLDEST SNAPSHOT\n(.*\n)*{MADE} +1 .* ago",),
    "show --host": (
        r"^  cpu, i/o wait +\d",
        r"^  largest VM that fits +\d",
        r"^  memory, with all autostarted +\d",
    ),
    "list --active": (r"^trans1 +running +no +no$", r"^web1 +running +no +yes$"),
}


@pytest.mark.parametrize("question", pages.questions(), ids=lambda question: question.text)
def test_a_question_is_answered(question: pages.Question, made: None, bed: Bed, command_of_all: Command) -> None:
    (tap, *_) = re.findall(r"vnet\d+", virsh("domiflist", "web1"))
    for _ in range(3):  # on a busy machine any VM may be late once, which is said
        ran = command_of_all(*shlex.split(question.command.replace("vnet7", tap)))
        if not ran.err:
            break
    assert (ran.code, ran.err) == (0, "")
    (answer,) = (answer for key, answer in ANSWERS.items() if key in question.command)
    for line in answer:
        assert re.search(line, ran.out, re.MULTILINE | re.IGNORECASE), f"{line}\n{ran.out}"


VIRSH = sorted({s.command for s in pages.steps("docs/terminal.md") if s.command.startswith("virsh ")})


@pytest.mark.parametrize("line", VIRSH)
def test_what_the_page_compares_with_is_there(line: str, bed: Bed) -> None:
    (tap, *_) = re.findall(r"vnet\d+", virsh("domiflist", "web1"))
    assert virsh(*shlex.split(line.replace("vnet7", tap))[1:])


def test_all_that_is_wrong_is_what_the_checks_say(command_of_all: Command, bed: Bed) -> None:
    """Of pools and networks by the very words of check_kvm_pool and check_kvm_net."""
    document = json.loads(command_of_all("kvmwatch", "list", "--problems", "--json").out)
    for check in ("pool", "net"):
        said = command_of_all(f"check_kvm_{check}", "-v").out
        found = [one for one in document["hypervisor"] if one["check"] == check]
        assert bool(found) == (not said.startswith(f"KVM_{check.upper()} OK"))
        for one in found:
            assert f"{one['thing']} {one['text']}" in said
