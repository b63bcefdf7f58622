"""What metadata asks for and the monitoring system refuses: it is left out, and the other VMs have what they need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nagios_kvm import wishes
from nagios_kvm.files import NotAccepted
from nagios_kvm.vm_hosts import VmHost

from kvmwatch.model import policy
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.snapshot import Domain, Snapshot

TYPO = "Error: Contactgroup 'team-typo' is not defined anywhere"
OF_SERVICE = "critical/config: Error: Validation failed for object 'kvm1!KVM cpu web2' of type 'Service'; ..."
OF_HOST = "critical/config: Error: Validation failed for object 'web2' of type 'Host'; ..."


def snapshot(**groups: str) -> Snapshot:
    domains = (
        Domain(
            *(f"uuid-{name}", name, 1, 1, 1, 0),
            policy=policy.parse(f'<watch contact-groups="{group}"/>' if group else "<watch/>"),
        )
        for name, group in groups.items()
    )
    return Snapshot("test:///x", 0, 0, domains=tuple(domains))


class Daemon:
    """Accepts definitions in which no VM asks for a group that there is not; says what it is told to."""

    def __init__(self, *there: str, says: str = TYPO) -> None:
        self._there = there
        self._says = says
        self.asked: list[dict[str, tuple[str, ...]]] = []

    def __call__(self, snapshot: Snapshot) -> str:
        asked = {one.name: groups for one in snapshot.domains if (groups := one.policy.routing.contact_groups)}
        self.asked.append(asked)
        for groups in asked.values():
            if not set(groups) <= set(self._there):
                raise NotAccepted(f"refused: {self._says}", self._says, [self._says])
        return "written"


def test_what_is_accepted_is_written_as_it_is() -> None:
    daemon = Daemon("team-a")
    assert wishes.as_accepted(snapshot(web1="team-a", web2=""), daemon) == ("written", [])
    assert daemon.asked == [{"web1": ("team-a",)}]


@pytest.mark.parametrize("says", [TYPO, OF_SERVICE, OF_HOST])
def test_the_vm_that_is_named_goes_without(says: str) -> None:
    """By its name, or by what it asks for; the wishes of the others stay."""
    daemon = Daemon("team-a", says=says)
    done, notes = wishes.as_accepted(snapshot(web1="team-a", web2="team-typo", web20="team-a", web3=""), daemon)
    assert (done, daemon.asked[1:]) == ("written", [{"web1": ("team-a",), "web20": ("team-a",)}])
    assert notes == [f"left out what the metadata of web2 (team-typo) asks for: {says}"]


def test_all_go_without_where_none_is_named() -> None:
    daemon = Daemon("team-a", says="Segmentation fault")
    _, notes = wishes.as_accepted(snapshot(web1="team-a", web2="team-typo"), daemon)
    assert daemon.asked[1:] == [{}]
    assert notes == ["left out what the metadata of web1 (team-a), web2 (team-typo) asks for: Segmentation fault"]


def test_many_that_are_wrong_take_three_validations() -> None:
    """A daemon may stop at the first of them."""
    daemon = Daemon("team-a", says="Template 'a' is wrong")
    named = snapshot(**{f"web{number}": "a" if number == 7 else "b" for number in range(20)})
    _, (first, rest) = wishes.as_accepted(named, daemon)
    assert len(daemon.asked) == 3
    assert "web7 (a) asks" in first
    assert "web4 (b), 14 more asks" in rest


@pytest.mark.parametrize("error", [KvmwatchError("no room"), NotAccepted("the site's own", "", [])])
def test_what_has_another_reason_stays_refused(error: KvmwatchError) -> None:
    def write(_: Snapshot) -> str:
        raise error

    with pytest.raises(type(error), match=str(error)):
        wishes.as_accepted(snapshot(web1="team-a"), write)


@pytest.mark.parametrize(
    "says",
    [
        "critical/config: Error: Object '{}' of type 'Host' re-defined: in kvm1.conf: 1:1; previous: in hosts.conf",
        "Warning: Duplicate definition found for host '{}' (config file 'kvm1.cfg', starting on line 5)",
    ],
)
def test_a_vm_whose_host_there_is_already_stops_no_other(says: str) -> None:
    """The site's own, another hypervisor's; in Icinga one that is called as a template of hosts, as generic-host."""

    def refuses(there: set[str]) -> Callable[[Snapshot], list[str]]:
        def write(wanted: Snapshot) -> list[str]:
            hosts = [f"vm-{domain.name}" for domain in wanted.domains]
            if twice := next((host for host in hosts if host in there), None):
                raise NotAccepted("refused", says.format(twice), [says.format(twice), "Error: see above"])
            return hosts

        return write

    own = VmHost("vm-{name}")
    vms = snapshot(web1="", web2="team-a", web3="", **{f"db{number}": "" for number in range(9)})
    hosts, notes = wishes.as_accepted(vms, refuses({"vm-web1", "vm-web2"}), own)
    assert hosts == ["vm-web3", *(f"vm-db{number}" for number in range(9))]
    assert [note.partition(": ")[0] for note in notes] == ["left out web1", "left out web2"]
    assert notes[0].endswith(f"{says.format('vm-web1')}; rename it, or use another --vm-host")
    with pytest.raises(NotAccepted):  # all of them, as by a copy of the file
        wishes.as_accepted(vms, refuses({f"vm-{domain.name}" for domain in vms.domains}), own)
    with pytest.raises(NotAccepted):  # no host of ours
        wishes.as_accepted(vms, refuses({"vm-web1"}))
