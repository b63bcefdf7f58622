"""CheckCommand objects, service templates and apply rules for Icinga 2."""

from __future__ import annotations

import json
from collections.abc import Iterable

from nagios_definitions.commands import MADE, Command, Option

_HEAD = f"""\
// {MADE}
//
// Every option of a command is a custom variable: --warning is vars.kvm_warning, a list where it can be repeated.
// The services: let "nagios_kvm config --format icinga2" write a host template with the VMs, and import it into the
// hypervisor's host:
//
//   object Host "kvm1" {{
//     import "generic-host"
//     import "kvmwatch-kvm1"
//     vars.kvm_endpoint = "kvm1"   // where the checks run, if this is not the hypervisor itself
//   }}

template Service "kvm-service" {{
  check_interval = 1m
  retry_interval = 30s
  max_check_attempts = 3
}}

// fed by nagios_kvm publish; when nothing comes within its check_interval it is UNKNOWN
template Service "kvm-passive" {{
  check_command = "dummy"
  check_interval = 5m
  max_check_attempts = 1
  vars.dummy_state = 3
  vars.dummy_text = "No result from nagios_kvm publish: is its timer running on the hypervisor, or is the VM gone or moved?"
}}

// a VM's own host (nagios_kvm config --vm-host). Nothing is asked of it: libvirt tells no address, and a VM may be shut
// off on purpose, so its service KVM state is what alerts. For another check, a template of yours with a check_command
template Host "kvm-vm" {{
  check_command = "dummy"
  check_interval = 5m
  max_check_attempts = 1
  vars.dummy_state = 0
  vars.dummy_text = "This host is not checked: its service KVM state tells whether the VM runs"
}}

// a service there that runs its own check, where the hypervisor's run
template Service "kvm-vm-service" {{
  var hypervisor = get_host(vars.kvm_hypervisor)
  if (hypervisor && hypervisor.vars.kvm_endpoint) {{
    command_endpoint = hypervisor.vars.kvm_endpoint
  }}
}}
"""

_DEPENDENCY = """\
// when libvirt cannot be read that is one problem, not one for each VM
apply Dependency "kvm-host" to Service {
  parent_service_name = "KVM host"
  states = [ OK, Warning, Critical ]
  assign where match("KVM *", service.name) && host.vars.kvm_checks && "host" in host.vars.kvm_checks
  ignore where service.name == "KVM host"
}

// the same for services on the VMs' own hosts
apply Dependency "kvm-hypervisor" to Service {
  parent_host_name = service.vars.kvm_hypervisor
  parent_service_name = "KVM host"
  states = [ OK, Warning, Critical ]
  assign where get_host(service.vars.kvm_hypervisor) && "host" in get_host(service.vars.kvm_hypervisor).vars.kvm_checks
}
"""

# what --config and metadata say of a VM (nagios_kvm.icinga2)
_ROUTED = """\
  for (of_domain in domain.templates || []) {
    import of_domain
  }
  groups += domain.service_groups
  vars += domain.variables
"""


def render(commands: Iterable[Command]) -> str:
    """Give the file for Icinga's conf.d."""
    listed = tuple(commands)
    return "\n".join([_HEAD, *map(_command, listed), *map(_apply, listed), _DEPENDENCY])


def _command(command: Command) -> str:
    arguments = "".join(map(_argument, command.options))
    return (
        f"// {command.description}\n"
        f'object CheckCommand "{command.name}" {{\n'
        f'  command = [ PluginDir + "/{command.name}" ]\n'
        f"  arguments = {{\n{arguments}  }}\n"
        '  vars.kvm_perfdata = "known"  // its writers would log a warning of each value that is not known\n'
        "}\n"
    )


def _argument(option: Option) -> str:
    lines = [f"{'value' if option.takes_value else 'set_if'} = {_string(f'${option.variable}$')}"]
    if option.repeatable:
        lines.append("repeat_key = true")
    lines.append(f"description = {_string(option.help)}")
    inner = "".join(f"      {line}\n" for line in lines)
    return f"    {_string(option.flag)} = {{\n{inner}    }}\n"


def _apply(command: Command) -> str:
    of_each = command.of_each_domain
    head = (
        f'apply Service "KVM {command.check} " for (name => domain in host.vars.kvm_domains) {{\n'
        f'  display_name = "KVM {command.check} " + domain.name\n'
        "  vars.kvm_domain = [ domain.uuid ]\n"
        if of_each
        else f'apply Service "KVM {command.check}" {{\n'
    )
    return (
        f"{head}"
        "  if (host.vars.kvm_passive) {\n"
        '    import "kvm-passive"\n'
        "    check_interval = host.vars.kvm_stale_after\n"
        "  } else {\n"
        '    import "kvm-service"\n'
        f'    check_command = "{command.name}"\n'
        "    if (host.vars.kvm_endpoint) {\n"
        "      command_endpoint = host.vars.kvm_endpoint\n"
        "    }\n"
        "  }\n"
        f"{_ROUTED if of_each else ''}"
        f'  assign where host.vars.kvm_checks && "{command.check}" in host.vars.kvm_checks\n'
        "}\n"
    )


def _string(text: str) -> str:
    # Icinga's string literals know the same escapes
    return json.dumps(text, ensure_ascii=False)
