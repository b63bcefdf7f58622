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
  vars.dummy_text = "No result from nagios_kvm publish: is its timer running on the hypervisor?"
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
        f'  assign where host.vars.kvm_checks && "{command.check}" in host.vars.kvm_checks\n'
        "}\n"
    )


def _string(text: str) -> str:
    # Icinga's string literals know the same escapes
    return json.dumps(text, ensure_ascii=False)
