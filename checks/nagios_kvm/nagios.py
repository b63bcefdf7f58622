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
from nagios_kvm.names import ILLEGAL, ServiceName, encode
from nagios_kvm.services import FIRST, PARENT, SETTLED, SETTLED_AFTER, Service, after_first, pace

#: the lines that name each service in such a file: its host, and what it is called there
ENTRY = re.compile(r"^ *use +.*kvm-service.*\n *host_name +(.+)\n *service_description +(.+)$", re.MULTILINE)
#: the group of all VMs of the file, before those of a service's own
_GROUP = re.compile(r"^( *servicegroups +)[^,\n]+", re.MULTILINE)
#: as the template kvm-service-passive has it
_FED = (("active_checks_enabled", "0"), ("passive_checks_enabled", "1"), ("check_freshness", "1"))
COMMENT = "#"
WITHOUT_CONTACTS = re.compile(
    r"(?:Service '([^'\n]+)' on host|Host) '([^'\n]+)' has no default contacts or contactgroups"
)


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
        # their group, which has the options that choose VMs and checks in its name, may have been called otherwise
        objects.append(_GROUP.sub(rf"\1{site.group}", site.kept))
    objects.append(
        _object(
            "service",
            ("use", "kvm-settled"),
            ("host_name", site.host),
            ("service_description", SETTLED),
            ("check_command", f"kvm_settled!{SETTLED_AFTER}"),
        )
    )
    of_host = [service.name for service in listed if not service.domain]
    parent = str(ServiceName(PARENT))
    # when libvirt cannot be read that is one problem, not one for each VM, and in a hypervisor's boot it is none
    objects += _depend(site, parent, "u", ("service_description", [name for name in of_host if name != parent]))
    objects += _depend(site, SETTLED, "w", ("service_description", of_host))
    if site.kept or any(service.domain for service in listed):
        objects.append(
            _object("servicegroup", ("servicegroup_name", site.group), ("alias", f"KVM VMs of {site.host}"))
        )
        # VMs are not named: with use_regexp_matching a name with + or * is an expression, for others or for none
        objects += _depend(site, parent, "u", ("servicegroup_name", [site.group]))
        objects += _depend(site, SETTLED, "w", ("servicegroup_name", [site.group]))
    # a VM that hangs, or is held by an I/O error, is one problem. Only on hosts of their own: see above
    for host, names in after_first(listed).items():
        objects += _depend(site, str(ServiceName(FIRST)), "c,u", ("service_description", names), host)
    return "\n".join(objects)


def _depend(site: Site, on: str, while_in: str, dependent: tuple[str, list[str]], host: str = "") -> Iterator[str]:
    """Have nobody told of some services while another one is in a state; ``host``: if not the hypervisor's."""
    kind, names = dependent
    if not names:
        return
    host = host or site.host
    fields = [("host_name", host), ("service_description", on)]
    if kind == "service_description":
        fields.append(("dependent_host_name", host))
    fields.append((f"dependent_{kind}", ",".join(names)))
    yield _object("servicedependency", *fields, ("notification_failure_criteria", while_in))


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
    # small or large is the same here, and not in Icinga, so two may have come as far as this
    yield from {f"_{name.upper()}": value for name, value in routing.variables}.items()


def _service(site: Site, service: Service) -> str:
    return _object("service", *_fields(site, service))


def _fields(site: Site, service: Service) -> Iterator[tuple[str, str]]:
    passive = not site.active
    routing = service.domain.policy.routing if service.domain else Routing()
    template = "kvm-service-passive" if passive else "kvm-service"
    yield "use", ",".join(filter(None, (*routing.templates, pace(service.check), template)))
    yield "host_name", service.host or site.host
    yield "service_description", service.name
    if service.domain:
        yield "servicegroups", ",".join((site.group, *routing.service_groups))
        yield from _routed(routing)
        yield "_KVM_UUID", service.domain.uuid
        yield "_KVM_HYPERVISOR", site.host
    if passive:
        if routing.templates:  # most are on top of one for services that run a check, and nothing else feeds these
            yield from _FED
        stale_after = site.stale_after_of(service)
        yield "freshness_threshold", str(stale_after)
        yield "check_command", f"kvm_stale!{stale_after}"
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
