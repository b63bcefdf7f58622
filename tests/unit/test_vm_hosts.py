"""A VM's own host: called alike by config and publish, fed and defined by one hypervisor at a time."""

from __future__ import annotations

import argparse
import contextlib
import re
import tempfile
from pathlib import Path
from types import ModuleType
from uuid import NAMESPACE_DNS, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nagios_kvm import composing, director, director_import, files, handing_over, icinga2, manifest, nagios
from nagios_kvm.composing import Definitions
from nagios_kvm.definitions import Site
from nagios_kvm.homes import Homes
from nagios_kvm.services import checks, services
from nagios_kvm.vm_hosts import VmHost

from kvmwatch.model import states
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.snapshot import Domain, Snapshot
from kvmwatch.reading.deadline import Deadline

CHOSEN = checks(["host", "state", "cpu"])
NAME = VmHost("{name}")
ILLEGAL = set("`~!$%^&*|'\"<>?,()=;\\+")


def uuid(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, name))


def vm(name: str, state: int = states.RUNNING, reason: str = "unknown", of: str = "") -> Domain:
    number = [one.text for one in states.REASONS[state]].index(reason)
    return Domain(of or uuid(name), name, None, state, number, 0)


def snapshot(*domains: Domain) -> Snapshot:
    return Snapshot("test:///x", 0, 0, domains=domains, uuids=frozenset(domain.uuid for domain in domains))


@pytest.mark.parametrize(
    ("pattern", "name", "host"),
    [
        ("{name}", "web1", "web1"),
        ("vm-{name}", "Büro 1", "vm-Büro 1"),
        ("{name}.example.com", "it's+1@2", "it@27.s@2B.1@40.2.example.com"),
        ("{uuid}", "web1", uuid("web1")),
        ("{name}-{uuid}", "{uuid}", f"{{uuid}}-{uuid('{uuid}')}"),
        ("{name}", "null", "@6E.ull"),
    ],
)
def test_names(pattern: str, name: str, host: str) -> None:
    assert VmHost.parse(pattern).of(vm(name)) == host


@pytest.mark.parametrize(
    "pattern", ["", "web", "{host}", "{name", "{name}!", "a;{name}", "{name}\n", " {name}", "{name}+"]
)
def test_patterns_that_make_no_names_are_refused(pattern: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="use"):
        VmHost.parse(pattern)


@given(st.lists(st.text(min_size=1), min_size=2, unique=True))
def test_no_two_vms_have_the_same_host(names: list[str]) -> None:
    hosts = [NAME.of(vm(name)) for name in names]
    assert len(set(hosts)) == len(names)
    for host in hosts:
        assert not ILLEGAL & set(host), "a + makes an expression of a host for use_regexp_matching"
        assert (host, host.isprintable()) == (host.strip(), True)


ARRIVES = (states.PAUSED, "migrating")
#: state and reason, what was seen before ("" nothing), and whether it is ours then
SEEN = [
    ((states.RUNNING, "booted"), "", True),
    ((states.RUNNING, "migrated"), "", True),
    ((states.RUNNING, "migrated"), "moved", True),
    ((states.RUNNING, "post-copy"), "", True),
    ((states.CRASHED, "panicked"), "moved", True),
    ((states.SHUTOFF, "shutdown"), "", True),
    ((states.SHUTOFF, "crashed"), "here", True),
    ((states.SHUTOFF, "unknown"), "here", True),
    ((states.SHUTOFF, "migrated"), "", False),
    ((states.SHUTOFF, "migrated"), "here", False),
    ((states.SHUTOFF, "unknown"), "moved", False),  # libvirtd was restarted, and has forgotten why
    ((states.PAUSED, "post-copy"), "here", False),
    (ARRIVES, "", False),
    (ARRIVES, "moved", False),
    (ARRIVES, "here", True),  # it leaves, and is not gone yet
    ((states.PAUSED, "user"), "", True),
    ((states.NOSTATE, "unknown"), "", True),
    ((states.NOSTATE, "unknown"), "here", True),
    ((states.NOSTATE, "unknown"), "moved", False),
]
BEFORE = {
    "here": (states.RUNNING, "booted"),
    "moved": (states.SHUTOFF, "migrated"),
}


@pytest.mark.parametrize(("now", "before", "ours"), SEEN)
def test_whose_it_is(tmp_path: Path, now: tuple[int, str], before: str, ours: bool) -> None:
    if before:
        Homes(str(tmp_path), "qemu:///system").ours(snapshot(vm("web1", *BEFORE[before])))
        Homes(str(tmp_path), "qemu:///system").ours(snapshot()._replace(uuids=frozenset([uuid("web1")])))
    kept = Homes(str(tmp_path), "qemu:///system").ours(snapshot(vm("web1", *now), vm("db1")))
    assert [domain.name for domain in kept.domains] == [*(["web1"] if ours else []), "db1"]


