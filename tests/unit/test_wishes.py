"""What metadata asks for and the monitoring system refuses: it is left out, and the other VMs have what they need."""

from __future__ import annotations

import pytest
from nagios_kvm import wishes
from nagios_kvm.files import NotAccepted

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
