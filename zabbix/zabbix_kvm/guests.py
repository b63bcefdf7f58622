"""Guests as hosts, kept in step through the API: a VM that moves keeps its host and its history.

A host that a host prototype made belongs to the rule that found it, and a second hypervisor that finds the same
VM cannot have it. So where VMs migrate, this makes the hosts instead: from what the hypervisors' own items in
Zabbix say, wherever the hypervisors are.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from kvmwatch.model import states
from kvmwatch.model.text import labelled, readable
from zabbix_kvm import pace
from zabbix_kvm.api import Api, Record
from zabbix_kvm.changes import Change
from zabbix_kvm.gone import MARK, Gone, Patience
from zabbix_kvm.provision import GUEST_TEMPLATE, GUESTS, OWN_TAG, Provisioner, hosts_with_template
from zabbix_kvm.sites import Psk

_STATE_KEY = re.compile(r"kvm\.domain\.state\[([0-9a-f-]{36})\]")
#: comes with every collection that worked: a VM whose state did not come with the newest one is not there any more
_COLLECTED_KEY = "kvm.domains.running"
_ENABLED, _BY_HAND = "0", "0"
_NAME_LIMIT = 128  # characters of a visible name
_TLS = ("tls_connect", "tls_accept", "tls_issuer", "tls_subject")
_PSK = 2
#: what puts a host behind a proxy, by version of Zabbix; those that it does not know are not in its answers
_PROXY = ("proxy_hostid", "monitored_by", "proxyid", "proxy_groupid")


class Sighting(NamedTuple):
    """A VM as one hypervisor's item tells of it."""

    uuid: str
    name: str
    hypervisor: str
    active: bool
    clock: float  # of its state; 0: it was found just now and has none yet


class Names(NamedTuple):
    """Visible names that a VM's host can have: its own, and another one where that is taken."""

    own: str
    other: str

    @classmethod
    def of(cls, vm: Sighting) -> Names:
        """Both fit into Zabbix's limit; the second is unique."""
        mark = f" ({vm.uuid[:8]})"
        return cls(
            readable(vm.name, _NAME_LIMIT).strip() or vm.uuid,
            readable(vm.name, _NAME_LIMIT - len(mark)).strip() + mark,
        )


class Home(NamedTuple):
    """A hypervisor as its guests' hosts need it."""

    name: str
    collected: int  # Unix time of its newest collection; 0: none
    enabled: bool
    #: for a new guest's host: how often data comes, where the hypervisor's says so, and windows
    macros: dict[str, str]
    shared: Record  # proxy and TLS, which its guests' hosts have, too
    psk: Optional[Psk]

    @property
    def group(self) -> str:
        """The host group of its guests."""
        return f"{GUESTS}/{self.name}"

    @property
    def lacks_psk(self) -> bool:
        """Whether it uses a pre-shared key, which Zabbix tells nobody, and none was given."""
        used = _PSK in (int(self.shared["tls_connect"]), int(self.shared["tls_accept"]) & _PSK)
        return used and self.psk is None

    @property
    def key(self) -> Record:
        """The parameters of its key."""
        if self.psk is None:
            return {}
        return {"tls_psk_identity": self.psk.identity, "tls_psk": self.psk.key}


def keep_in_step(provisioner: Provisioner, keys: dict[str, Psk], patience: Patience) -> None:
    """Make a host for each VM, in the group of the hypervisor that has it; disable those of VMs that are gone.

    ``keys`` are the pre-shared keys of hypervisors. A VM that cannot be made is among the failed changes.
    """
    hypervisors = hosts_with_template(provisioner)
    homes: dict[str, Home] = {}
    seen: list[Sighting] = []
    for host in hypervisors:
        collected, vms = _vms(provisioner.api, host)
        homes[host["host"]] = _home(host, collected, keys.get(host["host"]))
        seen += vms
        if homes[host["host"]].enabled:
            provisioner.group(homes[host["host"]].group)  # also where no VM is yet: by who may make it
    # what a disabled hypervisor had is still there, as far as anybody knows
    found = {uuid: vm for uuid, vm in owners(seen).items() if homes[vm.hypervisor].enabled}
    there = {vm.uuid for vm in seen}
    template = provisioner.template(GUEST_TEMPLATE)
    hosts = _hosts(provisioner.api, template, found)
    ours = {uuid: host for uuid, host in hosts.items() if _is_ours(host)}
    for uuid, host in hosts.items():
        if uuid in found and template not in {one["templateid"] for one in host["parentTemplates"]}:
            provisioner.changes.fail(
                f"host {host['name']} is called {uuid}, as that of VM {found[uuid].name} would be, and has no "
                f"template {GUEST_TEMPLATE}: link it, or call that host otherwise"
            )
    guests = _Guests(provisioner, homes, hosts, found)
    guests.make(template)
    guests.follow({uuid: host for uuid, host in ours.items() if uuid in found})
    gone = Gone(provisioner.changes, {home.group: home.collected for home in homes.values()}, patience)
    gone.settle([host for uuid, host in sorted(ours.items()) if uuid not in there])


