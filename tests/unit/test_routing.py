"""To whom a VM belongs: of the file, of its metadata, and into the definitions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from check_kvm.frame import known, siteconfig
from check_kvm.frame.judging import all_checks
from nagios_kvm import director, director_import, icinga2, nagios
from nagios_kvm.definitions import Site
from nagios_kvm.services import checks, services
from nagios_kvm.vm_hosts import VmHost
from nagios_kvm.wishes import permitted

from kvmwatch.model import policy, routing
from kvmwatch.model.errors import UsageError
from kvmwatch.model.policy import Policy
from kvmwatch.model.routing import Routing
from kvmwatch.model.snapshot import Domain, Snapshot

ICINGA = Path(__file__).parents[2] / "checks" / "icinga2" / "kvmwatch.conf"
FILE = """
[defaults]
contact_groups = everybody
vars.SITE = north
allow_metadata = team-*, shops, vars.Team
cpu.usage.warning = 85

[domain web*]
Contact_Groups = team-a, team-b
service_groups = shops
templates = slow
host_groups = vms
host_templates = pinged
vars.TEAM = storage and more
vars.Owner = Jürgen

[domain web1]
vars.TEAM = web
expect = running
"""


@pytest.fixture
def config(tmp_path: Path) -> siteconfig.SiteConfig:
    file = tmp_path / "site.ini"
    file.write_text(FILE)
    return siteconfig.load(str(file))


def snapshot(*domains: Domain) -> Snapshot:
    return Snapshot("test:///x", 0, 0, domains=domains, uuids=frozenset(domain.uuid for domain in domains))


def vm(name: str, xml: str = "<watch/>") -> Domain:
    return Domain(f"uuid-{name}", name, 1, 1, 1, 0, policy=policy.parse(xml))


def test_a_file_says_it_per_pattern(config: siteconfig.SiteConfig) -> None:
    web1, web2, db1 = config.applied(snapshot(vm("web1"), vm("web2"), vm("db1"))).domains
    assert db1.policy == Policy(routing=Routing(("everybody",), variables=(("SITE", "north"),)))
    assert web2.policy.routing == Routing(
        *(("team-a", "team-b"), ("shops",), ("slow",), ("vms",), ("pinged",)),
        (("SITE", "north"), ("TEAM", "storage and more"), ("Owner", "Jürgen")),
    )
    assert web1.policy.expect == "running"
    assert dict(web1.policy.routing.variables) == {"SITE": "north", "TEAM": "web", "Owner": "Jürgen"}
    assert config.of_check("cpu", "warning", ["usage"]) == ["usage=85"]


def test_metadata_says_it_for_one_and_wins(config: siteconfig.SiteConfig) -> None:
    xml = '<watch contact-groups="team-x, team-y" service-groups="shops"><var name="TEAM" value="x"/></watch>'
    (domain,) = config.applied(permitted(snapshot(vm("web1", xml)), config.allowed)[0]).domains
    assert domain.policy.error is None
    assert domain.policy.routing.contact_groups == ("team-x", "team-y")
    assert domain.policy.routing.templates == ("slow",)
    assert dict(domain.policy.routing.variables)["TEAM"] == "x"


def test_metadata_names_only_what_the_file_allows(config: siteconfig.SiteConfig) -> None:
    """A group that there is not makes Nagios refuse all VMs' definitions."""
    xml = '<watch contact-groups="team-x, bosses" templates="root"/>'
    kept, notes = permitted(snapshot(vm("web1", xml), vm("db1")), config.allowed)
    assert notes == ["metadata of web1: bosses, root is not in allow_metadata of --config"]
    assert kept.domains[0].policy.routing == Routing(("team-x",))
    assert permitted(snapshot(vm("web1", xml)), ())[0].domains[0].policy.routing == Routing()


ODD_NAMES = ("", "a,,b", "a;b", "a!b", "$x$", "{a}", "+a", "a\nb", "*", '"', "\\")
ODD_VARIABLES = {"": "x", "1a": "x", "a b": "x", "KVM_UUID": "x", "kvm_domain": "x", "a-b": "x", "A": "a\nb",
                 "contact_groups": "x", "Dummy_State": "0", "dummy_text": "x", "B": "a;b", "C": "$(id)", "D": "`id`", "E": "a|b", "F": '"', "G": "'", "H": "\\", "I": "x" * 1001}  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_no_system_takes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a group or template"):
        routing.names(name)
    if "\n" not in name:
        file = tmp_path / "site.ini"
        file.write_text(f"[domain web1]\ncontact_groups = {name}\n")
        with pytest.raises(UsageError, match=r"\[domain web1\]: .* is no name"):
            siteconfig.load(str(file))


