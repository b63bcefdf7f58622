"""CheckCommand objects, service templates and apply rules for Icinga 2."""

from __future__ import annotations

import json
from collections.abc import Iterable

from nagios_kvm import services
from nagios_kvm.names import ServiceName
from nagios_kvm.services import SETTLED, SETTLED_AFTER

from nagios_definitions.commands import MADE, Command, Option

PARENT = str(ServiceName(services.PARENT))

_HEAD = f"""\
// {MADE}
//
// Every option of a command is a custom variable: --warning of check_kvm_cpu is vars.kvm_cpu_warning and, unless that is
// set, vars.kvm_warning, as of all commands; a list where it can be repeated.
// The services: let "nagios_kvm config --format icinga2" write a host template with the VMs, and import it into the
// hypervisor's host:
//
//   object Host "kvm1" {{
//     import "generic-host"        // and what makes it tell somebody, as all of your hosts have it
//     import "kvmwatch-kvm1"
//   }}

// what a command is given: its own variable, else that of all commands, else nothing, which leaves the option out.
// A variable that stands for another one would do, but not at an endpoint: there Icinga 2.13 makes an empty text of what is
// not defined
globals.kvm_given = function(own, all, nothing) {{
  if (own) {{ return own }}
  if (all) {{ return all }}
  return nothing
}}

// What a service that is fed says when Icinga runs it, which it does also before the time: when one that depends on it is in
// trouble, when the one that it depends on is well again, for "Check now". That is what it was told last, as long as that is not
// older than its check_interval; since when stands in the text, because this is then its last result. Icinga looks for macros
// in what a function returns: a "$" of a VM's name would begin one, or give away another variable.
globals.kvm_told = function(host_name, name) {{
  var service = get_service(host_name, name)
  var last = service.last_check_result
  var mark = "\\nPublished at "
  var of_clock = "00:00:00 (".len()
  var of_time = 10
  var stale = {{
    state = 3
    text = "No result from nagios_kvm publish: does its timer kvmwatch-publish run, or is the VM gone or moved?"
  }}
  if (!last) {{ return stale }}
  var at = Math.floor(last.execution_end)
  var text = last.output
  if (last.active) {{
    var place = text.find(mark)
    if (place < 0) {{ return stale }}
    at = Number(text.substr(place + mark.len() + of_clock, of_time))
  }} else {{
    text += mark + DateTime(at).format("%H:%M:%S") + " (" + at + "), repeated by Icinga"
  }}
  // a clock that was set right by more than a minute tells nothing of how old it is
  if (at > get_time() + 60 || get_time() - at >= service.check_interval) {{ return stale }}
  return {{ state = last.state, text = text.replace("$", "$$") }}
}}

// the hypervisor is known to be down before its services are known to be in trouble
template Host "kvm-hypervisor" {{
  check_interval = 1m
  retry_interval = 15s
  max_check_attempts = 3
}}

// somebody is told when it was wrong five times, a minute apart
template Service "kvm-service" {{
  check_interval = 1m
  retry_interval = 1m
  max_check_attempts = 5
}}

// fed by nagios_kvm publish; when nothing comes within its check_interval it is UNKNOWN
template Service "kvm-passive" {{
  check_command = "dummy"
  check_interval = 5m
  retry_interval = 5m
  max_check_attempts = 5
  vars.dummy_state = {{{{ return kvm_told(macro("$host.name$"), macro("$service.name$")).state }}}}
  vars.dummy_text = {{{{ return kvm_told(macro("$host.name$"), macro("$service.name$")).text }}}}
}}

// a VM's own host (nagios_kvm config --vm-host). Nothing is asked of it: libvirt tells no address, and a VM may be shut
// off on purpose, so its service KVM state is what alerts. For another check, a template of yours with a check_command.
// Rules for notifications that go by vars.notification of a host find none here: "Who is told" in docs/icinga.md has one
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

// for a check of rates, after one of these: a busy minute is no problem, ten are
template Service "kvm-rate" {{
  max_check_attempts = 10
}}

// for the service on which the others of a hypervisor depend: it is known to be in trouble before they are
template Service "kvm-parent" {{
  retry_interval = 30s
  max_check_attempts = 5
}}

// whether a hypervisor was down a moment ago: while it is WARNING nobody is told of its other services
template Service "kvm-settled" {{
  check_command = "dummy"
  check_interval = 1m
  retry_interval = 1m
  max_check_attempts = 1
  enable_notifications = false
  vars.kvm_settled_after = {SETTLED_AFTER}
  vars.dummy_state = {{{{
    var down = get_host(macro("$host.name$")).last_state_down
    if (get_time() - down < macro("$kvm_settled_after$")) {{ return 1 }}
    return 0
  }}}}
  vars.dummy_text = {{{{
    var after = macro("$kvm_settled_after$")
    if (get_time() - get_host(macro("$host.name$")).last_state_down < after) {{
      return "Down within the last " + after + " s, its services have that long to come back"
    }}
    return "Not down within the last " + after + " s"
  }}}}
}}
"""

