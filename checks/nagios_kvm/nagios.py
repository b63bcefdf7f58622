"""Object definitions for Nagios (and Icinga 1, Naemon): the services of one hypervisor's host.

They use the templates and commands of checks/nagios/kvmwatch.cfg.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kvmwatch.model.errors import UsageError
from kvmwatch.model.routing import Routing
from kvmwatch.model.snapshot import Domain
from nagios_kvm.definitions import Site, check_name, vm_hosts
from nagios_kvm.names import ILLEGAL, encode
from nagios_kvm.services import Service

#: the lines that name each service in such a file: its host, and what it is called there
ENTRY = re.compile(r"^ *use +.+\n *host_name +(.+)\n *service_description +(.+)$", re.MULTILINE)
#: where site.heading goes
COMMENT = "#"


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file. Raises UsageError for a host that Nagios cannot have."""
    if illegal := set(site.host) & ILLEGAL:
        raise UsageError(f"--host {site.host}: Nagios takes no {' '.join(sorted(illegal))} in a name")
    listed = list(services)
    objects = ["".join(f"# {line}\n" for line in site.heading)]
    if site.makes_hosts:
        objects += [_object("host", *_host(site, host, domain)) for host, domain in vm_hosts(listed).items()]
    objects += [_service(site, service) for service in listed]
    if site.kept:
        objects.append(site.kept)
    of_vms = bool(site.kept) or any(service.domain for service in listed)
    if of_vms:
        objects.append(
            _object("servicegroup", ("servicegroup_name", site.group), ("alias", f"KVM VMs of {site.host}"))
        )
    parents = [service for service in listed if service.check.name == "host"]
    for parent in parents if of_vms else ():
        # when libvirt cannot be read that is one problem, not one for each VM; these are not named, because with
        # use_regexp_matching a name with + or * in it is an expression, which matches others or none
        objects.append(
            _object(
                "servicedependency",
                ("host_name", site.host),
                ("service_description", parent.name),
                ("dependent_servicegroup_name", site.group),
                ("notification_failure_criteria", "u"),
            )
        )
    return "\n".join(objects)


def _host(site: Site, host: str, domain: Domain) -> Iterator[tuple[str, str]]:
    routing = domain.policy.routing
    yield "use", ",".join((*routing.host_templates, "kvm-vm"))
    yield "host_name", host
    yield "alias", encode(domain.name)
    yield "display_name", encode(domain.name)
    yield "parents", site.host
    if routing.host_groups:
        yield "hostgroups", ",".join(routing.host_groups)
    yield from _routed(routing)
    yield "_KVM_UUID", domain.uuid
    yield "_KVM_HYPERVISOR", site.host


def _routed(routing: Routing) -> Iterator[tuple[str, str]]:
    if routing.contact_groups:
        yield "contact_groups", ",".join(routing.contact_groups)
    for name, value in routing.variables:
        yield f"_{name.upper()}", value


def _service(site: Site, service: Service) -> str:
    return _object("service", *_fields(site, service))


def _fields(site: Site, service: Service) -> Iterator[tuple[str, str]]:
    passive = not site.active
    routing = service.domain.policy.routing if service.domain else Routing()
    yield "use", ",".join((*routing.templates, "kvm-service-passive" if passive else "kvm-service"))
    yield "host_name", service.host or site.host
    yield "service_description", service.name
    if service.domain:
        yield "servicegroups", ",".join((site.group, *routing.service_groups))
        yield from _routed(routing)
        yield "_KVM_UUID", service.domain.uuid
        yield "_KVM_HYPERVISOR", site.host
    if passive:
        yield "freshness_threshold", str(site.stale_after)
        yield "check_command", f"kvm_stale!{site.stale_after}"
        return
    arguments = ["-u", _quoted(site.uri)] if site.uri else []
    if service.domain:
        arguments += ["-d", service.domain.uuid]
    command = check_name(service)
    yield "check_command", f"{command}!{' '.join(arguments)}" if arguments else command


def _object(kind: str, *fields: tuple[str, str]) -> str:
    lines = "".join(f"    {name:<30} {value}\n" for name, value in fields)
    return f"define {kind} {{\n{lines}}}\n"


def _quoted(text: str) -> str:
    # for the shell that Nagios gives the line to; ! and ; end an argument, $ begins a macro
    escaped = text.replace("\\", "\\\\").replace("!", "\\!").replace(";", "\\;").replace("$", "$$")
    return "'" + escaped.replace("'", "'\\''") + "'"
