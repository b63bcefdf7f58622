"""Whatever a VM is called: every format has it as one service of its own, which no other's name can reach."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nagios_kvm import director, director_import, icinga2, nagios
from nagios_kvm.command_file import command
from nagios_kvm.definitions import Site, check_uri, host_name
from nagios_kvm.judging import Result
from nagios_kvm.names import ServiceName
from nagios_kvm.services import SETTLED, Service, checks
from nagios_kvm.spool import _block
from nagios_kvm.vm_hosts import VmHost

from kvmwatch.model.errors import UsageError
from kvmwatch.model.snapshot import Domain

CHOSEN = checks(["host", "state", "cpu"])
ILLEGAL = set("`~!$%^&*|'\"<>?,()=;\\")

#: what has a meaning somewhere on the way
ODD = (
    *(
        "*",
        "+",
        "web+",
        "web.*",
        "web[12]",
        "^web",
        "web$",
        "(web|db)",
        "web\\.x",
        "re:.*",
        "?",
        "{",
        "}",
        "#",
        "# a",
    ),
    *(
        "; rm",
        "!web1",
        "null",
        "all",
        "a,b",
        "a;b",
        "$HOSTNAME$",
        "$host.name$",
        "`id`",
        "%s",
        "%41",
        "+41.",
        "//",
        "/*",
    ),
    *(
        '"',
        '" + x + "',
        "\\",
        "\\\\",
        "a\\",
        "{{{",
        "}}}",
        " web",
        "web  1",
        "web ",
        "a\nb",
        "a\r",
        "\0",
        "\t",
        "\x1b[2J",
    ),
    *(
        "\u200b",
        "\u202eweb",
        "\u2028",
        "\x85",
        "\x9f",
        "\ufeff",
        "\u0301",
        "🔑",
        "Büro",
        "ﬃ",
        "x" * 300,
        "🔑" * 64,
    ),
)
names = st.sampled_from(ODD) | st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=40)
lists = st.lists(names, min_size=1, max_size=6, unique=True)
hosts = st.sampled_from(["kvm1", "kvm1.example.com", "Büro 1", "kvm+1", 'a"b', "a\\b", "a*", "$x$", "a&b=(c)"])


def services(vms: list[str]) -> list[Service]:
    domains = [Domain(f"uuid-{number}", name, 1, 1, 1, 0) for number, name in enumerate(vms)]
    each = [Service(check, domain) for domain in domains for check in CHOSEN if check.of_each_domain]
    return [Service(check) for check in CHOSEN if not check.of_each_domain] + each


def site(host: str = "kvm1", uri: str | None = None, active: bool = False) -> Site:
    return Site(host, uri, active, 300, ("Made by a test.",))


def objects(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The objects of a Nagios file, read line by line as Nagios does: a ; begins a comment, a } at the begin ends."""
    kind, fields = "", dict[str, str]()
    for line in text.split("\n"):
        assert line.isprintable()
        assert not line.endswith("\\"), "it would be continued"
        shown = re.sub(r"(?<!\\);.*", "", line).strip()
        if shown.startswith("#") or not shown:
            continue
        if begun := re.fullmatch(r"define (\w+) \{", shown):
            kind, fields = begun[1], {}
        elif shown == "}":
            yield kind, fields
        else:
            key, value = shown.split(None, 1)
            fields[key] = value


@given(lists, st.booleans())
def test_nagios(vms: list[str], active: bool) -> None:
    text = nagios.render(site(active=active), services(vms))
    found = list(objects(text))
    *described, settled = [fields["service_description"] for kind, fields in found if kind == "service"]
    assert settled == SETTLED
    assert [ServiceName.parse(name) for name in described] == [
        ServiceName(one.check.name, one.domain.name if one.domain else None) for one in services(vms)
    ]
    assert not [name for name in described if ILLEGAL & set(name)]
    assert len(nagios.ENTRY.findall(text)) == len(described)