@pytest.mark.parametrize(("name", "value"), ODD_VARIABLES.items())
def test_variables_that_could_become_commands_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"variable|kvmwatch's own|the value of"):
        routing.variable(name, value)
    said = policy.parse(f"<watch expect='running'><var name={quoteattr(name)} value={quoteattr(value)}/></watch>")
    assert said.routing == Routing()
    assert said.expect == "running"
    assert said.error is not None


def test_an_error_in_metadata_leaves_the_rest() -> None:
    said = policy.parse('<watch contact-groups="a;b" service-groups="shops"/>')
    assert said.routing == Routing(service_groups=("shops",))
    assert said.error == "contact-groups: 'a;b' is no name of a group or template"


@pytest.mark.parametrize("pattern", [None, VmHost("{name}")])
def test_all_of_it_is_in_nagios(config: siteconfig.SiteConfig, pattern: VmHost | None) -> None:
    listed = list(services(config.applied(snapshot(vm("web1"))), checks(["host", "state"]), pattern))
    text = nagios.render(Site("kvm1", None, True, 300), listed)
    blocks = {block.split("{")[0].strip(): dict(_fields(block)) for block in text.split("define ")[1:]}
    (service,) = (
        dict(_fields(block))
        for block in text.split("define ")
        if block.startswith("service {") and "KVM state" in block
    )
    own_host = blocks.get("host")
    assert service["use"] == "slow,kvm-service"
    assert service["servicegroups"] == "kvm-vms-of-kvm1,shops"
    assert service["contact_groups"] == "team-a,team-b"
    wanted = {"_TEAM": "web", "_OWNER": "Jürgen", "_SITE": "north", "_KVM_UUID": "uuid-web1"}
    assert wanted.items() <= service.items()
    assert (own_host is None) == (pattern is None)
    if own_host:
        assert (own_host["use"], own_host["hostgroups"]) == ("pinged,kvm-vm", "vms")
        assert (own_host["parents"], own_host["contact_groups"]) == ("kvm1", "team-a,team-b")
        assert wanted.items() <= own_host.items()
        assert (service["host_name"], service["service_description"]) == ("web1", "KVM state")
        assert blocks["servicedependency"]["dependent_servicegroup_name"] == "kvm-vms-of-kvm1"
        assert blocks["servicedependency"]["host_name"] == "kvm1"


def test_a_template_of_the_site_leaves_a_fed_service_fed(config: siteconfig.SiteConfig) -> None:
    """Most are on top of one for services that run a check, every so often: this one would be stale in between."""
    chosen = checks(["host", "state"])
    site = Site("kvm1", None, False, 300)
    applied = config.applied(snapshot(vm("web1")))
    (block,) = (one for one in nagios.render(site, services(applied, chosen)).split("define ") if "slow," in one)
    service = dict(_fields(block))
    assert service["use"] == "slow,kvm-service-passive"
    assert (service["active_checks_enabled"], service["passive_checks_enabled"]) == ("0", "1")
    assert (service["check_freshness"], service["freshness_threshold"]) == ("1", "300")
    text = icinga2.render(site, services(applied, chosen, VmHost("{name}")))
    assert text.index('import "slow"') < text.index("check_interval = 300") < text.index("retry_interval = 300")
    rules = re.findall(r"^apply Service .*?^}", ICINGA.read_text(), re.MULTILINE | re.DOTALL)
    of_vms = [rule for rule in rules if "import of_domain" in rule]
    assert len(of_vms) == len([check for check in all_checks() if check.of_each_domain])
    for rule in of_vms:
        assert rule.index("import of_domain") < rule.index("check_interval = ") < rule.index("retry_interval = ")


def _fields(block: str) -> list[tuple[str, str]]:
    lines = (line.split(None, 1) for line in block.split("\n")[1:] if line.startswith("    "))
    return [(name, value) for name, value in lines]


