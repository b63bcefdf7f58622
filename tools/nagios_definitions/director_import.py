"""A basket for Icinga Director: hosts from the list of nagios_kvm config --format director-import.

It goes over that of the module director, and needs Director's module fileshipper, which reads JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from nagios_kvm import services
from nagios_kvm.names import ServiceName

from nagios_definitions.commands import Command

Json = dict[str, Any]

FOLDER = "/var/lib/kvmwatch-director"
FILE = "vms.json"

_SOURCE = "kvmwatch VMs"
_RULE = "kvmwatch VMs"
_PARENT = str(ServiceName(services.PARENT))
_RESULTS = ("active", "passive")
#: whether a host is a VM's own: "*" would match a variable that there is not
_OF_VM = "(" + "|".join(f'host.vars.kvm_results="{word}"' for word in _RESULTS) + ")"
_NOT_OF_VM = "&".join(f'host.vars.kvm_results!="{word}"' for word in _RESULTS)
#: column of the list to property of the host
_PROPERTIES = {"imports": "import", "name": "display_name", "groups": "groups", "vars": "vars"}


def render(commands: Iterable[Command]) -> str:
    """Give the file; ``icingacli director basket restore < FILE`` imports it."""
    of_vms = [command for command in commands if command.of_each_domain and command.by_default]
    sets = [
        _set("active", {command.check: (command.name,) for command in of_vms}),
        _set("passive", {command.check: ("kvm-passive", command.pace) for command in of_vms}),
    ]
    basket = {
        "HostTemplate": {
            "kvm-vm": {
                "object_name": "kvm-vm",
                "object_type": "template",
                "imports": [],
                "check_command": "dummy",
                "check_interval": "300",
                "max_check_attempts": "1",
                "vars": {
                    "dummy_state": "0",
                    "dummy_text": "This host is not checked: its service KVM state tells whether the VM runs",
                },
            }
        },
        "ServiceSet": {one["object_name"]: one for one in sets},
        "Dependency": {
            # on the hypervisor's host, which has it by --format director
            "kvm-host": _dependency("kvm-host", f'service.name="KVM *"&{_NOT_OF_VM}'),
            # on the VMs' own
            "kvm-hypervisor": {
                **_dependency("kvm-hypervisor", f'service.name="KVM *"&{_OF_VM}'),
                "parent_host_var": "host.vars.kvm_hypervisor",
            },
        },
        "ImportSource": {
            _SOURCE: {
                "source_name": _SOURCE,
                "description": "The VMs as nagios_kvm config --format director-import lists them",
                "key_column": "host",
                "provider_class": "Icinga\\Module\\Fileshipper\\ProvidedHook\\Director\\ImportSource",
                "settings": {"basedir": FOLDER, "file_name": FILE, "file_format": "json"},
                "modifiers": [],
            }
        },
        "SyncRule": {
            _RULE: {
                "rule_name": _RULE,
                "description": "A host for each VM; that of a VM that is gone is removed",
                "object_type": "host",
                "update_policy": "merge",
                "purge_existing": "y",
                "purge_action": "delete",
                "filter_expression": None,
                "properties": [_property(*pair, place) for place, pair in enumerate(_PROPERTIES.items(), 1)],
            }
        },
    }
    return json.dumps(basket, ensure_ascii=False, indent=2) + "\n"


def _set(results: str, imports: dict[str, tuple[str | None, ...]]) -> Json:
    return {
        "object_name": f"KVM services of a VM ({results})",
        "object_type": "template",
        "description": "Of the hosts that the Sync Rule makes of the list of VMs",
        "assign_filter": f'host.vars.kvm_results="{results}"',
        "services": {
            name: {"object_name": name, "object_type": "object", "imports": [*filter(None, of)], "vars": {}}
            for name, of in ((str(ServiceName(check)), of) for check, of in imports.items())
        },
        "vars": {},
    }


def _dependency(name: str, assign_filter: str) -> Json:
    """When libvirt cannot be read that is one problem, not one for each VM."""
    return {
        "object_name": name,
        "object_type": "apply",
        "apply_to": "service",
        "assign_filter": f'{assign_filter}&service.name!="{_PARENT}"',
        "ignore_soft_states": "n",
        "imports": [],
        "parent_service": _PARENT,
        "states": ["OK", "Warning", "Critical"],
    }


def _property(column: str, field: str, place: int) -> Json:
    return {
        "source": _SOURCE,
        "source_expression": f"${{{column}}}",
        "destination_field": field,
        "priority": str(place),
        "filter_expression": None,
        "merge_policy": "override",
    }