@given(lists)
def test_hosts_of_vms(vms: list[str]) -> None:
    """Of each VM one host in both formats, whose name nothing takes for anything else."""
    own = [one._replace(host=VmHost("{name}").of(one.domain)) if one.domain else one for one in services(vms)]
    found = list(objects(nagios.render(site(), own)))
    names = [fields["host_name"] for kind, fields in found if kind == "host"]
    assert len(set(names)) == len(vms)
    assert not set("".join(names)) & (ILLEGAL | {"+"})
    defined = {(fields["host_name"], fields["service_description"]) for kind, fields in found if kind == "service"}
    assert {(one.host or "kvm1", f"KVM {one.check.name}") for one in own} <= defined
    assert {host for host, _ in defined} == {"kvm1", *names}
    text = icinga2.render(site(), own)
    assert [literals(line)[0] for line in text.split("\n") if line.startswith("object Host ")] == names
    assert len(icinga2.ENTRY.findall(text)) == 2 * len(vms)


@given(lists)
def test_no_list_of_nagios_names_a_vm(vms: list[str]) -> None:
    """With use_regexp_matching, a + or * in a list makes an expression of a name: it matches others', or none."""
    found = list(objects(nagios.render(site(), services(vms))))
    dependencies = [fields for kind, fields in found if kind == "servicedependency"]
    assert [list(fields.values())[1:] for fields in dependencies] == [
        [SETTLED, "kvm1", "KVM host", "w"],
        ["KVM host", "kvm-vms-of-kvm1", "u"],
        [SETTLED, "kvm-vms-of-kvm1", "w"],
    ]
    assert [fields["servicegroup_name"] for kind, fields in found if kind == "servicegroup"] == ["kvm-vms-of-kvm1"]
    members = [fields for kind, fields in found if kind == "service" and "servicegroups" in fields]
    assert len(members) == 2 * len(vms)
    assert {fields["servicegroups"] for fields in members} == {"kvm-vms-of-kvm1"}


def test_nagios_without_vms_has_no_group_of_them() -> None:
    alone = [kind for kind, _ in objects(nagios.render(site(), services([])))]
    assert alone == ["service", "service", "servicedependency"]


_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")


def literals(line: str) -> list[str]:
    """The strings of a line of Icinga's language."""
    read = (
        _ESCAPE.sub(lambda e: chr(int(e[1], 8)) if e[1].isdigit() else e[1], found)
        for found in _LITERAL.findall(line)
    )
    return list(read)


@given(lists, hosts)
def test_icinga(vms: list[str], host: str) -> None:
    text = icinga2.render(site(host, "qemu+ssh://kvm@$kvm1$/system"), services(vms))
    lines = text.split("\n")
    assert not [c for c in text.replace("\n", "") if c < " " or c == "\x7f"]
    assert literals(lines[1]) == [f"kvmwatch-{host}"]
    assert literals(next(line for line in lines if "kvm_uri" in line)) == ["qemu+ssh://kvm@$$kvm1$$/system"]
    domains = [literals(line) for line in lines if "vars.kvm_domains[" in line]
    assert [(ServiceName.parse(f"KVM cpu {key}").domain, uuid, name) for key, uuid, name in domains] == [
        (name, f"uuid-{number}", name) for number, name in enumerate(vms)
    ]
    assert len(icinga2.ENTRY.findall(text)) == len(vms)
    assert len(lines) == len(vms) + 9, "no name has made a line of its own"


@given(lists, hosts)
def test_director(vms: list[str], host: str) -> None:
    text = director.render(site(host, "qemu+ssh://kvm@$kvm1$/system"), services(vms))
    (made,) = json.loads(text)["ServiceSet"].values()
    parsed = {ServiceName.parse(name).domain for name in made["services"]}
    assert parsed == {None, *vms}
    assert len(made["services"]) == 1 + 2 * len(vms)
    assert {one["vars"]["kvm_uri"] for one in made["services"].values()} == {"qemu+ssh://kvm@$$kvm1$$/system"}
    filtered = made["assign_filter"].removeprefix("host.name=")
    assert json.loads(unquote(filtered)) == host
    assert not set(filtered) & set("&|()=*!<>"), "they would make another filter of it"
    assert len(director.ENTRY.findall(text)) == len(made["services"])


@given(lists, hosts)
def test_director_import(vms: list[str], host: str) -> None:
    listed = [one._replace(host=VmHost("{name}").of(one.domain)) if one.domain else one for one in services(vms)]
    text = director_import.render(site(host, "qemu+ssh://kvm@$kvm1$/system"), listed)
    rows = json.loads(text)
    assert [row["name"] for row in rows] == vms
    assert {row["vars"]["kvm_hypervisor"] for row in rows} <= {host}
    assert len(director_import.ENTRY.findall(text)) == len({row["host"] for row in rows}) == len(vms)