def test_all_of_it_is_in_icinga_and_director(config: siteconfig.SiteConfig) -> None:
    chosen = checks(["host", "state"])
    applied = config.applied(snapshot(vm("web1")))
    site = Site("kvm1", None, True, 300)
    (line,) = (line for line in icinga2.render(site, services(applied, chosen)).split("\n") if "uuid-web1" in line)
    assert line.endswith(
        'service_groups = [ "shops" ], templates = [ "slow" ], variables = { '
        '"SITE" = "north", "Owner" = "Jürgen", "TEAM" = "web", "contact_groups" = [ "team-a", "team-b" ] } }'
    )
    text = icinga2.render(site, services(applied, chosen, VmHost("{name}")))
    host, service = text.split("object ")[1:]
    for part, group, template in ((host, "vms", "pinged"), (service, "shops", "slow")):
        assert f'  groups += [ "{group}" ]\n' in part
        assert f'  import "{template}"\n' in part
        assert '  vars["TEAM"] = "web"\n  vars["contact_groups"] = [ "team-a", "team-b" ]\n' in part
    basket = json.loads(director.render(site, services(applied, chosen)))
    of_vm = basket["ServiceSet"]["KVM VMs of kvm1"]["services"]["KVM state web1"]
    assert (of_vm["imports"], of_vm["groups"]) == (["check_kvm_state", "slow"], ["shops"])
    assert of_vm["vars"]["contact_groups"] == ["team-a", "team-b"]
    with pytest.raises(
        UsageError, match="--vm-host: Director has its hosts of an Import Source; use --format director-import"
    ):
        director.render(site, services(applied, chosen, VmHost("{name}")))


@pytest.mark.parametrize("name", ["kvm_cpu_warning", "kvm_memory_critical", "kvm_state_severity"])
def test_limits_of_a_check_are_a_vms_own(name: str) -> None:
    """As they are by its thresholds; and nothing that says what is read, or where files are."""
    said = policy.parse(f"<watch><var name='{name}' value='steal=7'/></watch>")
    assert (said.routing.variables, said.error) == (((name, "steal=7"),), None)


@pytest.mark.parametrize("name", ["kvm_warning", "kvm_cpu_timeout", "kvm_cpu_uri", "kvm_state_dir", "kvm_results"])
def test_other_variables_of_ours_are_not(name: str) -> None:
    with pytest.raises(ValueError, match="kvmwatch's own"):
        routing.variable(name, "x")


#: names of variables, and whether metadata may say them where allow_metadata has vars.* (or *) in it
FOR_METADATA = {
    "TEAM": True, "os": True, "kvm_cpu_warning": True,
    "notification": False, "Notification_From": False, "enable_perfdata": False, "check_address": False,
    "address": False, "disks": False, "http_vhosts": False, "backup_downtime": False, "dummy_other": False,
}  # fmt: skip


@pytest.mark.parametrize(("name", "may"), FOR_METADATA.items())
def test_metadata_says_no_variable_that_rules_go_by(name: str, may: bool) -> None:
    xml = f"<watch><var name='{name}' value='1'/></watch>"
    for allowed in (("*",), ("vars.*",), ("VARS." + name.upper(),)):
        kept, notes = permitted(snapshot(vm("web1", xml)), allowed)
        assert kept.domains[0].policy.routing.variables == (((name, "1"),) if may else ())
        assert notes == ([] if may else [f"metadata of web1: vars.{name} is never taken from there"])


def test_the_page_names_all_variables_that_no_vm_may_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "thresholds.md").read_text(encoding="utf-8")
    missing = [glob for glob in routing.RESERVED if f"`{glob}`" not in page]
    assert not missing, f"docs/thresholds.md, Who is told, lacks {missing}"


def test_metadata_says_variables_where_they_are_allowed() -> None:
    """A check's limits are a VM's own, as by <threshold>; what else there is, rules of the site may go by."""
    xml = "<watch><var name='TEAM' value='x'/><var name='Rack' value='7'/><var name='kvm_cpu_warning' value='9'/></watch>"
    kept, notes = permitted(snapshot(vm("web1", xml)), ("team*", "vars.rack"))
    assert kept.domains[0].policy.routing.variables == (("Rack", "7"), ("kvm_cpu_warning", "9"))
    assert notes == ["metadata of web1: vars.TEAM is not in allow_metadata of --config"]


#: variables with the name of an option that there is not, and what is said of each
NO_OPTIONS = {
    "kvm_cpuu_warning": "unknown check 'cpuu'; there are agent, cpu, ",
    "kvm_pool_critical": "check_kvm_pool is of the hypervisor, and no VM has a service of it",
    "kvm_cpu_severity": "check_kvm_cpu has no option --severity",
}


