"""Setting Zabbix up through its API: what is missing or differs is made or changed, the rest is left alone."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kvmwatch.model.errors import KvmwatchError
from zabbix_kvm import noc, pace
from zabbix_kvm.api import Api, Record
from zabbix_kvm.sites import Site

HYPERVISORS, GUESTS = "KVM hypervisors", "KVM guests"
GUEST_TEMPLATE = "KVM Guest"

#: what is asked has an address: Zabbix runs no external check for a host without an interface
_WITH_INTERFACE = ("agent", "external")
_AGENT, _USE_DNS, _USE_IP = 1, 0, 1
_INVENTORY_AUTOMATIC = "1"
#: what a template consists of; what an older version had and the new one has not is removed
_PARTS = ("items", "triggers", "graphs", "discoveryRules", "valueMaps", "templateDashboards")
_VERSION_MACRO = "{$KVM.TEMPLATE.VERSION}"
_UNKNOWN_ID = "0"  # of what a dry run would have made


class Provisioner:
    """Makes changes, or with ``dry_run`` only tells them. ``changes`` has a line for each."""

    def __init__(self, api: Api, dry_run: bool = False) -> None:
        """Take the session; nothing is asked yet."""
        self.api = api
        self.changes: list[str] = []
        self._dry_run = dry_run
        self._groups: dict[str, str] = {}

    def change(self, what: str, method: str, /, *values: Any, **parameters: Any) -> Any:
        """Make one change and note it."""
        self.changes.append(what)
        print(f"{'would ' if self._dry_run else ''}{what}", file=sys.stderr)
        return None if self._dry_run else self.api.call(method, *values, **parameters)

    def templates(self, folder: Path) -> None:
        """Import the templates that are missing or came from another file.

        The digest in a macro tells; Zabbix's own comparison finds differences in every file that spells out a
        default.
        """
        known = {
            template["host"]: {macro["macro"]: macro["value"] for macro in template["macros"]}
            for template in self.api.call(
                "template.get",
                output=["templateid", "host"],
                search={"host": "KVM "},
                startSearch=True,
                selectMacros=["macro", "value"],
            )
        }
        for path in template_files(folder):
            name, version = _identity(path)
            if known.get(name, {}).get(_VERSION_MACRO) != version:
                source = path.read_text(encoding="utf-8")
                rules = self._rules()
                self.change(f"import {name}", "configuration.import", format="xml", source=source, rules=rules)
        self._guest_inventory()

    def _rules(self) -> Record:
        update = {"createMissing": True, "updateExisting": True}
        rules: Record = {
            "templates": update,
            **{part: {**update, "deleteMissing": True} for part in _PARTS},
        }
        groups = ("template_groups", "host_groups") if self.api.version >= (6, 2) else ("groups",)
        return rules | {part: {"createMissing": True, "updateExisting": False} for part in groups}

    def _guest_inventory(self) -> None:
        # Format 6.0 has no inventory mode for host prototypes of templates, and without it a guest's host
        # could not tell its hypervisor.
        templates = self._templates()
        found = self.api.call(
            "hostprototype.get",
            output=["hostid", "host", "inventory_mode"],
            discoveryids=[
                rule["itemid"]
                for rule in self.api.call(
                    "discoveryrule.get",
                    templateids=list(templates.values()),
                    filter={"key_": "kvm.discovery[guests]"},
                    output=["itemid"],
                )
            ],
        )
        for prototype in found:
            if prototype["inventory_mode"] != _INVENTORY_AUTOMATIC:
                self.change(
                    f"let guests found by prototype {prototype['hostid']} fill their inventory",
                    "hostprototype.update",
                    hostid=prototype["hostid"],
                    inventory_mode=int(_INVENTORY_AUTOMATIC),
                )

    def _templates(self) -> dict[str, str]:
        found = self.api.call(
            "template.get", output=["templateid", "host"], search={"host": "KVM "}, startSearch=True
        )
        return {template["host"]: template["templateid"] for template in found}

    def group(self, name: str) -> str:
        """The ID of a host group, made if need be."""
        if name not in self._groups:
            found = self.api.call("hostgroup.get", filter={"name": name}, output=["groupid"])
            if not found:
                made = self.change(f"make host group {name}", "hostgroup.create", name=name)
                found = [{"groupid": made["groupids"][0]}] if made else [{"groupid": _UNKNOWN_ID}]
            self._groups[name] = str(found[0]["groupid"])
        return self._groups[name]

    def template(self, name: str) -> str:
        """The ID of a template."""
        found = self._templates().get(name)
        if not found and not self._dry_run:
            raise KvmwatchError(f"{self.api.url}: no template is called {name!r}")
        return found or _UNKNOWN_ID

    def host(self, name: str) -> Record | None:
        """A host with its groups, templates, interfaces and macros."""
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

    def hypervisor(self, site: Site) -> None:
        """Make or complete a hypervisor's host: groups, template, interface, macros. Nothing is taken away."""
        groups = [self.group(name) for name in (HYPERVISORS, *site.groups)]
        template = self.template(site.template)
        host = self.host(site.host)
        if host is None:
            self.change(
                f"make host {site.host} ({site.template})",
                "host.create",
                host=site.host,
                groups=[{"groupid": group} for group in groups],
                templates=[{"templateid": template}],
                interfaces=[_interface(site)] if site.way in _WITH_INTERFACE else [],
                macros=[
                    {"macro": macro, "value": value}
                    for macro, value in pace.following(dict(site.macros), {}).items()
                ],
                inventory_mode=int(_INVENTORY_AUTOMATIC),
                **({"name": site.name} if site.name else {}),
                **(self.api.proxy(site.proxy) if site.proxy else {}),
            )
            return
        there = {macro["macro"]: macro.get("value", "") for macro in host["macros"]}
        self.complete(host, groups, [template], pace.following(dict(site.macros), there))
        self._settle(host, site)

    def _settle(self, host: Record, site: Site) -> None:
        wanted: Record = dict(self.api.proxy(site.proxy)) if site.proxy else {}
        if site.name:
            wanted["name"] = site.name
        wrong = {key: value for key, value in wanted.items() if str(host[key]) != str(value)}
        if wrong:
            what = f"set {', '.join(wrong)} of host {site.host}"
            self.change(what, "host.update", hostid=host["hostid"], **wrong)
        if site.way not in _WITH_INTERFACE:
            return
        made = _interface(site)
        mine = [interface for interface in host["interfaces"] if interface["type"] == str(_AGENT)]
        if not mine:
            self.change(
                f"give host {site.host} an interface", "hostinterface.create", hostid=host["hostid"], **made
            )
        elif site.address and any(mine[0][key] != str(made[key]) for key in ("useip", "ip", "dns", "port")):
            self.change(
                f"set the address of host {site.host}",
                "hostinterface.update",
                interfaceid=mine[0]["interfaceid"],
                **{key: made[key] for key in ("useip", "ip", "dns", "port")},
            )

    def complete(
        self, host: Record, groups: Iterable[str], templates: Iterable[str], macros: dict[str, str]
    ) -> None:
        """Add to a host what it lacks of groups, templates and macros, and set macros that differ."""
        name, number = host["host"], host["hostid"]
        has = {group["groupid"] for group in self.api.groups_in(host)}
        for group in groups:
            if group not in has:
                self.change(
                    f"put host {name} into group {group}",
                    "hostgroup.massadd",
                    groups=[{"groupid": group}],
                    hosts=[{"hostid": number}],
                )
        linked = {template["templateid"] for template in host["parentTemplates"]}
        missing = [template for template in templates if template not in linked]
        if missing:
            self.change(
                f"link templates to host {name}",
                "host.massadd",
                hosts=[{"hostid": number}],
                templates=[{"templateid": template} for template in missing],
            )
        known = {macro["macro"]: macro for macro in host["macros"]}
        for macro, value in macros.items():
            what = f"set {macro} = {value} on host {name}"
            if macro not in known:
                self.change(what, "usermacro.create", hostid=number, macro=macro, value=value)
            elif known[macro].get("value") != value:
                number_of_macro = known[macro]["hostmacroid"]
                self.change(what, "usermacro.update", hostmacroid=number_of_macro, value=value)

    def dashboard(self) -> None:
        """Make the NOC dashboard over all hypervisors, or bring it up to date."""
        wanted = noc.dashboard(self.api.version, self.group(HYPERVISORS), self.group(GUESTS))
        found = self.api.call("dashboard.get", filter={"name": noc.NAME}, selectPages="extend", output="extend")
        if not found:
            self.change(f"make dashboard {noc.NAME}", "dashboard.create", **wanted)
        elif noc.differs(found[0], wanted):
            self.change(
                f"update dashboard {noc.NAME}",
                "dashboard.update",
                dashboardid=found[0]["dashboardid"],
                pages=wanted["pages"],
            )