_OF_HOST = f"""\
apply Service "{SETTLED}" {{
  import "kvm-settled"
  assign where host.vars.kvm_checks
}}

// When libvirt cannot be read that is one problem, not one for each VM. From its first time on: a VM that was shut down
// with its hypervisor has been wrong for a while already.
apply Dependency "kvm-host" to Service {{
  parent_service_name = "{PARENT}"
  states = [ OK, Warning, Critical ]
  ignore_soft_states = false
  assign where match("KVM *", service.name) && host.vars.kvm_checks
  ignore where service.name == "{PARENT}" || service.name == "{SETTLED}"
}}

// And in a hypervisor's boot it is none: who depends on a service that is not reachable is not, either. Each has one
// dependency only, because Icinga before 2.14 takes several for redundant.
apply Dependency "kvm-settled" to Service {{
  parent_service_name = "{SETTLED}"
  states = [ OK ]
  ignore_soft_states = false
  assign where service.name == "{PARENT}" && host.vars.kvm_checks
}}

// the same for services on the VMs' own hosts, through the first of them where they have it
apply Dependency "kvm-hypervisor" to Service {{
  parent_host_name = service.vars.kvm_hypervisor
  parent_service_name = "{PARENT}"
  states = [ OK, Warning, Critical ]
  ignore_soft_states = false
  assign where get_host(service.vars.kvm_hypervisor) && get_host(service.vars.kvm_hypervisor).vars.kvm_checks
  ignore where service.vars.kvm_after
}}

// a VM that does not run, hangs, or is held by an I/O error is one problem, and not one for each of its services
apply Dependency "kvm-state" to Service {{
  parent_service_name = service.vars.kvm_after
  states = [ OK, Warning ]
  ignore_soft_states = false
  assign where service.vars.kvm_after
}}
"""

# what --config and metadata say of a VM (nagios_kvm.icinga2), and then what is ours; to Icinga, nothing += nothing is an error
_ROUTED = """\
  for (of_domain in domain.templates || []) {
    import of_domain
  }
  groups += domain.service_groups
  vars += domain.variables || {}
  vars.kvm_domain = [ domain.uuid ]
"""


def render(commands: Iterable[Command]) -> str:
    """Give the file for Icinga's conf.d."""
    listed = tuple(commands)
    return "\n".join([_HEAD, *map(_command, listed), *map(_apply, listed), _OF_HOST])


def _command(command: Command) -> str:
    arguments = "".join(map(_argument, command.options))
    variables = "".join(f"  vars.{name} = {_string(value)}\n" for name, value in command.variables.items())
    return (
        f"// {command.description}\n"
        f'object CheckCommand "{command.name}" {{\n'
        f'  command = [ PluginDir + "/{command.name}" ]\n'
        f"  arguments = {{\n{arguments}  }}\n"
        f"{variables}"
        "}\n"
    )


def _argument(option: Option) -> str:
    value = _string(f"${option.own}$")
    if option.own != option.variable:
        none = "[]" if option.takes_value else "false"
        value = f'{{{{ kvm_given(macro("${option.own}$"), macro("${option.variable}$"), {none}) }}}}'
    lines = [f"{'value' if option.takes_value else 'set_if'} = {value}"]
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
        if of_each
        else f'apply Service "KVM {command.check}" {{\n'
    )
    is_parent = command.check == services.PARENT
    stale_after = "host.vars.kvm_stale_after / 2" if is_parent else "host.vars.kvm_stale_after"
    pace = f'    import "{command.pace}"\n' if command.pace else ""
    wanted = "" if is_parent else f' && "{command.check}" in host.vars.kvm_checks'
    return (
        f"{head}"
        "  if (host.vars.kvm_passive) {\n"
        '    import "kvm-passive"\n'
        f"{pace}"
        "  } else {\n"
        '    import "kvm-service"\n'
        f"{pace}"
        f'    check_command = "{command.name}"\n'
        "    if (host.vars.kvm_endpoint) {\n"
        "      command_endpoint = host.vars.kvm_endpoint\n"
        "    }\n"
        "  }\n"
        f"{_ROUTED if of_each else ''}"
        # after the site's own templates: most have a check_interval, and this one says when a result is too old
        "  if (host.vars.kvm_passive) {\n"
        f"    check_interval = {stale_after}\n"
        f"    retry_interval = {stale_after}\n"
        "  }\n"
        f"  assign where host.vars.kvm_checks{wanted}\n"
        "}\n"
    )


def _string(text: str) -> str:
    # Icinga's string literals know the same escapes
    return json.dumps(text, ensure_ascii=False)