@given(lists)
def test_no_variable_begins_a_macro(vms: list[str]) -> None:
    """Icinga looks for macros in a variable's value where a command takes it, so ``$`` is ``$$`` in what is foreign.

    Not in kvm_domains, which our rules alone read.
    """
    of_site = site("kvm1", "qemu+ssh://kvm@$kvm1$/system", active=True)
    own = [one._replace(host=VmHost("{name}").of(one.domain)) if one.domain else one for one in services(vms)]
    for listed in (services(vms), own):
        text = icinga2.render(of_site, listed)
        values = [line for line in text.split("\n") if "  vars" in line and "vars.kvm_domains[" not in line]
        assert not [line for line in values if "$" in line.replace("$$", "")]
    rows = json.loads(director_import.render(of_site, own))
    assert not [row for row in rows if "$" in json.dumps(row["vars"]).replace("$$", "")]


@given(names)
def test_lines_of_results(name: str) -> None:
    service = str(ServiceName("cpu", name))
    line = command(1, "kvm1", Result(service, 1, f"KVM_CPU WARNING - {name}\nmore {name}"))
    assert line is not None
    text = line.decode()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    host, described, code, _ = text.split(";", 4)[1:]
    assert (host, ServiceName.parse(described).domain, code) == ("kvm1", name, "1")
    block = _block("kvm1", Result(service, 1, f"KVM_CPU WARNING - {name}\n{name}"), 0.0)
    keys = [field.partition("=")[0] for field in block[:-2].split("\n")]
    assert keys.count("host_name") == keys.count("output") == 1
    assert keys[1] == "service_description"
    assert len(keys) == 13


@pytest.mark.parametrize(
    "name", ["", " kvm1", "kvm1 ", "kvm1!x", "kvm1;1", "kvm1\nx", "kvm\x1b", "kvm\udcff", "a\u200bb"]
)
def test_hosts_that_there_cannot_be(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no name of a host"):
        host_name(name)


@pytest.mark.parametrize("name", ["kvm1", "kvm1.example.com", "Büro 1", "192.0.2.1", "2001:db8::1"])
def test_hosts(name: str) -> None:
    assert host_name(name) == name
    assert nagios.render(site(name), services(["web1"]))


@pytest.mark.parametrize("name", ["a,b", "a*", "$x$", "a(b)", "it's"])
def test_hosts_that_nagios_cannot_have(name: str) -> None:
    with pytest.raises(UsageError, match="Nagios takes no "):
        nagios.render(site(host_name(name)), services(["web1"]))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("qemu:///system\n}", "line breaks"),
        ("esx://root:secret@esx1/", r"esx://root:\*\*\*@esx1/: all could read"),
    ],
)
def test_uris_that_are_for_no_file(uri: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        check_uri(uri)
    assert "secret" not in str(refused.value)
    check_uri("qemu+ssh://kvm@kvm1:22/system?keyfile=/x;y")


def test_a_uri_is_one_argument_of_nagios() -> None:
    uri = "qemu+ssh://kvm@kvm1/system?a=b;c!d$e"
    text = nagios.render(site(uri=uri, active=True), services(["web1"]))
    commands: list[Any] = [fields["check_command"] for kind, fields in objects(text) if kind == "service"]
    assert commands[0] == r"check_kvm_host!-u 'qemu+ssh://kvm@kvm1/system?a=b\;c\!d$$e'"
    assert commands[1].endswith(" -d uuid-0")


def test_files_of_one_host_have_groups_of_their_own() -> None:
    """Nagios accepts no group twice."""
    selections = ((), ("check=cpu",), ("domain=web*",), ("domain=web*", "exclude=web1"))
    groups = [site()._replace(selection=selection).group for selection in selections]
    assert groups[0] == "kvm-vms-of-kvm1"
    assert len(set(groups)) == len(groups)
    assert all(re.fullmatch(r"kvm-vms-of-kvm1-[0-9a-f]{8}", group) for group in groups[1:])
