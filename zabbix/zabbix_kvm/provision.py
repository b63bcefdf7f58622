"""The hypervisors' hosts in Zabbix: what is given is made or changed, all else is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional

from kvmwatch.model.errors import KvmwatchError
from zabbix_kvm import pace
from zabbix_kvm.api import Api, Record
from zabbix_kvm.changes import Changes
from zabbix_kvm.sites import TEMPLATES, Psk, Site

HYPERVISORS, GUESTS = "KVM hypervisors", "KVM guests"
GUEST_TEMPLATE = "KVM Guest"
#: on hosts that were made here
OWN_TAG = {"tag": "managed-by", "value": "kvmwatch"}

_DEFAULT_WAY = "agent"
#: what is asked has an address: Zabbix runs no external check for a host without an interface
_WITH_INTERFACE = ("agent", "external")
_AGENT, _USE_DNS, _USE_IP = "1", 0, 1
_INVENTORY_AUTOMATIC = 1
_DISABLED = "1"
_WITH_PSK = 2
_UNKNOWN_ID = "0"  # of what a dry run would have made
#: how the keys of our master items begin
_MASTER_KEYS = ("kvm.collect", "zabbix_kvm[")


class Templates(NamedTuple):
    """What of our templates a host has, and is to have."""

    wanted: str  # ID
    others: tuple[str, ...]  # IDs of other ways that it has
    all: tuple[str, ...]  # IDs of all that it has


class Provisioner:
    """Groups, templates and hypervisors; ``changes`` has what was made of them."""

    def __init__(self, changes: Changes) -> None:
        """Take where changes are made; nothing is asked yet."""
        self.api: Api = changes.api
        self.changes = changes
        self._groups: dict[str, Optional[str]] = {}
        self._templates: dict[str, str] = {}

    def group(self, name: str) -> str | None:
        """The ID of a host group, made if need be; None when Zabbix refuses that, which is told once."""
        if name not in self._groups:
            found = self.api.call("hostgroup.get", filter={"name": name}, output=["groupid"])
            if found:
                self._groups[name] = str(found[0]["groupid"])
            elif self.changes.dry_run:
                self.changes.make(f"make host group {name}", "hostgroup.create")
                self._groups[name] = _UNKNOWN_ID
            else:
                made = self.changes.attempt(f"make host group {name}", "hostgroup.create", name=name)
                self._groups[name] = str(made["groupids"][0]) if made else None
        return self._groups[name]

    def groups(self, *names: str) -> list[str]:
        """The IDs of those groups that there are, or could be made."""
        return [number for number in map(self.group, names) if number is not None]

    def template(self, name: str) -> str:
        """The ID of a template of ours. Raises KvmwatchError when there is none."""
        if not self._templates:
            self._templates = {
                template["host"]: template["templateid"]
                for template in self.api.call(
                    "template.get", output=["templateid", "host"], search={"host": "KVM "}, startSearch=True
                )
            }
        found = self._templates.get(name)
        if not found and not self.changes.dry_run:
            raise KvmwatchError(
                f"{self.api.url}: no template is called {name!r}, or the user may not see it; "
                "zabbix_kvm provision imports them"
            )
        return found or _UNKNOWN_ID

    def host(self, name: str) -> Record | None:
        """A host with its groups, templates, interfaces, macros and tags."""
        found = self.api.call(
            "host.get",
            filter={"host": name},
            output="extend",
            selectParentTemplates=["templateid"],
            selectInterfaces="extend",
            selectMacros="extend",
            selectTags="extend",
            **{self.api.groups_of_host: ["groupid", "name"]},
        )
        return found[0] if found else None

    def hypervisor(self, site: Site, psk: Psk | None = None) -> None:
        """Make a hypervisor's host, or change of it what the site gives. Nothing of others is taken away."""
        groups = self.groups(HYPERVISORS, *site.groups)
        host = self.host(site.host)
        if host is None:
            self._make(site, groups, psk)
            return
        ours = {way: self.template(name) for way, name in TEMPLATES.items()}
        linked = tuple(template["templateid"] for template in host["parentTemplates"])
        has = [way for way, number in ours.items() if number in linked]
        way = site.way or (has[0] if has else _DEFAULT_WAY)
        others = tuple(ours[other] for other in has if other != way)
        if way in _WITH_INTERFACE:
            self._interface(host, site, way)
        self._link(host, way, Templates(ours[way], others, linked))
        if way == "agent" and site.address:
            self._point(host, site)
        there = {macro["macro"]: macro.get("value", "") for macro in host["macros"]}
        self.complete(host, groups, pace.following(dict(site.macros), there))
        self._settle(host, site, psk)
        if len(has) == 1 and has[0] == way:
            self._tidy(host)

    def _make(self, site: Site, groups: list[str], psk: Psk | None) -> None:
        way = site.way or _DEFAULT_WAY
        template = TEMPLATES[way]
        self.changes.make(
            f"make host {site.host} ({template})",
            "host.create",
            host=site.host,
            groups=[{"groupid": group} for group in groups],
            templates=[{"templateid": self.template(template)}],
            interfaces=[_interface(site)] if way in _WITH_INTERFACE else [],
            macros=[
                {"macro": macro, "value": value} for macro, value in pace.following(dict(site.macros), {}).items()
            ],
            tags=[OWN_TAG],
            inventory_mode=_INVENTORY_AUTOMATIC,
            **({"name": site.name} if site.name else {}),
            **self._proxy(site),
            **(_encrypted(psk) if psk else {}),
        )

    def _link(self, host: Record, way: str, templates: Templates) -> None:
        """Give it the template of a way; items of another one's with the same key stay, with their history."""
        name, number = host["host"], host["hostid"]
        if templates.others:
            kept = [template for template in templates.all if template not in templates.others]
            self.changes.make(
                f"move host {name} to {TEMPLATES[way]}: its items and their history stay",
                "host.update",
                hostid=number,
                # not templates_clear: that deletes what came from the other one
                templates=[{"templateid": template} for template in dict.fromkeys((*kept, templates.wanted))],
            )
            self._tidy(host)
        elif templates.wanted not in templates.all:
            self.changes.make(
                f"link {TEMPLATES[way]} to host {name}",
                "host.massadd",
                hosts=[{"hostid": number}],
                templates=[{"templateid": templates.wanted}],
            )

    def _tidy(self, host: Record) -> None:
        """Retire the master item of a former way whose key was another: delete it once nothing depends on it."""
        found = self.api.call(
            "item.get",
            hostids=[host["hostid"]],
            search={"key_": list(_MASTER_KEYS)},
            searchByAny=True,
            startSearch=True,
            output=["itemid", "key_", "templateid", "status"],
        )
        for item in found:
            if item["templateid"] != "0":
                continue
            dependent = {"hostids": [host["hostid"]], "filter": {"master_itemid": item["itemid"]}, "limit": 1}
            if any(
                self.api.call(f"{kind}.get", output=["itemid"], **dependent) for kind in ("item", "discoveryrule")
            ):
                # those that were discovered follow the new one when their rule runs next
                if item["status"] != _DISABLED:
                    what = f"disable the former master item of host {host['host']}"
                    self.changes.make(what, "item.update", itemid=item["itemid"], status=int(_DISABLED))
            else:
                what = f"delete the former master item of host {host['host']}, which kept no history"
                self.changes.make(what, "item.delete", item["itemid"])

    def _settle(self, host: Record, site: Site, psk: Psk | None) -> None:
        wanted = self._proxy(site)
        if site.name:
            wanted["name"] = site.name
        wrong = {key: value for key, value in wanted.items() if str(host.get(key)) != str(value)}
        if psk and not (host["tls_connect"] == str(_WITH_PSK) and int(host["tls_accept"]) & _WITH_PSK):
            wrong |= _encrypted(psk)
        if wrong:
            secret = ("tls_psk_identity", "tls_psk")
            what = f"set {', '.join(key for key in wrong if key not in secret)} of host {site.host}"
            self.changes.make(what, "host.update", hostid=host["hostid"], **wrong)

    def _proxy(self, site: Site) -> Record:
        if site.proxy_group:
            return self.api.proxy_group(site.proxy_group)
        return self.api.proxy(site.proxy) if site.proxy else {}

    def _interface(self, host: Record, site: Site, way: str) -> None:
        """Have an interface before what needs one is linked."""
        agents = _agents(host)
        if not (agents if way == "agent" else host["interfaces"]):
            what = f"give host {host['host']} an interface"
            self.changes.make(what, "hostinterface.create", hostid=host["hostid"], **_interface(site))

    def _point(self, host: Record, site: Site) -> None:
        """Have our item ask at the address that is given.

        An interface that others use, or that was not made here, stays as it is: then our item gets another one.
        """
        name, number = host["host"], host["hostid"]
        agents = _agents(host)
        items = self._items_with_interface(number)
        master = next((item for item in items if item["key_"].startswith(_MASTER_KEYS)), None)
        main = next((interface["interfaceid"] for interface in agents if interface["main"] == "1"), None)
        used = master["interfaceid"] if master else main
        current = next((interface for interface in agents if interface["interfaceid"] == used), None)
        if current is None or _is_at(current, site):
            return  # it was made just now, or is right
        if _is_own(host, current, items):
            what = f"set the address of host {name}"
            self.changes.make(what, "hostinterface.update", interfaceid=used, **_address(site, current["port"]))
            return
        other = next((interface["interfaceid"] for interface in agents if _is_at(interface, site)), None)
        if other is None:
            made = {**_interface(site), "main": 0}
            what = f"give host {name} another interface: the one it has is not of kvmwatch alone, and stays"
            result = self.changes.make(what, "hostinterface.create", hostid=number, **made)
            other = result["interfaceids"][0] if result else _UNKNOWN_ID
        what = f"have kvmwatch's item of host {name} ask there"
        self.changes.make(
            what, "item.update", itemid=master["itemid"] if master else _UNKNOWN_ID, interfaceid=other
        )

    def _items_with_interface(self, number: str) -> list[Record]:
        output = ["itemid", "key_", "interfaceid"]
        items = self.api.call("item.get", hostids=[number], output=output, webitems=True)
        rules = self.api.call("discoveryrule.get", hostids=[number], output=output)
        return [item for item in (*items, *rules) if item["interfaceid"] != "0"]

    def complete(self, host: Record, groups: Iterable[str], macros: dict[str, str]) -> None:
        """Add to a host what it lacks of groups and macros, and set macros that differ."""
        name, number = host["host"], host["hostid"]
        has = {group["groupid"] for group in self.api.groups_in(host)}
        for group in groups:
            if group not in has:
                self.changes.make(
                    f"put host {name} into group {group}",
                    "host.massadd",
                    hosts=[{"hostid": number}],
                    groups=[{"groupid": group}],
                )
        known = {macro["macro"]: macro for macro in host["macros"]}
        for macro, value in macros.items():
            what = f"set {macro} = {value} on host {name}"
            if macro not in known:
                self.changes.make(what, "usermacro.create", hostid=number, macro=macro, value=value)
            elif known[macro].get("value") != value:
                number_of_macro = known[macro]["hostmacroid"]
                self.changes.make(what, "usermacro.update", hostmacroid=number_of_macro, value=value)