def test_what_is_remembered_in_vain_hides_no_vm(tmp_path: Path) -> None:
    shut_off = snapshot(vm("web1", states.SHUTOFF), vm("db1"))
    for said in ("her", "MOVED", "", "here now", "\0"):
        Homes(str(tmp_path), "qemu:///system").ours(shut_off)
        (file,) = tmp_path.iterdir()
        file.write_text("".join(f"{one.uuid} {said}\n" for one in shut_off.domains))
        assert Homes(str(tmp_path), "qemu:///system").ours(shut_off).domains == shut_off.domains


def test_one_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    homes = Homes(str(tmp_path), "qemu:///system")
    homes.ours(snapshot(vm("web1", states.SHUTOFF, "migrated")))
    assert homes.moved == {uuid("web1")}
    homes.ours(snapshot())
    (file,) = tmp_path.iterdir()
    assert file.read_text() == ""
    assert homes.ours(snapshot(vm("web1", states.SHUTOFF))).domains


# files beside each other


def config(
    folder: Path,
    hypervisor: str,
    *domains: Domain,
    force: bool = False,
    renderer: object = nagios,
    selection: tuple[str, ...] = (),
    called: str = "",
) -> list[str]:
    """Run what "nagios_kvm config" does for a hypervisor; gives what it tells on stderr."""
    host = called or hypervisor
    homes = Homes(str(folder / f"state-{hypervisor}"), "qemu:///system")
    read = snapshot(*domains)
    listed = services(homes.ours(read), CHOSEN, NAME)
    site = Site(host, None, False, 300, (manifest.head("nagios", host),), selection)
    file = Definitions(renderer, site, listed, (), read.uuids, homes.moved)
    path = folder / f"{hypervisor}.cfg"
    files.replace(
        path, lambda before: file.text(before, path, force), None, None, Deadline(20), lambda: file.others
    )
    return list(file.notes)


def hosts(folder: Path, hypervisor: str) -> list[str]:
    """The hosts that a file defines."""
    path = folder / f"{hypervisor}.cfg"
    text = path.read_text() if path.exists() else ""
    found = re.findall(r'^define host \{\n.*\n +host_name +(.+)$|^object Host "(.*)" \{$', text, re.MULTILINE)
    return ["".join(names) for names in found]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [1e9]
    monkeypatch.setattr(composing.time, "time", lambda: now[0])
    return now


@pytest.mark.parametrize("renderer", [nagios, icinga2])
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("first", ["kvm1", "kvm2"])
def test_a_host_goes_over_in_one_step(
    tmp_path: Path, renderer: ModuleType, undefined: bool, first: str, clock: list[float]
) -> None:
    """Whichever hypervisor's run comes first after the migration."""
    there = {"kvm1": [vm("web1"), vm("db1")], "kvm2": []}

    def run(hypervisor: str) -> list[str]:
        return config(tmp_path, hypervisor, *there[hypervisor], renderer=renderer)

    def defined() -> list[list[str]]:
        return [hosts(tmp_path, one) for one in there]

    for hypervisor in there:
        assert run(hypervisor) == []
    assert defined() == [["db1", "web1"], []]
    there["kvm1"] = [vm("db1")] if undefined else [vm("db1"), vm("web1", states.SHUTOFF, "migrated")]
    there["kvm2"] = [vm("web1", states.RUNNING, "migrated")]
    if first == "kvm1":
        assert run("kvm1") == []
        assert defined() == [["db1", "web1"], []], "it waits for the other to take it"
        kept = (tmp_path / "kvm1.cfg").read_text()
        clock[0] += 200
        assert run("kvm1") == []
        assert (tmp_path / "kvm1.cfg").read_text() == kept
    assert run("kvm2") == []
    assert defined() == [["db1"], ["web1"]]
    assert "web1" not in (tmp_path / "kvm1.cfg").read_text()
    settled = (tmp_path / "kvm1.cfg").read_text()
    assert run("kvm1") == []
    assert (tmp_path / "kvm1.cfg").read_text() == settled, "it is as that hypervisor's own run has it"
    if not undefined:
        there["kvm1"][1] = vm(
            "web1", states.SHUTOFF
        )  # libvirtd is restarted, and has forgotten why it is shut off
        run("kvm1")
        assert defined() == [["db1"], ["web1"]]
    assert run("kvm2") == []


