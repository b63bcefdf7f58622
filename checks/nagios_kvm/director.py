"""A basket for Icinga Director: a service set with the services of one hypervisor's VMs.

``icingacli director basket restore < FILE`` imports it; the set is assigned to the hypervisor's host. The services
import the templates of checks/icinga2/director-basket.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from kvmwatch.model.errors import UsageError
from nagios_kvm.definitions import UNSEEN, Site, check_name, in_macro, vm_hosts
from nagios_kvm.services import Service, pace

Json = dict[str, Any]

#: the line of each service in such a file
ENTRY = re.compile(r'^ {10}"object_name": "(KVM .*)"', re.MULTILINE)
COMMENT = ""
WITHOUT_CONTACTS = UNSEEN


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file. Raises UsageError for VMs with hosts of their own, which are not a service set's."""
    services = list(services)
    if vm_hosts(services):
        raise UsageError("--vm-host: Director has its hosts of an Import Source; use --format director-import")
    name = f"KVM VMs of {site.host}"
    service_set = {
        "assign_filter": f'host.name="{_value(site.host)}"',
        "description": " ".join(site.heading),
        "object_name": name,
        "object_type": "template",
        "services": {service.name: _service(site, service) for service in services},
        "vars": {},
    }
    return json.dumps({"ServiceSet": {name: service_set}}, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _value(text: str) -> str:
    """Text in a filter of Icinga Web, which is a URL's query: its value is JSON."""
    return quote(json.dumps(text, ensure_ascii=False)[1:-1], safe=" /:@-._~+")


def _service(site: Site, service: Service) -> Json:
    variables: Json = {}
    more: Json = {}
    templates: tuple[str, ...] = ()
    if service.domain:
        routing = service.domain.policy.routing
        variables = {name: in_macro(value) for name, value in routing.variables}  # ours come later, and win
        variables["kvm_domain"] = [service.domain.uuid]
        if routing.contact_groups:
            variables["contact_groups"] = list(routing.contact_groups)
        more = {"groups": list(routing.service_groups)} if routing.service_groups else {}
        templates = routing.templates
    if site.uri:
        variables["kvm_uri"] = in_macro(site.uri)
    made: Json = {
        "imports": [
            *([check_name(service)] if site.active else filter(None, ("kvm-passive", pace(service.check)))),
            *templates,
        ],
        "object_name": service.name,
        "object_type": "object",
        "vars": variables,
        **more,
    }
    if not site.active:
        made["check_interval"] = made["retry_interval"] = str(site.stale_after_of(service))
    return made