def owners(seen: list[Sighting]) -> dict[str, Sighting]:
    """UUID to the hypervisor that has the VM: the one where it is active, else the one that said so last."""
    return {vm.uuid: vm for vm in sorted(seen, key=lambda vm: (vm.active, vm.clock)) if vm.clock}


class _Guests:
    """The hosts of VMs that there are."""

    def __init__(
        self,
        provisioner: Provisioner,
        homes: dict[str, Home],
        hosts: dict[str, Record],
        found: dict[str, Sighting],
    ) -> None:
        self._provisioner = provisioner
        self._changes = provisioner.changes
        self._homes = homes
        self._hosts = hosts
        self._found = found
        self._names = {uuid: Names.of(vm) for uuid, vm in found.items()}
        self._twins = Counter(names.own for names in self._names.values())
        self._taken = _taken(provisioner.api, [names.own for names in self._names.values()])

    def make(self, template: str) -> None:
        """Make those that are missing."""
        missing = {uuid: vm for uuid, vm in sorted(self._found.items()) if uuid not in self._hosts}
        for home in {vm.hypervisor for vm in missing.values()}:
            if self._homes[home].lacks_psk:
                self._changes.fail(
                    f"cannot make hosts of the new VMs on {home}: it uses a pre-shared key, which Zabbix tells "
                    "nobody; give it with --psk FILE"
                )
        self._changes.each(
            "host.create",
            [self._new(vm, template) for vm in missing.values() if not self._homes[vm.hypervisor].lacks_psk],
        )

    def _new(self, vm: Sighting, template: str) -> Change:
        home = self._homes[vm.hypervisor]
        record = {
            "host": vm.uuid,
            "groups": [{"groupid": group} for group in self._provisioner.groups(GUESTS, home.group)],
            "templates": [{"templateid": template}],
            "inventory_mode": 1,
            "tags": [OWN_TAG],
            "macros": [{"macro": macro, "value": value} for macro, value in home.macros.items()],
            **home.shared,
            **home.key,
        }
        return _named(f"make host {{}} ({vm.uuid}) on {vm.hypervisor}", record, self._candidates(vm.uuid, None))

    def _candidates(self, uuid: str, host: Record | None) -> list[str]:
        """The names to try in turn, the first of which the host may have already."""
        names = self._names[uuid]
        of_another = self._taken.get(names.own, {uuid}) - {uuid}
        if of_another or self._twins[names.own] > 1 or (host and host["name"] == names.other):
            return [names.other, uuid]
        return [names.own, names.other, uuid]

    def follow(self, hosts: dict[str, Record]) -> None:
        """Give them the VM's name, its hypervisor's proxy, TLS and group, and enable those that came back."""
        waiting = {uuid for uuid, host in hosts.items() if self._lacks_key(uuid, host)}
        for uuid in sorted(waiting):
            self._changes.fail(
                f"host {hosts[uuid]['name']} ({uuid}) stays where it was: its VM is on {self._home(uuid).name}, "
                "which uses a pre-shared key; give it with --psk FILE"
            )
        ready = {uuid: host for uuid, host in sorted(hosts.items()) if uuid not in waiting}
        refused = {record["hostid"] for record in self._changes.each("host.update", self._differing(ready))}
        # last, for by its group a host is known to have moved
        self._regroup({uuid: host for uuid, host in ready.items() if host["hostid"] not in refused})

    def _home(self, uuid: str) -> Home:
        return self._homes[self._found[uuid].hypervisor]

    def _moved(self, uuid: str, host: Record) -> bool:
        """Whether it has another proxy or TLS than its hypervisor, or is still in the group of another one."""
        home = self._home(uuid)
        groups = {group["name"] for group in self._provisioner.api.groups_in(host)}
        elsewhere = any(name.startswith(f"{GUESTS}/") and name != home.group for name in groups)
        return elsewhere or any(str(host.get(key)) != str(value) for key, value in home.shared.items())

    def _lacks_key(self, uuid: str, host: Record) -> bool:
        return self._home(uuid).lacks_psk and self._moved(uuid, host)

    def _differing(self, hosts: dict[str, Record]) -> Iterator[Change]:
        for uuid, host in hosts.items():
            home = self._home(uuid)
            record: Record = {"hostid": host["hostid"]}
            if any(str(host.get(key)) != str(value) for key, value in home.shared.items()) or (
                home.psk and self._moved(uuid, host)
            ):
                record |= {**home.shared, **home.key}
            tags = _without_mark(host)
            if tags is not None:
                record |= {"status": int(_ENABLED), "tags": tags}
            candidates = self._candidates(uuid, host)
            text = f"update host {{}} ({uuid}): it is on {home.name}"
            if host["name"] != candidates[0]:
                yield _named(text, record, candidates)
            elif len(record) > 1:
                yield Change(text.format(host["name"]), record)

    def _regroup(self, hosts: dict[str, Record]) -> None:
        """Put them into the group of their hypervisor; groups of others stay."""
        provisioner = self._provisioner
        into: dict[str, list[str]] = defaultdict(list)
        out_of: dict[str, list[str]] = defaultdict(list)
        for uuid, host in hosts.items():
            groups = {group["groupid"]: group["name"] for group in provisioner.api.groups_in(host)}
            wanted = provisioner.groups(GUESTS, self._home(uuid).group)
            for group in wanted:
                if group not in groups:
                    into[group].append(uuid)
            for group, name in groups.items():
                if name.startswith(f"{GUESTS}/") and group not in wanted:
                    out_of[group].append(uuid)
        for group, uuids in into.items():
            what = "; ".join(
                f"move host {hosts[uuid]['name']} ({uuid}): it is on {self._home(uuid).name}" for uuid in uuids
            )
            numbers = [{"hostid": hosts[uuid]["hostid"]} for uuid in uuids]
            self._changes.attempt(what, "host.massadd", hosts=numbers, groups=[{"groupid": group}])
        for group, uuids in out_of.items():
            names = ", ".join(hosts[uuid]["name"] for uuid in uuids)
            numbers_of = [hosts[uuid]["hostid"] for uuid in uuids]
            what = f"take from the group of their former hypervisor: {names}"
            self._changes.attempt(what, "host.massremove", hostids=numbers_of, groupids=[group])