def test_what_is_kept_meanwhile_suits_the_rest_of_the_file(tmp_path: Path, clock: list[float]) -> None:
    """Else Nagios refuses the file in every run, because the old one, which stays, has the host still."""
    config(tmp_path, "kvm2")
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    config(tmp_path, "kvm1", vm("db1"), selection=("check=cpu",))
    assert hosts(tmp_path, "kvm1") == ["db1", "web1"]
    text = (tmp_path / "kvm1.cfg").read_text()
    (group,) = re.findall(r"^ +servicegroup_name +(.+)$", text, re.MULTILINE)
    assert set(re.findall(r"^ +servicegroups +(.+)$", text, re.MULTILINE)) == {group}


def test_a_file_of_another_hypervisor_that_is_replaced_leaves_nothing(tmp_path: Path, clock: list[float]) -> None:
    config(tmp_path, "kvm2")
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    config(tmp_path, "kvm1", vm("db1"), force=True, called="kvm3")
    assert hosts(tmp_path, "kvm1") == ["db1"], "the parent of the other is kvm1, which may be nowhere now"


@pytest.mark.parametrize("step", [-86400, 0])
def test_one_that_is_gone_for_good_leaves_after_a_while(step: int, tmp_path: Path, clock: list[float]) -> None:
    """Also where the clock is set back meanwhile, which is not to cost its downtimes."""
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    config(tmp_path, "kvm1", vm("db1"))
    assert hosts(tmp_path, "kvm1") == ["db1"], "there is nobody else who could take it"
    config(tmp_path, "kvm2")
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    for seconds, there in ((0, True), (step, True), (handing_over.GRACE, True), (1, False)):
        clock[0] += seconds
        config(tmp_path, "kvm1", vm("db1"))
        assert hosts(tmp_path, "kvm1") == (["db1", "web1"] if there else ["db1"])
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    config(tmp_path, "kvm1", vm("db1"))
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    assert "leaves" not in (tmp_path / "kvm1.cfg").read_text(), "it is back"


def test_a_definition_that_was_left_gives_way_to_where_it_runs(tmp_path: Path) -> None:
    """Nobody has seen it migrate."""
    left = vm("web1", states.SHUTOFF)
    config(tmp_path, "kvm1", left, vm("db1"))
    assert hosts(tmp_path, "kvm1") == ["db1", "web1"]
    assert config(tmp_path, "kvm2", vm("web1")) == []
    assert (hosts(tmp_path, "kvm1"), hosts(tmp_path, "kvm2")) == (["db1"], ["web1"])
    (told,) = config(tmp_path, "kvm1", left, vm("db1"))
    assert told == "web1 does not run here: kvm2.cfg has its host; if it moved for good, virsh undefine it here"


def test_a_hypervisor_that_is_emptied_needs_no_force(tmp_path: Path, clock: list[float]) -> None:
    names = [f"vm{number}" for number in range(20)]
    config(tmp_path, "kvm1", *map(vm, names))
    with pytest.raises(KvmwatchError, match="give --force"):
        config(tmp_path, "kvm1")
    config(tmp_path, "kvm2", *map(vm, names))
    config(tmp_path, "kvm1")
    assert (hosts(tmp_path, "kvm1"), len(hosts(tmp_path, "kvm2"))) == ([], 20)
    moved = [vm(name, states.SHUTOFF, "migrated") for name in names]
    config(tmp_path, "kvm2", *moved)
    clock[0] += handing_over.GRACE + 1
    config(tmp_path, "kvm2", *moved)
    assert hosts(tmp_path, "kvm2") == [], "to a hypervisor that nobody watches"
    config(tmp_path, "kvm1", *map(vm, names))
    clock[0] += 2 * handing_over.GRACE
    config(tmp_path, "kvm1")
    clock[0] += 2 * handing_over.GRACE
    with pytest.raises(KvmwatchError, match="give --force"):
        config(tmp_path, "kvm1")


def test_a_file_that_is_refused_leaves_the_other_as_it_was(tmp_path: Path) -> None:
    config(tmp_path, "kvm1", vm("web1"))
    before = (tmp_path / "kvm1.cfg").read_text()
    listed = list(services(snapshot(vm("web1")), CHOSEN, NAME))
    file = Definitions(nagios, Site("kvm2", None, False, 300, (manifest.head("nagios", "kvm2"),)), listed)
    path = tmp_path / "kvm2.cfg"
    with pytest.raises(KvmwatchError, match="is not accepted"):
        files.replace(
            path,
            lambda old: file.text(old, path),
            f"sh -c '! grep web1 {tmp_path}/kvm1.cfg && exit 7'",
            None,
            Deadline(20),
            lambda: file.others,
        )
    assert not path.exists()
    assert (tmp_path / "kvm1.cfg").read_text() == before


