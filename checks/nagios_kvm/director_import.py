"""A list of VMs for an Import Source of Icinga Director: a row for each, which a Sync Rule makes a host of.

Both are in checks/icinga2/director-import-basket.json, and so are the services that such a host has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from kvmwatch.model.errors import UsageError
from kvmwatch.model.snapshot import Domain
from nagios_kvm.definitions import UNSEEN, Site, in_macro, vm_hosts
from nagios_kvm.services import Service

Json = dict[str, Any]

#: the line of each VM in such a file
ENTRY = re.compile(r'^    "host": "(.*)"', re.MULTILINE)
COMMENT = ""
WITHOUT_CONTACTS = UNSEEN


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file. Raises UsageError for hosts that are not the Sync Rule's to make, and to remove."""
    if not site.makes_hosts:
        raise UsageError(
            "--vm-host-exists: the Sync Rule makes the hosts of --format director-import, and removes them"
        )
    rows = [_row(site, host, domain) for host, domain in vm_hosts(services).items()]
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"


def _row(site: Site, host: str, domain: Domain) -> Json:
    """All rows have the same columns: Director takes them from the first.

    ``imports``, ``groups`` and ``vars`` are the host's as a whole, the others for Sync Rules of the site's own.
    """
    routing = domain.policy.routing
    variables: Json = {
        **{name: in_macro(value) for name, value in routing.variables},  # ours come later, and win
        "kvm_domain": [domain.uuid],
        "kvm_hypervisor": site.host,
        "kvm_results": "active" if site.active else "passive",
        "kvm_uuid": domain.uuid,
    }
    if site.uri:
        variables["kvm_uri"] = in_macro(site.uri)
    if routing.contact_groups:
        variables["contact_groups"] = list(routing.contact_groups)
    return {
        "host": host,
        "name": domain.name,
        "uuid": domain.uuid,
        "hypervisor": site.host,
        "imports": ["kvm-vm", *routing.host_templates],
        "groups": list(routing.host_groups),
        "vars": variables,
    }