@pytest.mark.parametrize(("name", "said"), NO_OPTIONS.items())
def test_an_option_that_there_is_not_is_said(name: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "site.ini"
    for section in ("defaults", "domain web1"):
        file.write_text(f"[{section}]\nvars.{name} = steal=10\n")
        with pytest.raises(UsageError, match=rf"\[{section}\]: vars.{name}: {said}"):
            siteconfig.load(str(file))
    kept, (note,) = permitted(snapshot(vm("web1", f"<watch><var name='{name}' value='1'/></watch>")), ("*",))
    assert note.startswith(f"metadata of web1: {name}: {said}")
    assert kept.domains[0].policy.routing == Routing()


def test_each_option_that_a_check_of_vms_has_can_be_given() -> None:
    for check in all_checks():
        for option in ("warning", "critical", "severity"):
            there = check.of_each_domain and (option != "severity" or bool(check.conditions))
            assert (known.no_option(f"kvm_{check.name}_{option}") is None) == there, (check.name, option)


def test_the_last_of_a_variable_counts_large_or_small(tmp_path: Path) -> None:
    """Nagios knows no difference; in Icinga these are two."""
    file = tmp_path / "site.ini"
    file.write_text("[defaults]\nvars.TEAM = a\nallow_metadata = vars.team\n[domain web*]\nvars.team = b\n")
    config = siteconfig.load(str(file))
    own = vm("web2", "<watch><var name='TEAM' value='x'/><var name='Team' value='c'/></watch>")
    allowed, _ = permitted(snapshot(vm("web1"), own, vm("db1")), config.allowed)
    listed = list(services(config.applied(allowed), checks(["host", "state"])))
    text = nagios.render(Site("kvm1", None, True, 300), listed)
    assert [line.split() for line in text.split("\n") if "_TEAM" in line] == [["_TEAM", of] for of in "abc"]
    text = icinga2.render(Site("kvm1", None, True, 300), listed)
    assert 'variables = { "TEAM" = "a", "team" = "b" } }' in text
    # without a file that says something of it, too
    twice = nagios.render(Site("kvm1", None, True, 300), services(snapshot(own), checks(["host", "state"])))
    assert twice.count("_TEAM") == 1


def test_ours_win_over_all_that_a_vm_says() -> None:
    """Even if one came as far as this."""
    ours = ("contact_groups", "kvm_domain", "kvm_uuid", "kvm_hypervisor", "kvm_results", "kvm_uri")
    routed = Routing(contact_groups=("team-a",), variables=tuple((name, "x") for name in ours))
    domain = vm("web1")._replace(policy=Policy(routing=routed))
    site = Site("kvm1", "test:///u", True, 300)
    of_vm = checks(["host", "state"])
    (row,) = json.loads(director_import.render(site, services(snapshot(domain), of_vm, VmHost("{name}"))))
    assert "x" not in row["vars"].values()
    basket = json.loads(director.render(site, services(snapshot(domain), of_vm)))
    of_service = basket["ServiceSet"]["KVM VMs of kvm1"]["services"]["KVM state web1"]["vars"]
    assert [of_service[name] for name in ("contact_groups", "kvm_domain", "kvm_uri")] == [
        *(["team-a"], ["uuid-web1"], "test:///u")
    ]
    text = icinga2.render(site, services(snapshot(domain), of_vm))
    assert '"contact_groups" = [ "team-a" ]' in text
    assert '"contact_groups" = "x"' not in text


def test_all_of_it_is_in_the_list_for_director(config: siteconfig.SiteConfig) -> None:
    applied = config.applied(snapshot(vm("web1"), vm("db1")))
    listed = list(services(applied, checks(["host", "state"]), VmHost("vm-{name}")))
    text = director_import.render(Site("kvm1", "qemu+ssh://kvm1/$x", True, 300), listed)
    db1, web1 = json.loads(text)
    assert director_import.ENTRY.findall(text) == ["vm-db1", "vm-web1"]
    assert db1.keys() == web1.keys(), "Director takes the columns from the first row"
    assert (web1["host"], web1["name"], web1["uuid"], web1["hypervisor"]) == (
        "vm-web1",
        "web1",
        "uuid-web1",
        "kvm1",
    )
    assert (web1["imports"], web1["groups"]) == (["kvm-vm", "pinged"], ["vms"])
    wanted = {"contact_groups": ["team-a", "team-b"], "SITE": "north", "kvm_domain": ["uuid-web1"]}
    assert web1["vars"].items() >= {**wanted, "kvm_results": "active", "kvm_uri": "qemu+ssh://kvm1/$$x"}.items()
    with pytest.raises(UsageError, match="--vm-host-exists: the Sync Rule makes the hosts"):
        director_import.render(Site("kvm1", None, True, 300, makes_hosts=False), listed)