def test_two_vms_of_one_name_and_one_called_like_the_hypervisor(tmp_path: Path) -> None:
    config(tmp_path, "kvm1", vm("web1"))
    told = config(tmp_path, "kvm2", vm("web1", of=uuid("another")), vm("kvm2"))
    assert told == [
        "kvm2 would have the hypervisor's own host: use another --vm-host",
        "web1 has no services: kvm1.cfg has a host web1 for another VM: rename one, or use another --vm-host",
    ]
    assert hosts(tmp_path, "kvm2") == []


def test_a_rename_is_told_once(tmp_path: Path) -> None:
    config(tmp_path, "kvm1", vm("web1"), vm("db1"))
    told = config(tmp_path, "kvm1", vm("shop1", of=uuid("web1")), vm("db1"))
    assert told == ["renamed, so that its history and downtimes stay with the old name: web1 is shop1 now"]
    assert config(tmp_path, "kvm1", vm("shop1", of=uuid("web1")), vm("db1")) == []
    config(tmp_path, "kvm2")
    config(tmp_path, "kvm1", vm("shop2", of=uuid("web1")), vm("db1"))
    assert hosts(tmp_path, "kvm1") == ["db1", "shop2"], "it is here, so nobody else will want the old name"


@pytest.mark.parametrize(("pattern", "told"), [(None, True), (VmHost("{uuid}"), False)])
def test_a_rename_without_hosts_is_told_and_with_uuids_there_is_none(pattern: VmHost | None, told: bool) -> None:
    site = Site("kvm1", None, False, 300, (manifest.head("icinga2", "kvm1"),))
    before = Definitions(icinga2, site, services(snapshot(vm("a b")), CHOSEN, pattern)).text()
    renamed = Definitions(icinga2, site, services(snapshot(vm("c|d", of=uuid("a b"))), CHOSEN, pattern))
    renamed.text(before)
    assert [note.split(": ")[1] for note in renamed.notes] == (["a b is c+7C.d now"] if told else [])


def test_foreign_files_are_not_read(tmp_path: Path) -> None:
    line = f"# host {uuid('web1')} web1\n"
    (tmp_path / "a.cfg").write_text(f"# hand-made\n{line}")
    (tmp_path / "b.conf").write_text(f"{manifest.head('icinga2', 'kvm9')}\n{line}")
    (tmp_path / "c.cfg").write_bytes(b"\xff\xfe")
    (tmp_path / "d.cfg").mkdir()
    (tmp_path / "e.cfg").write_text(f"# {manifest.head('nagios', 'kvm1')}\n{line}")
    assert list(manifest.beside(tmp_path / "kvm1.cfg", "kvm1")) == []
    assert [other.path.name for other in manifest.beside(tmp_path / "kvm2.cfg", "kvm2")] == ["e.cfg"]


@pytest.mark.parametrize("linked", ["kvm1", "kvm2", "both"])
@pytest.mark.parametrize("elsewhere", ["real", "../real"])
def test_a_host_goes_over_between_files_that_are_links(tmp_path: Path, linked: str, elsewhere: str) -> None:
    folder = tmp_path / "conf.d"
    (folder / elsewhere).mkdir(parents=True)
    links = [folder / f"{one}.cfg" for one in ("kvm1", "kvm2") if linked in (one, "both")]
    for link in links:
        link.symlink_to(f"{elsewhere}/{link.name}")
        (folder / f"again-{link.name}").symlink_to(link.name)  # the same file once more
    config(folder, "kvm2", vm("web1"), vm("db1"))
    config(folder, "kvm1", vm("mail1"))
    assert config(folder, "kvm1", vm("mail1"), vm("web1", states.RUNNING, "migrated")) == []
    assert (hosts(folder, "kvm1"), hosts(folder, "kvm2")) == (["mail1", "web1"], ["db1"])
    for link in links:
        assert link.is_symlink()
        assert (folder / elsewhere / link.name).read_text() == link.read_text()


def test_what_is_kept_of_another_file_meanwhile_is_no_file_of_its_own(tmp_path: Path) -> None:
    """Also when files have no suffix."""
    (tmp_path / ".kvm2.before-0123456789abcdef").write_text(f"# {manifest.head('nagios', 'kvm2')}\n")
    assert list(manifest.beside(tmp_path / "kvm1", "kvm1")) == []


