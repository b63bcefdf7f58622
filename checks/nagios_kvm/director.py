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

from nagios_kvm.definitions import Site, check_name, in_macro
from nagios_kvm.services import Service, pace

Json = dict[str, Any]

#: the line of each service in such a file
ENTRY = re.compile(r'^ {10}"object_name": "KVM ', re.MULTILINE)


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file."""
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
    variables: Json = {"kvm_uri": in_macro(site.uri)} if site.uri else {}
    if service.domain:
        variables["kvm_domain"] = [service.domain.uuid]
    made: Json = {
        "imports": [check_name(service)] if site.active else [*filter(None, ("kvm-passive", pace(service.check)))],
        "object_name": service.name,
        "object_type": "object",
        "vars": variables,
    }
    if not site.active:
        made["check_interval"] = made["retry_interval"] = str(site.stale_after_of(service))
    return made
