"""Which VMs are this hypervisor's, so that a host of a VM's own is fed and defined by one hypervisor at a time.

After a migration libvirt keeps a persistent definition on the source (unless ``--undefinesource``), and says
"migrated" of it until it is restarted; so that is remembered. While a VM arrives, its source still has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kvmwatch.command import state_files
from kvmwatch.model import states
from kvmwatch.model.snapshot import Domain, Snapshot
from nagios_kvm.judging import Result

_KIND = "kvm_homes"
_HERE, _MOVED = "here", "moved"
#: paused for a migration: on both sides; what it is paused for after the switch in post-copy is over there
_MIGRATING, _POSTCOPY = "migrating", "post-copy"


class Homes:
    """What runs so far have seen of a hypervisor's VMs: that one ran here, or that it moved away."""

    def __init__(self, directory: str | None, uri: str) -> None:
        """``directory`` None: see :func:`state_files.directory`."""
        self._path = state_files.path(state_files.directory(directory), _KIND, uri)
        self.moved: frozenset[str] = frozenset()  # UUIDs of those that ours() has left out because they moved away

    def ours(self, snapshot: Snapshot) -> Snapshot:
        """Give the snapshot with only the VMs whose home this hypervisor is, and remember."""
        stored = state_files.read(self._path) or ""
        told = (line.partition(" ") for line in stored.splitlines())
        # a word that is neither would be remembered for ever, and its VM be nobody's
        before = {uuid: home for uuid, _, home in told if home in (_HERE, _MOVED)}
        seen = {domain.uuid: _seen(domain, before.get(domain.uuid)) for domain in snapshot.domains}
        # those that were not asked for this time are kept, those that are gone are not
        kept = {uuid: home for uuid, home in before.items() if uuid in snapshot.uuids}
        known = {**kept, **{uuid: home for uuid, home in seen.items() if home}}
        # what cannot be kept is said by the counters, which are kept there, too
        state_files.replace(self._path, "".join(f"{uuid} {home}\n" for uuid, home in sorted(known.items())))
        self.moved = frozenset(uuid for uuid, home in seen.items() if home == _MOVED)
        return snapshot._replace(domains=tuple(one for one in snapshot.domains if seen[one.uuid] == _HERE))


def _seen(domain: Domain, before: str | None) -> str | None:
    """Where it is: here, moved away, or None while it only arrives."""
    if domain.state == states.PAUSED and domain.why.text == _POSTCOPY:
        return _MOVED
    if domain.state == states.PAUSED and domain.why.text == _MIGRATING:
        return _HERE if before == _HERE else None
    if domain.why.meaning is states.ELSEWHERE:
        return _MOVED
    if domain.state in (states.SHUTOFF, states.NOSTATE) and before:
        return before
    return _HERE


def own(results: Sequence[Result], owners: Mapping[str, Collection[str]]) -> tuple[list[Result], list[str]]:
    """Give the results without those for hosts of other VMs, and what is to be told of these.

    ``owners``: the UUIDs of the VMs that hosts have in the monitoring system, as far as it tells. Where VMs of one
    name are on two hypervisors, ``config`` gives the host to one of them, and the other's results have no place.
    """
    others = {
        result.host for result in results if result.host in owners and result.uuid not in owners[result.host]
    } - {""}
    notes = [
        f"nothing is sent for {host}, which is the host of another VM there: rename one, use another --vm-host, "
        "or run config if it is a new one"
        for host in sorted(others)
    ]
    return [result for result in results if result.host not in others], notes