def _named(text: str, record: Record, candidates: list[str]) -> Change:
    """A change that gives a host the first of these names that Zabbix takes."""
    named = {**record, "name": candidates[0]}
    others = candidates[1:]
    return Change(text.format(candidates[0]), named, (lambda: _named(text, record, others)) if others else None)


def _vms(api: Api, host: Record) -> tuple[int, list[Sighting]]:
    """The time of a hypervisor's newest collection, and the VMs that were in it."""
    items = api.call(
        "item.get",
        hostids=[host["hostid"]],
        search={"key_": ["kvm.domain.state[", _COLLECTED_KEY]},
        searchByAny=True,
        startSearch=True,
        output=["key_", "lastvalue", "lastclock"],
        selectTags="extend",
    )
    collected = next((int(item["lastclock"]) for item in items if item["key_"] == _COLLECTED_KEY), 0)
    found = []
    for item in items:
        matched = _STATE_KEY.fullmatch(item["key_"])
        tags = {tag["tag"]: tag["value"] for tag in item["tags"]}
        name = labelled(tags["vm"], tags.get("title")) if "vm" in tags else None
        clock = int(item["lastclock"])
        if matched and name and (clock >= collected or not clock):
            found.append(Sighting(matched[1], name, host["host"], states.is_active(int(item["lastvalue"])), clock))
    return collected, found


def _home(host: Record, collected: int, psk: Psk | None) -> Home:
    shared = {key: host[key] for key in (*_PROXY, *_TLS) if key in host}
    if host.get("monitored_by") == "0":  # 7.0: by the server; it refuses a proxy's number then, even of none
        shared = {key: value for key, value in shared.items() if key not in ("proxyid", "proxy_groupid")}
    elif host.get("monitored_by") == "1":
        del shared["proxy_groupid"]
    elif host.get("monitored_by") == "2":
        del shared["proxyid"]
    interval = {
        macro["macro"]: macro.get("value", "") for macro in host["macros"] if macro["macro"] == pace.INTERVAL
    }
    macros = pace.following(interval, {}, pace.GUEST)
    return Home(host["host"], collected, host["status"] == _ENABLED, macros, shared, psk)


def _hosts(api: Api, template: str, found: Iterable[str]) -> dict[str, Record]:
    """The hosts with the guests' template, and any other that is called like a VM that was found."""
    asked: Record = {
        "output": "extend",
        "selectTags": "extend",
        "selectParentTemplates": ["templateid"],
        api.groups_of_host: ["groupid", "name"],
    }
    hosts = api.call("host.get", templateids=[template], **asked) + api.call(
        "host.get", filter={"host": list(found)}, **asked
    )
    return {host["host"]: host for host in hosts}


def _taken(api: Api, names: list[str]) -> dict[str, set[str]]:
    """Which of these visible names hosts and templates have: name to technical names."""
    taken: dict[str, set[str]] = defaultdict(set)
    if names:
        for kind in ("host", "template"):
            for record in api.call(f"{kind}.get", filter={"name": names}, output=["host", "name"]):
                taken[record["name"]].add(record["host"])
    return taken


def _is_ours(host: Record) -> bool:
    return host["flags"] == _BY_HAND and any(tag["tag"] == OWN_TAG["tag"] for tag in host["tags"])


def _without_mark(host: Record) -> list[Record] | None:
    """The tags of a host whose VM was missing, without the mark; None when it was not."""
    tags = Api.tags_of(host)
    kept = [tag for tag in tags if tag["tag"] != MARK]
    return kept if len(kept) < len(tags) else None
