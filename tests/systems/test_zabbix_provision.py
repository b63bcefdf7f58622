"""zabbix_kvm provision on a real Zabbix that has a life of its own: other people's hosts, names, templates and users.

The hypervisors are those of libvirt's test driver, whose data is pushed: nothing of libvirt matters here.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ran
from testdriver import node
from waiting import eventually
from zabbix_kvm import parts
from zabbix_kvm.provision import GUESTS, HYPERVISORS
from zabbix_kvm.sites import TEMPLATES

from zabbix import CHECKOUT, CONFIG, LOGIN, URL, Zabbix, provision

DASHBOARD = "KVM: all hypervisors"
NOTHING = f"{URL}: nothing to change\n"
LONG = "l" * 200
PSK = {"tls_connect": 2, "tls_accept": 2, "tls_psk_identity": "kvm", "tls_psk": "0123456789abcdef" * 4}


class Site:
    """Zabbix with our templates, and hypervisors that push what they are told to have."""

    def __init__(self, zabbix: Zabbix, kvm: Command, folder: Path) -> None:
        self.zabbix = zabbix
        self.kvm = kvm
        self._folder = folder
        self.call = zabbix.call

    def provision(self, *arguments: str, code: int = 0) -> Ran:
        """Run it; the dashboard is looked at by its own test."""
        ran = provision(self.kvm, "--no-dashboard", *arguments, timeout=600)
        assert ran.code == code, (ran.out, ran.err)
        return ran

    def unchanged(self, *arguments: str) -> None:
        ran = self.provision(*arguments)
        assert (ran.out, ran.err) == (NOTHING, "")

    def hypervisor(self, name: str, *vms: str) -> None:
        """Make it, and push until its VMs have their states."""
        self.provision("--hypervisor", name, "--way", "trapper")
        self.zabbix.set_macros(name, KVM_LLD_LIFETIME="0")
        # a server that knows the host and not yet its macros, which come with another query, discovers nothing
        self.push(name)
        self.push(name, *vms)

    def push(self, name: str, *vms: str) -> None:
        """Push until Zabbix has these VMs of it, in a collection that is newer than the one before."""
        file = self._folder / f"{name}.xml"
        file.write_text(node(vms).replace(uuid_of("twin"), uuid_of(f"twin of {name}")))
        before = self.collected(name)
        wanted = {f"kvm.domain.state[{vm}]" for vm in self.uuids(name).values()}

        def there() -> bool:
            sent = int(time.time())
            self.kvm("zabbix_kvm", "send", "-u", f"test://{file}", "--host", name, "--config", CONFIG)
            # so that none is still under way; a server that does not know the host yet takes nothing
            while (newest := self.collected(name)) < sent and time.time() < sent + 5:
                time.sleep(0.2)
            items = self.zabbix.items(name, search={"key_": "kvm.domain.state["})
            return (
                newest > before
                and newest >= sent
                and all(int(items.get(key, {"lastclock": 0})["lastclock"]) >= newest for key in wanted)
            )

        eventually(f"{name} has {len(vms)} VMs", there)

    def collected(self, name: str) -> int:
        items = self.zabbix.items(name, search={"key_": "kvm.domains.running"})
        return int(items["kvm.domains.running"]["lastclock"]) if items else 0

    def uuids(self, name: str) -> dict[str, str]:
        """The VMs of it by name."""
        document = json.loads(self.kvm("zabbix_kvm", "collect", "-u", f"test://{self._folder / name}.xml").out)
        return {domain["name"]: domain["uuid"] for domain in document["domains"]}

    def guest(self, vm: str) -> dict[str, Any] | None:
        found = self.call(
            "host.get", filter={"host": vm}, output="extend", selectTags="extend", selectGroups="extend"
        )
        return found[0] if found else None


def uuid_of(name: str) -> str:
    """The UUID that the test driver's file gives a VM of this name, wherever it is."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