RENDERERS = {"nagios": nagios, "icinga2": icinga2, "director": director, "director-import": director_import}


ODD_HOSTS = ("kvm1", 'kvm "1"', "a\\b", "Büro 1", "kvm1 --host kvm2", "[", "{", "🔑")


@pytest.mark.parametrize(
    ("of_format", "host"),
    [(form, host) for form in RENDERERS for host in ODD_HOSTS if form != "nagios" or not set(host) & ILLEGAL],
)
def test_every_file_says_who_made_it(of_format: str, host: str) -> None:
    site = Site(host, None, False, 300, (manifest.head(of_format, host),))
    pattern = NAME if of_format == "director-import" else None
    text = RENDERERS[of_format].render(site, services(snapshot(vm("web1"), vm('b"\\')), CHOSEN, pattern))
    assert manifest.maker(text) == (of_format, {host})
    assert manifest.foreign(text, *site.heading) is None
    for another in (manifest.head(of_format, "another"), manifest.head("other", host)):
        assert "give --force" in (manifest.foreign(text, another) or "")


PIECES = (
    "[\n",
    "{\n",
    "  {\n",
    '    "hypervisor": "a\\x",\n',
    '    "hypervisor": "a",\n',
    '      "description": "',
    "# ",
)
PIECES += (manifest.head("nagios", 'k"'), '",\n', "]", "}", "\n", "x")


@given(st.lists(st.sampled_from(PIECES)))
def test_whatever_a_file_says_it_is_somebodys(pieces: list[str]) -> None:
    """What is no file of ours, however alike, is refused; never is a run stopped by a mistake in it."""
    text = "".join(pieces)
    made = manifest.maker(text)
    assert made is None or made.of_format in RENDERERS
    ours = not text.strip() or (made == ("nagios", {"kvm1"}))
    assert (manifest.foreign(text, manifest.head("nagios", "kvm1")) is None) == ours


HYPERVISORS = ("kvm1", "kvm2", "kvm3")
VMS = ("web1", "db1")


class World:
    """Three hypervisors whose files lie in a folder, and what libvirt has on each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = dict.fromkeys(VMS, "kvm1")
        self.there = {("kvm1", name): vm(name) for name in VMS}

    def config(self, hypervisor: str, _: str = "") -> None:
        listed = (domain for (of, _), domain in self.there.items() if of == hypervisor)
        with contextlib.suppress(
            KvmwatchError
        ):  # its last VM is gone, and nobody waits for it yet: the file stays
            config(self.folder, hypervisor, *listed)
        defined = [host for one in HYPERVISORS for host in hosts(self.folder, one)]
        assert len(set(defined)) == len(defined), "Nagios and Icinga would refuse everything"

    def migrate(self, name: str, to: str) -> None:
        self.there[self.at[name], name] = vm(name, states.SHUTOFF, "migrated")
        self._arrive(name, to)

    def migrate_and_undefine(self, name: str, to: str) -> None:
        del self.there[self.at[name], name]
        self._arrive(name, to)

    def restart_libvirtd(self, hypervisor: str, _: str) -> None:
        for (of, name), domain in list(self.there.items()):
            if of == hypervisor and domain.state == states.SHUTOFF:
                self.there[of, name] = vm(name, states.SHUTOFF)

    def stop(self, name: str, _: str) -> None:
        self.there[self.at[name], name] = vm(name, states.SHUTOFF, "shutdown")

    def _arrive(self, name: str, to: str) -> None:
        self.at[name] = to
        self.there[to, name] = vm(name, states.RUNNING, "migrated")


of_hypervisors = st.sampled_from(["config", "restart_libvirtd"])
of_vms = st.sampled_from(["migrate", "migrate_and_undefine", "stop"])
events = st.tuples(of_hypervisors, st.sampled_from(HYPERVISORS), st.just("")) | st.tuples(
    of_vms, st.sampled_from(VMS), st.sampled_from(HYPERVISORS)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=25))
def test_whatever_happens_a_host_is_in_one_file_and_ends_where_its_vm_runs(
    happened: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for what, first, second in happened:
            getattr(world, what)(first, second)
        for name in VMS:
            world.there[world.at[name], name] = vm(name)
        for hypervisor in HYPERVISORS * 3:
            world.config(hypervisor)
        for hypervisor in HYPERVISORS:
            assert set(hosts(world.folder, hypervisor)) == {n for n in VMS if world.at[n] == hypervisor}
