"""Object definitions for Nagios (and Icinga 1, Naemon): the services of one hypervisor's host.

They use the templates and commands of checks/nagios/kvmwatch.cfg.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kvmwatch.model.errors import UsageError
from nagios_kvm.definitions import Site, check_name
from nagios_kvm.names import ILLEGAL
from nagios_kvm.services import Service

#: the line of each service in such a file
ENTRY = re.compile(r"^ *use  *kvm-service", re.MULTILINE)


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file. Raises UsageError for a host that Nagios cannot have."""
    if illegal := set(site.host) & ILLEGAL:
        raise UsageError(f"--host {site.host}: Nagios takes no {' '.join(sorted(illegal))} in a name")
    listed = list(services)
    objects = [f"# {line}\n" for line in site.heading]
    objects += [_service(site, service) for service in listed]
    if any(service.domain for service in listed):
        objects.append(
            _object("servicegroup", ("servicegroup_name", site.group), ("alias", f"KVM VMs of {site.host}"))
        )
    parents = [service for service in listed if service.check.name == "host"]
    for parent in parents if any(service.domain for service in listed) else ():
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


def _service(site: Site, service: Service) -> str:
    return _object("service", *_fields(site, service))


def _fields(site: Site, service: Service) -> Iterator[tuple[str, str]]:
    passive = not site.active
    yield "use", "kvm-service-passive" if passive else "kvm-service"
    yield "host_name", site.host
    yield "service_description", service.name
    if service.domain:
        yield "servicegroups", site.group
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