@pytest.fixture(scope="module")
def site(zabbix: Zabbix, kvm: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(zabbix, kvm, tmp_path_factory.mktemp("hypervisors"))
    made.provision()
    before = zabbix.inventory()
    yield made
    for kind, numbers in reversed(list(zabbix.inventory().items())):
        if kind == "host" and (new := sorted(numbers - before[kind])):
            zabbix.delete("host", new)


@pytest.fixture
def linux(site: Site) -> Iterator[str]:
    """A host as an administrator has it already."""
    (group,) = site.call("hostgroup.get", filter={"name": "Linux servers"})
    (template,) = site.call("template.get", filter={"host": "Linux by Zabbix agent"}, output=["templateid"])
    (number,) = site.call(
        "host.create",
        host="linux1",
        groups=[{"groupid": group["groupid"]}],
        templates=[{"templateid": template["templateid"]}],
        interfaces=[{"type": 1, "main": 1, "useip": 0, "ip": "", "dns": "linux1.example.com", "port": "10051"}],
        macros=[{"macro": "{$THEIRS}", "value": "kept"}, {"macro": "{$KVM.VM.CPU.MAX}", "value": "70"}],
        tags=[{"tag": "owner", "value": "somebody"}],
    )["hostids"]
    yield number
    site.zabbix.api.do_request("host.delete", [number])


def of_others(site: Site, number: str) -> dict[str, Any]:
    """What of a host is not ours."""
    (host,) = site.call(
        "host.get",
        hostids=[number],
        output=["name", "status", "tls_connect", "tls_accept", "description", "inventory_mode"],
        selectInterfaces=["interfaceid", "main", "type", "useip", "ip", "dns", "port"],
        selectMacros=["macro", "value"],
        selectTags="extend",
        selectGroups=["name"],
        selectParentTemplates=["host"],
    )
    host["interfaces"] = [one for one in host["interfaces"] if one["main"] == "1"]
    host["parentTemplates"] = [one for one in host["parentTemplates"] if not one["host"].startswith("KVM ")]
    host["groups"] = [one["name"] for one in host["groups"] if not one["name"].startswith("KVM ")]
    used = site.call("item.get", hostids=[number], output=["key_", "interfaceid"], webitems=True)
    host["items"] = sorted((one["key_"], one["interfaceid"]) for one in used if not one["key_"].startswith("kvm."))
    made: dict[str, Any] = host
    return made


def test_a_host_of_others_keeps_what_it_has(site: Site, linux: str) -> None:
    before = of_others(site, linux)
    site.provision("--hypervisor", "linux1")
    assert of_others(site, linux) == before
    site.unchanged("--hypervisor", "linux1")
    site.provision("--hypervisor", "linux1=192.0.2.9")
    assert of_others(site, linux) == before, "the main interface is not ours"
    interfaces = {
        one["interfaceid"]: one for one in site.call("hostinterface.get", hostids=[linux], output="extend")
    }
    (master,) = site.call("item.get", hostids=[linux], filter={"key_": "kvm.collect"}, output=["interfaceid"])
    assert interfaces[master["interfaceid"]]["ip"] == "192.0.2.9"
    assert len(interfaces) == 2
    site.unchanged("--hypervisor", "linux1=192.0.2.9")
    site.unchanged("--hypervisor", "linux1")
    site.provision("--hypervisor", "linux1=192.0.2.10")  # the second one is ours
    assert of_others(site, linux) == before
    assert sorted(one["ip"] for one in site.call("hostinterface.get", hostids=[linux])) == ["", "192.0.2.10"]
    site.provision("--hypervisor", "linux1", "--way", "trapper")
    assert of_others(site, linux) == before


def test_the_address_of_a_host_that_was_made_here_can_change(site: Site) -> None:
    site.provision("--hypervisor", "moved1=192.0.2.1")
    site.provision("--hypervisor", "moved1=moved1.example.com")
    host = site.zabbix.host("moved1")
    (interface,) = site.call("hostinterface.get", hostids=[host["hostid"]], output="extend")
    assert (interface["useip"], interface["dns"], interface["main"]) == ("0", "moved1.example.com", "1")


def test_another_way_keeps_items_and_history(site: Site) -> None:
    """Through all ways and back: every item keeps its ID, and so its history."""
    name = "ways1"
    site.hypervisor(name, "vm1", "vm2")
    before = {key: item["itemid"] for key, item in ids(site, name).items()}
    kept = {key: history(site, before[key]) for key in ("kvm.time", state_of(site, name))}
    assert all(kept.values())
    for way in ("agent", "active", "external", "agent", "trapper"):
        ran = site.provision("--hypervisor", name, "--way", way)
        assert f"move host {name} to {TEMPLATES[way]}" in ran.err
        now = {key: item["itemid"] for key, item in ids(site, name).items()}
        assert {key: now.get(key) for key in before} == before, way
        for key, clocks in kept.items():
            assert history(site, before[key])[: len(clocks)] == clocks, way
        linked = site.call("template.get", hostids=[site.zabbix.host(name)["hostid"]], output=["host"])
        assert [template["host"] for template in linked] == [TEMPLATES[way]]
    site.unchanged("--hypervisor", name)
    masters = [key for key in ids(site, name) if key.startswith(("kvm.collect", "zabbix_kvm["))]
    assert masters == ["kvm.collect"], "that of the external check went again"
    site.push(name, "vm1", "vm2")
    for key, clocks in kept.items():
        after = history(site, before[key])
        assert after[: len(clocks)] == clocks
        assert after[-1] > clocks[-1], "and goes on"


def ids(site: Site, name: str) -> dict[str, Any]:
    found = site.call("item.get", hostids=[site.zabbix.host(name)["hostid"]], output=["itemid", "key_"])
    return {item["key_"]: item for item in found}


def state_of(site: Site, name: str) -> str:
    return f"kvm.domain.state[{site.uuids(name)['vm1']}]"


def history(site: Site, item: str) -> list[int]:
    """The clocks of an item's values, which are whole numbers."""
    found = site.call("history.get", itemids=[item], history=3, sortfield="clock", output=["clock"])
    return [int(row["clock"]) for row in found]


def test_names_that_are_taken_or_too_long_stop_nobody(site: Site) -> None:
    odd = 'Büro "01" it\'s=odd | 100% \U0001f40b'
    names = ("Zabbix server", "KVM Guest", LONG, LONG + "2", odd, "twin", "plain1")
    site.hypervisor("names1", *names)
    site.hypervisor("names2", "twin")
    uuids = site.uuids("names1")
    group = site.zabbix.group_of_templates("Templates")
    site.call("template.create", host=uuids["plain1"], groups=[{"groupid": group}])
    try:
        ran = site.provision("--guests", code=2)
        told = [line for line in ran.err.splitlines() if line.startswith("zabbix_kvm: ")]
        assert len(told) == 1
        assert f"cannot make host {uuids['plain1']} ({uuids['plain1']}) on names1: " in told[0]
        assert "already exists" in told[0]
        assert ran.out.endswith(", 1 failed: see above\n")
        shown = {name: host["name"] for name in names if (host := site.guest(uuids[name]))}
        twin = site.uuids("names2")["twin"]
        assert shown == {
            "Zabbix server": f"Zabbix server ({uuids['Zabbix server'][:8]})",
            "KVM Guest": f"KVM Guest ({uuids['KVM Guest'][:8]})",
            # tags are cut, and so are names
            LONG: f"{'l' * 116}… ({uuids[LONG][:8]})",
            LONG + "2": f"{'l' * 116}… ({uuids[LONG + '2'][:8]})",
            odd: odd,
            "twin": f"twin ({uuids['twin'][:8]})",
        }
        assert all(len(name) <= 128 for name in shown.values())
        assert site.guest(twin)["name"] == f"twin ({twin[:8]})"  # type: ignore[index]
    finally:
        (template,) = site.call("template.get", filter={"host": uuids["plain1"]}, output=["templateid"])
        site.zabbix.api.do_request("template.delete", [template["templateid"]])
    assert "make host plain1" in site.provision("--guests").err
    site.unchanged("--guests")


def test_a_host_that_is_called_like_a_vm_is_left_alone_and_told(site: Site) -> None:
    site.hypervisor("called1", "called")
    vm = site.uuids("called1")["called"]
    (group,) = site.call("hostgroup.get", filter={"name": "Linux servers"})
    (number,) = site.call("host.create", host=vm, name="of others", groups=[{"groupid": group["groupid"]}])[
        "hostids"
    ]
    try:
        ran = site.provision("--guests", code=2)
        assert f"zabbix_kvm: host of others is called {vm}" in ran.err
        (host,) = site.call("host.get", hostids=[number], selectGroups=["name"], output=["name"])
        assert (host["name"], [of["name"] for of in host["groups"]]) == ("of others", ["Linux servers"])
    finally:
        site.zabbix.api.do_request("host.delete", [number])


def test_a_vm_that_is_gone(site: Site) -> None:
    name = "gone-hv"
    now, later = ("--guests", "--disable-after", "0"), ("--guests",)
    site.hypervisor(name, "stays", "goes")
    vm = site.uuids(name)["goes"]
    site.provision(*now)
    site.call(
        "host.update",
        hostid=site.guest(vm)["hostid"],
        tags=[*tags(site, vm), {"tag": "of", "value": "others"}],
    )  # type: ignore[index]
    before = tags(site, vm)

    site.push(name, "stays")
    ran = site.provision(*now)
    assert f"mark host goes ({vm}): no hypervisor has its VM any more" in ran.err
    assert status(site, vm) == "0", "one collection is no proof"
    says_nothing_of(site, [vm], *now)
    assert status(site, vm) == "0", "nor is a second look at the same one"

    site.push(name, "stays", "goes")
    site.provision(*now)
    assert (status(site, vm), tags(site, vm)) == ("0", before), "it was there again"

    site.push(name, "stays")
    site.provision(*now)
    site.push(name, "stays")
    says_nothing_of(site, [vm], *later)  # a quarter of an hour, if nothing is said
    ran = site.provision(*now)
    assert f"disable host goes ({vm}): its VM is missing since " in ran.err
    assert status(site, vm) == "1"
    says_nothing_of(site, [vm], *now)

    site.push(name, "stays", "goes")
    site.provision(*now)
    assert (status(site, vm), tags(site, vm)) == ("0", before)

    for _ in range(2):
        site.push(name, "stays")
        site.provision(*now)
    assert status(site, vm) == "1"
    ran = site.provision(*now, "--delete-after", "0")
    assert f"delete host goes ({vm}): its VM is missing since " in ran.err
    assert site.guest(vm) is None
    assert status(site, site.uuids(name)["stays"]) == "0"


def test_what_is_not_known_is_not_gone(site: Site) -> None:
    """A hypervisor that is switched off in Zabbix, and a host that somebody has disabled."""
    name = "unknown-hv"
    site.hypervisor(name, "off", "held")
    uuids = site.uuids(name)
    site.provision("--guests", "--disable-after", "0")
    site.call("host.update", hostid=site.guest(uuids["held"])["hostid"], status=1)  # type: ignore[index]
    says_nothing_of(site, uuids.values(), "--guests", "--disable-after", "0")
    site.call("host.update", hostid=site.zabbix.host(name)["hostid"], status=1)
    says_nothing_of(site, uuids.values(), "--guests", "--disable-after", "0")
    assert [status(site, uuids[vm]) for vm in ("off", "held")] == ["0", "1"]


def says_nothing_of(site: Site, vms: Iterable[str], *arguments: str) -> None:
    """Run it, while VMs of other tests may come and go."""
    told = site.provision(*arguments).err
    assert not [vm for vm in vms if vm in told], told


def status(site: Site, vm: str) -> str:
    host = site.guest(vm)
    assert host
    return str(host["status"])


def tags(site: Site, vm: str) -> list[dict[str, str]]:
    host = site.guest(vm)
    assert host
    return sorted(({"tag": tag["tag"], "value": tag["value"]} for tag in host["tags"]), key=str)


def test_a_new_guest_has_the_pace_of_its_hypervisor(site: Site) -> None:
    site.hypervisor("slow1", "slowly")
    site.zabbix.set_macros("slow1", KVM_INTERVAL="2m")
    site.push("slow1", "slowly")
    site.provision("--guests")
    (host,) = site.call("host.get", filter={"host": site.uuids("slow1")["slowly"]}, selectMacros="extend")
    assert {macro["macro"]: macro["value"] for macro in host["macros"]} == {
        "{$KVM.INTERVAL}": "2m",
        "{$KVM.WINDOW}": "6m",
        "{$KVM.GUEST.NODATA}": "8m",
    }


def test_guests_share_proxy_and_tls_of_their_hypervisor_and_move_with_their_vm(site: Site, tmp_path: Path) -> None:
    site.hypervisor("proxied1", "shared")
    site.hypervisor("proxied2", "other")
    vm = site.uuids("proxied1")["shared"]
    (proxy,) = site.call("proxy.create", **proxy_named(site, "behind1"))["proxyids"]
    first, second = (site.zabbix.host(name)["hostid"] for name in ("proxied1", "proxied2"))
    behind = {"monitored_by": 1, "proxyid": proxy} if has_proxy_groups(site) else {"proxy_hostid": proxy}
    site.call(
        "host.update",
        hostid=first,
        **behind,
        tls_connect=4,
        tls_accept=4,
        tls_issuer="CN=ca",
        tls_subject="CN=kvm1",
    )
    try:
        site.provision("--guests")
        host = site.guest(vm)
        assert host
        assert {key: str(host[key]) for key in behind} == {key: str(value) for key, value in behind.items()}
        assert (host["tls_accept"], host["tls_issuer"], host["tls_subject"]) == ("4", "CN=ca", "CN=kvm1")
        site.unchanged("--guests")

        # the other one tells later that it runs there; after this neither takes anything in clear any more
        site.push("proxied2", "other", "shared")
        site.call("host.update", hostid=second, **PSK)
        ran = site.provision("--guests", code=2)
        assert "cannot make hosts of the new VMs on proxied2" not in ran.err, "there is none"
        assert "its VM is on proxied2, which uses a pre-shared key; give it with --psk FILE" in ran.err
        keys = tmp_path / "psk.ini"
        keys.write_text(f"[proxied2]\nidentity = kvm\nkey = {PSK['tls_psk']}\n")
        keys.chmod(0o600)
        ran = site.provision("--guests", "--psk", str(keys))
        assert str(PSK["tls_psk"]) not in ran.err + ran.out
        moved = site.guest(vm)
        assert moved
        assert moved["hostid"] == host["hostid"]
        assert (moved["tls_connect"], moved["tls_accept"], moved["tls_issuer"]) == ("2", "2", "")
        by_server = {"monitored_by": "0"} if has_proxy_groups(site) else {"proxy_hostid": "0"}
        assert {key: moved[key] for key in by_server} == by_server
        site.unchanged("--guests", "--psk", str(keys))
        site.unchanged("--guests")
    finally:
        for number in (first, second):
            site.zabbix.api.do_request("host.delete", [number])
        if left := site.guest(vm):
            site.zabbix.api.do_request("host.delete", [left["hostid"]])
        site.zabbix.api.do_request("proxy.delete", [proxy])


def has_proxy_groups(site: Site) -> bool:
    """Whether it is Zabbix 7.0, where a host says by what it is monitored."""
    return int(str(site.zabbix.api.version).split(".")[0]) >= 7


def proxy_named(site: Site, name: str) -> dict[str, Any]:
    return {"name": name, "operating_mode": 0} if has_proxy_groups(site) else {"host": name, "status": 5}


def test_a_psk_for_a_hypervisor(site: Site, tmp_path: Path) -> None:
    keys = tmp_path / "psk.ini"
    keys.write_text(f"[psk1]\nidentity = kvm\nkey = {PSK['tls_psk']}\n")
    keys.chmod(0o600)
    site.provision("--hypervisor", "psk1", "--psk", str(keys))
    host = site.zabbix.host("psk1")
    assert (host["tls_connect"], host["tls_accept"]) == ("2", "2")
    site.unchanged("--hypervisor", "psk1", "--psk", str(keys))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of our templates."""
    made = tmp_path / "templates"
    shutil.copytree(CHECKOUT / "templates", made)
    return made


def released(folder: Path, version: str, more: str = "") -> None:
    """Make the guest's template another version's, with one more item in it."""
    file = folder / "kvm_guest" / "template.xml"
    text = file.read_text()
    head, _, tail = text.partition("<macro>{$KVM.TEMPLATE.VERSION}</macro>")
    _, _, tail = tail.partition("</value>")
    macro = f"<macro>{{$KVM.TEMPLATE.VERSION}}</macro><value>{version} {len(more):012x}</value>"
    text = head + macro + tail
    if more:
        number = parts.part_uuid("KVM Guest", "item", "", more)
        text = text.replace(
            "<items>",
            f"<items><item><uuid>{number}</uuid><name>{more}</name><type>TRAP</type><key>{more}</key><delay>0</delay></item>",
            1,
        )
    file.write_text(text)


def test_a_newer_template_is_not_replaced_by_an_older_one(site: Site, folder: Path) -> None:
    released(folder, "0.10.0")
    assert "import KVM Guest" in site.provision("--templates", str(folder)).err
    site.unchanged("--templates", str(folder))
    ran = site.provision(code=2)
    assert "zabbix_kvm: KVM Guest in Zabbix is of kvmwatch 0.10.0, newer than " in ran.err
    assert ran.out == f"{URL}: nothing to change, 1 failed: see above\n"
    assert "import" not in site.provision("--guests").err
    assert "import KVM Guest" in site.provision("--replace-templates").err
    site.unchanged()


def test_an_import_takes_nothing_of_the_administrators(site: Site, folder: Path) -> None:
    released(folder, "0.0.9", "kvm.former")
    site.provision("--templates", str(folder), "--replace-templates")
    (template,) = site.call("template.get", filter={"host": "KVM Guest"}, output=["templateid"])
    number = template["templateid"]
    site.call("item.create", hostid=number, name="theirs", key_="theirs", type=2, value_type=3)
    site.call("trigger.create", description="Theirs", expression="last(/KVM Guest/theirs)=1")
    site.call("usermacro.create", hostid=number, macro='{$KVM.VM.CPU.MAX:"theirs"}', value="77")
    (macro,) = site.call("usermacro.get", hostids=[number], filter={"macro": "{$KVM.VM.CPU.MAX}"}, output="extend")
    site.call("usermacro.update", hostmacroid=macro["hostmacroid"], value="66")

    ran = site.provision()

    try:
        assert "note: item 'theirs', which somebody added to KVM Guest, stays" in ran.err
        assert "note: trigger 'Theirs', which somebody added to KVM Guest, stays" in ran.err
        keys = {item["key_"] for item in site.call("item.get", templateids=[number], output=["key_"])}
        assert "theirs" in keys
        assert "kvm.former" not in keys, "this version has none"
        assert "remove 1 of KVM Guest that this version has not: item" in ran.err
        assert site.call("trigger.get", templateids=[number], filter={"description": "Theirs"})
        macros = {
            one["macro"]: one["value"] for one in site.call("usermacro.get", hostids=[number], output="extend")
        }
        assert (macros["{$KVM.VM.CPU.MAX}"], macros['{$KVM.VM.CPU.MAX:"theirs"}']) == ("66", "77")
        site.unchanged()
    finally:
        site.call(
            "usermacro.update", hostmacroid=own_macro(site, number, "{$KVM.VM.CPU.MAX}"), value=macro["value"]
        )
        site.zabbix.api.do_request("usermacro.delete", [own_macro(site, number, '{$KVM.VM.CPU.MAX:"theirs"}')])
        (item,) = site.call("item.get", templateids=[number], filter={"key_": "theirs"}, output=["itemid"])
        site.zabbix.api.do_request("item.delete", [item["itemid"]])


def own_macro(site: Site, number: str, name: str) -> str:
    (macro,) = site.call("usermacro.get", hostids=[number], filter={"macro": name}, output=["hostmacroid"])
    return str(macro["hostmacroid"])


def test_the_dashboard_is_its_users(site: Site, kvm: Command) -> None:
    provision(kvm)
    (board,) = site.call("dashboard.get", filter={"name": DASHBOARD}, selectPages="extend", output="extend")
    try:
        edited = [{"dashboard_pageid": page["dashboard_pageid"]} for page in board["pages"][:1]]
        site.call("dashboard.update", dashboardid=board["dashboardid"], pages=edited)
        ran = provision(kvm)
        assert (ran.out, ran.err) == (NOTHING, "")
        (group,) = site.call("usergroup.create", name="NOC")["usrgrpids"]
        assert "share dashboard" in provision(kvm, "--share", "NOC").err
        assert (provision(kvm, "--share", "NOC").out, pages(site)) == (NOTHING, 1)
        (shared,) = site.call("dashboard.get", filter={"name": DASHBOARD}, selectUserGroups="extend")
        assert {"usrgrpid": group, "permission": "2"} in shared["userGroups"]
        missing = provision(kvm, "--share", "nobody")
        assert (missing.code, "no user group is called 'nobody'" in missing.err) == (3, True)
    finally:
        assert "replace dashboard" in provision(kvm, "--replace-dashboard").err
    assert pages(site) == 3


def pages(site: Site) -> int:
    (board,) = site.call("dashboard.get", filter={"name": DASHBOARD}, selectPages="extend")
    return len(board["pages"])


#: what docs/zabbix.md says that the timer's user may do
METHODS = (
    *("host.create", "host.delete", "host.get", "host.massadd", "host.massremove", "host.update", "hostgroup.get"),
    *("item.get", "template.get"),
)


@pytest.fixture
def least(site: Site) -> Iterator[dict[str, str]]:
    """The environment of a user who may do what the pages say, and nothing else."""
    page = (CHECKOUT / "docs" / "zabbix.md").read_text()
    assert all(f"`{method}`" in page for method in METHODS)
    groups = {group["name"]: group["groupid"] for group in site.call("hostgroup.get", output=["groupid", "name"])}
    of_hosts = [{"id": groups[name], "permission": 3} for name in groups if name.startswith(GUESTS)]
    of_hosts.append({"id": groups[HYPERVISORS], "permission": 2})
    of_templates = [{"id": site.zabbix.group_of_templates("Templates/Virtualization"), "permission": 2}]
    rights = (
        {"hostgroup_rights": of_hosts, "templategroup_rights": of_templates}
        if site.zabbix.has_template_groups
        else {"rights": of_hosts + of_templates}
    )
    rules = {"ui.default_access": 0, "api.access": 1, "api.mode": 1, "api": list(METHODS)}
    (role,) = site.call("role.create", name="kvmwatch", type=2, rules=rules)["roleids"]
    (group,) = site.call("usergroup.create", name="kvmwatch", **rights)["usrgrpids"]
    (user,) = site.call(
        "user.create", username="kvmwatch", roleid=role, passwd="Sesam-0ffne-dich", usrgrps=[{"usrgrpid": group}]
    )["userids"]
    (number,) = site.call("token.create", name="kvmwatch", userid=user)["tokenids"]
    (token,) = site.zabbix.api.do_request("token.generate", [number])["result"]
    yield {"ZABBIX_URL": URL, "ZABBIX_TOKEN": token["token"]}
    for kind, made in (("user", user), ("usergroup", group), ("role", role)):
        site.zabbix.api.do_request(f"{kind}.delete", [made])


def test_a_user_with_the_least_rights_keeps_guests_in_step(site: Site, request: pytest.FixtureRequest) -> None:
    site.hypervisor("least1", "first")
    site.hypervisor("least2")
    site.provision("--guests")  # the groups, by somebody who may
    environment: dict[str, str] = request.getfixturevalue("least")

    def keep(*more: str) -> Ran:
        return site.kvm("zabbix_kvm", "provision", "--guests", *more, env=environment)

    ran = keep()
    assert (ran.code, ran.err) == (0, "")
    site.push("least1", "first", "second")
    vm = site.uuids("least1")["second"]
    ran = keep()
    assert (ran.code, f"make host second ({vm}) on least1" in ran.err) == (0, True), ran.err
    site.push("least1", "first")
    site.push("least2", "second")
    ran = keep()
    assert (ran.code, "it is on least2" in ran.err) == (0, True), ran.err
    site.push("least2")
    keep("--disable-after", "0")
    site.push("least2")
    keep("--disable-after", "0")
    assert status(site, vm) == "1"
    keep("--delete-after", "0")
    assert site.guest(vm) is None

    site.hypervisor("least3", "third")
    ran = keep()
    assert ran.code == 2
    assert f"zabbix_kvm: cannot make host group {GUESTS}/least3: " in ran.err
    assert site.guest(site.uuids("least3")["third"]), "though its group is missing"


def test_no_credentials_that_the_agent_can_read(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "zabbix.ini"
    file.write_text(f"user = {LOGIN['ZABBIX_USER']}\npassword = {LOGIN['ZABBIX_PASSWORD']}\n")
    file.chmod(0o600)
    verify = ("zabbix_kvm", "verify", "--url", URL, "--credentials", str(file))
    assert site.kvm(*verify).code < 3
    shutil.chown(file, "zabbix")
    ran = site.kvm(*verify)
    assert (ran.code, "can be read by user zabbix" in ran.err) == (3, True)
