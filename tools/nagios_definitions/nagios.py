"""Commands and templates for Nagios, and command lines for NRPE."""

from __future__ import annotations

from collections.abc import Iterable

from nagios_kvm.services import SETTLED_AFTER

from nagios_definitions.commands import MADE, PLUGINS, Command

_TEMPLATES = """\
# Who is told is yours to say: contacts or contact_groups in your generic-host, or in the host.
define host {
    name                            kvm-hypervisor
    use                             generic-host
    check_interval                  1
    retry_interval                  1
    max_check_attempts              3
    register                        0
}

# a VM's own host (nagios_kvm config --vm-host). Nothing is asked of it: libvirt tells no address, and a VM may be shut off
# on purpose, so its service KVM state is what alerts. For another check, a template of yours with a check_command
define host {
    name                            kvm-vm
    use                             generic-host
    check_command                   kvm_vm
    max_check_attempts              1
    register                        0
}

define command {
    command_name                    kvm_vm
    command_line                    $USER1$/check_dummy 0 "This host is not checked: its service KVM state tells whether the VM runs"
}

# a service that runs its own check; somebody is told when it was wrong five times, a minute apart
define service {
    name                            kvm-service
    use                             generic-service
    check_interval                  1
    retry_interval                  1
    max_check_attempts              5
    register                        0
}

# for a check of rates, before kvm-service or kvm-service-passive: a busy minute is no problem, ten are
define service {
    name                            kvm-rate
    max_check_attempts              10
    register                        0
}

# for the service on which the others of a hypervisor depend: it is known to be in trouble before they are
define service {
    name                            kvm-parent
    retry_interval                  0.5
    max_check_attempts              4
    register                        0
}

# whether a hypervisor was down a moment ago: while it is WARNING nobody is told of the services that depend on it
define service {
    name                            kvm-settled
    use                             generic-service
    check_interval                  1
    retry_interval                  1
    max_check_attempts              1
    notifications_enabled           0
    check_command                   kvm_settled!SETTLED_AFTER
    register                        0
}

# a service that nagios_kvm publish feeds; when nothing comes for freshness_threshold seconds it is UNKNOWN
define service {
    name                            kvm-service-passive
    use                             generic-service
    active_checks_enabled           0
    passive_checks_enabled          1
    check_freshness                 1
    freshness_threshold             300
    max_check_attempts              5
    check_command                   kvm_stale!300
    register                        0
}

# $ARG1$: the freshness threshold
define command {
    command_name                    kvm_stale
    command_line                    $USER1$/check_dummy 3 "No result from nagios_kvm publish for $ARG1$ s: does its timer kvmwatch-publish run, or is the VM gone or moved?"
}

# $ARG1$: seconds after the host was down for the last time
define command {
    command_name                    kvm_settled
    command_line                    /bin/sh -c 'test $$(( $$(date +%s) - $LASTHOSTDOWN$ )) -ge $ARG1$ && echo "OK - not down within the last $ARG1$ s" || ( echo "WARNING - down within the last $ARG1$ s, its services have that long to come back" && exit 1 )'
}

# $ARG1$: a command of checks/nrpe; needs check_nrpe, which is UNKNOWN here when it meets nobody
define command {
    command_name                    kvm_nrpe
    command_line                    $USER1$/check_nrpe -H $HOSTADDRESS$ -u -t 30:3 -c $ARG1$
}
""".replace("SETTLED_AFTER", str(SETTLED_AFTER))


def nagios(commands: Iterable[Command]) -> str:
    """Give the file for Nagios's object folder."""
    parts = [f"# {MADE}\n# $ARG1$ of each command: its options, none are needed.\n", _TEMPLATES]
    parts += [
        f"# {command.description}\n"
        "define command {\n"
        f"    command_name                    {command.name}\n"
        f"    command_line                    $USER1$/{command.name} $ARG1$\n"
        "}\n"
        for command in commands
    ]
    return "\n".join(parts)


def nrpe(commands: Iterable[Command]) -> str:
    """Give the file for NRPE's folder: complete command lines, so that no arguments need to be passed."""
    lines = [
        f"# {MADE}",
        "# Into /etc/nagios/nrpe.d/; then: check_nrpe -H HYPERVISOR -c check_kvm_state",
        "# Thresholds: add -w and -c here, or a --config FILE for all of them, or say them in a VM's own metadata.",
        *(f"command[{command.name}]={PLUGINS}/{command.name}" for command in commands),
    ]
    return "\n".join(lines) + "\n"