def template_files(folder: Path) -> Iterator[Path]:
    """The template files, the guest's first: the others link to it. Raises KvmwatchError."""
    files = sorted(folder.glob("kvm_*/template.xml"), key=lambda path: (path.parent.name != "kvm_guest", path))
    if not files:
        raise KvmwatchError(f"no templates in {folder}; name their folder with --templates")
    yield from files


def _identity(path: Path) -> tuple[str, str | None]:
    """The name of the template in a file, and its version."""
    try:
        template = ElementTree.parse(path).find("templates/template")
    except ElementTree.ParseError as error:
        raise KvmwatchError(f"{path} is not XML: {error}") from None
    if template is None:
        raise KvmwatchError(f"{path} has no template in it")
    macros = {macro.findtext("macro"): macro.findtext("value") for macro in template.iterfind("macros/macro")}
    return template.findtext("template") or "", macros.get(_VERSION_MACRO)


def default_templates() -> Path:
    """Where the templates are: in the checkout, or where the package put them."""
    checkout = Path(__file__).parents[2] / "templates"
    if checkout.is_dir():
        return checkout
    places = [Path(sysconfig.get_path("data")) / "share/kvmwatch/templates", Path("/usr/share/kvmwatch/templates")]
    return next((place for place in places if place.is_dir()), places[-1])


def _interface(site: Site) -> Record:
    address = site.address or site.host
    return {
        "type": _AGENT,
        "main": 1,
        "useip": _USE_IP if site.by_ip else _USE_DNS,
        "ip": address if site.by_ip else "",
        "dns": "" if site.by_ip else address,
        "port": site.port,
    }
