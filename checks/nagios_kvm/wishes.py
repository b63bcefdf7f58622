"""What the VMs' metadata says of whom they belong to: taken as far as --config's file and the daemon allow it.

One VM whose owner names a group that there is not must not keep all others from the services that they need; nor
must one that is called as a host, or in Icinga a template, of the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from check_kvm.frame import known

from kvmwatch.model import routing
from kvmwatch.model.routing import Routing
from kvmwatch.model.snapshot import Domain, Snapshot
from nagios_kvm.files import NotAccepted
from nagios_kvm.names import encode
from nagios_kvm.vm_hosts import VmHost

T = TypeVar("T")

_ROUNDS = 2  # in which only VMs go without that the daemon names; each takes a validation
_TWICE = 5  # rounds in which a VM is left out; more of them are no accident, as a copy of the file beside it
_NAMED = 5  # VMs in one line
#: what Icinga and Nagios say of a host that there is already
_THERE = re.compile(r"Object '(.*)' of type 'Host' re-defined|Duplicate definition found for host '(.*?)'")


def permitted(snapshot: Snapshot, allowed: Collection[str]) -> tuple[Snapshot, list[str]]:
    """The snapshot without what metadata names and may not; and lines that say so of each VM.

    ``allowed``: globs of the groups, templates and variables that it may name.
    """
    notes: list[str] = []

    def of(domain: Domain) -> Domain:
        kept, refused = routing.permitted(domain.policy.routing, allowed)
        said = f"metadata of {domain.name}"
        if refused.names:
            notes.append(f"{said}: {', '.join(refused.names)} is not in allow_metadata of --config")
        if refused.reserved:
            notes.append(f"{said}: {', '.join(refused.reserved)} is never taken from there")
        wrong = {name: why for name, _ in kept.variables if (why := known.no_option(name))}
        notes.extend(f"{said}: {why}" for why in wrong.values())
        kept = kept._replace(variables=tuple(pair for pair in kept.variables if pair[0] not in wrong))
        return _with(domain, kept)

    return snapshot._replace(domains=tuple(map(of, snapshot.domains))), notes


def as_accepted(
    snapshot: Snapshot, write: Callable[[Snapshot], T], vm_host: VmHost | None = None
) -> tuple[T, list[str]]:
    """Write what the daemon accepts: where it refuses all, without the wishes of VMs. And lines that say so.

    First without those of the VMs that its words name, then without all; and without a VM whose own host
    (``vm_host``) there is already. Raises what *write* raises in the end.
    """
    without: set[str] = set()
    notes: list[str] = []
    left_out: list[str] = []
    while True:
        try:
            return write(_without(snapshot, without)), [*left_out, *notes]
        except NotAccepted as refused:
            there = _there(refused.said) if vm_host and len(left_out) < _TWICE else ()
            if twice := [one for one in snapshot.domains if vm_host and vm_host.of(one) in there]:
                snapshot = snapshot._replace(domains=tuple(one for one in snapshot.domains if one not in twice))
                names = ", ".join(domain.name for domain in twice)
                left_out.append(f"left out {names}: {refused.why}; rename it, or use another --vm-host")
                continue
            wishing = [domain for domain in snapshot.domains if domain.policy.routing != Routing()]
            left = [domain for domain in wishing if domain.uuid not in without]
            if not left:
                raise
            named = [domain for domain in left if _is_named(domain, refused.said)]
            these = named if named and len(notes) < _ROUNDS else left
            without |= {domain.uuid for domain in these}
            notes.append(f"left out what the metadata of {_listed(these)} asks for: {refused.why}")


def _with(domain: Domain, wished: Routing) -> Domain:
    return domain._replace(policy=domain.policy._replace(routing=wished))


def _without(snapshot: Snapshot, uuids: Collection[str]) -> Snapshot:
    domains = (_with(one, Routing()) if one.uuid in uuids else one for one in snapshot.domains)
    return snapshot._replace(domains=tuple(domains))


def _there(said: Sequence[str]) -> set[str]:
    """The hosts of which these lines say that there is one already."""
    return {found[1] or found[2] for line in said for found in _THERE.finditer(line)}


def _is_named(domain: Domain, said: Sequence[str]) -> bool:
    """Whether these lines name the VM (a service or a host of its own), or something that it asks for."""
    wished = domain.policy.routing
    words = {encode(domain.name), *(name for field in routing.LISTS for name in getattr(wished, field))}
    either = "|".join(map(re.escape, words))
    quoted = re.compile(rf"""['"!](?:KVM [a-z]+ )?(?:{either})['"!]""")
    return any(quoted.search(line) for line in said)


def _listed(domains: Sequence[Domain]) -> str:
    """The VMs, and what each asks for."""
    listed = []
    for domain in domains[:_NAMED]:
        wished = domain.policy.routing
        words = [name for field in routing.LISTS for name in getattr(wished, field)]
        words += [f"{routing.VARS}{name}" for name, _ in wished.variables]
        listed.append(f"{domain.name} ({', '.join(dict.fromkeys(words))})")
    more = [f"{len(domains) - _NAMED} more"] if len(domains) > _NAMED else []
    return ", ".join([*listed, *more])
