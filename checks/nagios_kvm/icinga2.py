"""A host template for Icinga 2 that lists the VMs; the apply rules of checks/icinga2/ make the services of it.

Import it into the hypervisor's host: ``import "kvmwatch-kvm1"``. VMs with hosts of their own have these and their
services in the file. Where the site has the hosts, the services are rules, so that one without a host does not
spoil the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kvmwatch.model.routing import Routing
from kvmwatch.model.snapshot import Domain
from nagios_kvm.definitions import UNSEEN, Site, check_name, in_macro, vm_hosts
from nagios_kvm.names import ServiceName, encode
from nagios_kvm.services import FIRST, Service, after_first, pace

#: what names each VM in such a file, or each service on a host of its own
ENTRY = re.compile(
    r'^ *vars\.kvm_domains\[("(?:[^"\\]|\\.)*")\]'
    r'|^(?:object|apply) Service (".*") \{\n  (?:host_name =|assign where host\.name ==) (".*")$',
    re.MULTILINE,
)
COMMENT = "//"
WITHOUT_CONTACTS = UNSEEN


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file."""
    listed = list(services)
    hosts = vm_hosts(listed)
    after_first_of = after_first(listed)
    checks = {service.check.name: None for service in listed if not service.host}
    domains = {service.domain.uuid: service.domain for service in listed if service.domain and not service.host}
    lines = [f"// {line}" for line in site.heading]
    lines += [
        f"template Host {_string(f'kvmwatch-{site.host}')} {{",
        '  import "kvm-hypervisor"',
        f"  vars.kvm_checks = [ {', '.join(map(_string, checks))} ]",
        f"  vars.kvm_passive = {'false' if site.active else 'true'}",
        f"  vars.kvm_stale_after = {site.stale_after}",
    ]
    if site.uri:
        lines.append(f"  vars.kvm_uri = {_string(in_macro(site.uri))}")
    if site.endpoint:
        lines.append(f"  vars.kvm_endpoint = {_string(site.endpoint)}")
    for domain in domains.values():
        lines.append(
            f"  vars.kvm_domains[{_string(encode(domain.name))}] = "
            f"{{ uuid = {_string(domain.uuid)}, name = {_string(domain.name)}{_routed(domain.policy.routing)} }}"
        )
    lines.append("}")
    if site.makes_hosts:
        for host, domain in hosts.items():
            lines += ["", *_host(site, host, domain)]
    for service in listed:
        if service.host and service.domain:
            after = service.name in after_first_of.get(service.host, ())
            lines += ["", *_service(site, service, service.domain, after)]
    if site.kept:
        lines += ["", site.kept.rstrip("\n")]
    return "\n".join([*lines, ""])


def _routed(routing: Routing) -> str:
    """What the rules of checks/icinga2/ make of a VM's entry, besides its name."""
    said = [
        f", {name} = {_list(names)}"
        for name, names in (("service_groups", routing.service_groups), ("templates", routing.templates))
        if names
    ]
    if variables := dict(_variables(routing)):
        said.append(
            f", variables = {{ {', '.join(f'{_string(name)} = {variables[name]}' for name in variables)} }}"
        )
    return "".join(said)


def _variables(routing: Routing) -> Iterator[tuple[str, str]]:
    """Custom variables and their values in Icinga's language; whom its rules for notifications tell is one.

    It is the last, so that no other takes its place.
    """
    for name, value in routing.variables:
        yield name, _string(in_macro(value))
    if routing.contact_groups:
        yield "contact_groups", _list(routing.contact_groups)


def _host(site: Site, host: str, domain: Domain) -> Iterator[str]:
    routing = domain.policy.routing
    yield f"object Host {_string(host)} {{"
    yield '  import "kvm-vm"'
    yield f"  display_name = {_string(domain.name)}"
    yield f"  vars.kvm_uuid = {_string(domain.uuid)}"
    yield f"  vars.kvm_hypervisor = {_string(site.host)}"
    yield from _own(routing, routing.host_groups, routing.host_templates)
    yield "}"


def _service(site: Site, service: Service, domain: Domain, after: bool) -> Iterator[str]:
    """A service; ``after``: nobody is told of it while the first of the VM's is CRITICAL or UNKNOWN."""
    kind, place = ("object", "host_name =") if site.makes_hosts else ("apply", "assign where host.name ==")
    yield f"{kind} Service {_string(service.name)} {{"
    yield f"  {place} {_string(service.host)}"
    yield f"  vars.kvm_hypervisor = {_string(site.host)}"
    yield f"  vars.kvm_domain = [ {_string(domain.uuid)} ]"
    if after:
        yield f"  vars.kvm_after = {_string(str(ServiceName(FIRST)))}"
    if site.uri:
        yield f"  vars.kvm_uri = {_string(in_macro(site.uri))}"
    paced = [f"  import {_string(template)}" for template in filter(None, [pace(service.check)])]
    if site.active:
        yield '  import "kvm-service"'
        yield from paced
        yield '  import "kvm-vm-service"'
        yield f"  check_command = {_string(check_name(service))}"
    else:
        yield '  import "kvm-passive"'
        yield from paced
    routing = domain.policy.routing
    yield from _own(routing, routing.service_groups, routing.templates)
    if not site.active:  # after the site's own templates: most have an interval, and this says when it is stale
        yield f"  check_interval = {site.stale_after_of(service)}"
        yield f"  retry_interval = {site.stale_after_of(service)}"
    yield "}"


def _own(routing: Routing, groups: Iterable[str], templates: Iterable[str]) -> Iterator[str]:
    for template in templates:
        yield f"  import {_string(template)}"
    for name, value in _variables(routing):
        yield f"  vars[{_string(name)}] = {value}"
    if groups:
        yield f"  groups += {_list(groups)}"


def _list(texts: Iterable[str]) -> str:
    return f"[ {', '.join(map(_string, texts))} ]"


def _string(text: str) -> str:
    """A string literal of Icinga's language.

    ASCII's control characters are octal escapes, which have three digits; all else it takes as it is (UTF-8).
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\{ord(c):03o}" if c < " " or c == "\x7f" else c for c in escaped) + '"'