def hosts_with_template(provisioner: Provisioner) -> list[Record]:
    """The hosts that have one of the hypervisor templates, disabled ones too, with what their guests share."""
    api = provisioner.api
    templates = api.call("template.get", filter={"host": list(TEMPLATES.values())}, output=["templateid"])
    hosts: list[Record] = api.call(
        "host.get",
        templateids=[template["templateid"] for template in templates],
        output="extend",
        selectMacros="extend",
        **{api.groups_of_host: ["groupid", "name"]},
    )
    return sorted(hosts, key=lambda host: str(host["host"]))


def _encrypted(psk: Psk) -> Record:
    tls = {"tls_connect": _WITH_PSK, "tls_accept": _WITH_PSK}
    return {**tls, "tls_psk_identity": psk.identity, "tls_psk": psk.key}


def _agents(host: Record) -> list[Record]:
    return [interface for interface in host["interfaces"] if interface["type"] == _AGENT]


def _is_own(host: Record, interface: Record, items: list[Record]) -> bool:
    """Whether an interface was made here, and nobody but our item uses it."""
    users = [item["key_"] for item in items if item["interfaceid"] == interface["interfaceid"]]
    made_here = OWN_TAG in Api.tags_of(host)
    return (made_here or interface["main"] != "1") and all(key.startswith(_MASTER_KEYS) for key in users)


def _is_at(interface: Record, site: Site) -> bool:
    wanted = _address(site, interface["port"])
    return all(str(interface[key]) == str(value) for key, value in wanted.items() if value != "")


def _interface(site: Site) -> Record:
    return {"type": int(_AGENT), "main": 1, **_address(site, "10050")}


def _address(site: Site, port: str) -> Record:
    address = site.address or site.host
    return {
        "useip": _USE_IP if site.by_ip else _USE_DNS,
        "ip": address if site.by_ip else "",
        "dns": "" if site.by_ip else address,
        "port": site.port or port,
    }
