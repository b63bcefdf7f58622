"""The options of nagios_kvm's subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from check_kvm.frame import judging, perfdata
from check_kvm.frame.check_options import add_choice, add_site_options
from check_kvm.frame.plugin import Check

from kvmwatch.command.options import add_allow_http, add_common, not_empty, path, seconds
from nagios_kvm import services
from nagios_kvm.definitions import host_name
from nagios_kvm.vm_hosts import VmHost

_FORMATS = ("nagios", "icinga2", "director", "director-import")
_STALE_AFTER = 300  # seconds


def add_shared(subcommand: argparse.ArgumentParser) -> None:
    """Add what all subcommands have: whom to ask, the site's own, ``--check``."""
    add_common(subcommand)
    add_site_options(subcommand)
    add_choice(
        subcommand,
        f"only these, and host, on which they depend: {_names(judging.all_checks())}",
        _names(services.checks([])),
    )


def add_host(subcommand: argparse.ArgumentParser) -> None:
    """Add whose services they are: ``--host`` and ``--vm-host``."""
    subcommand.add_argument(
        "--host",
        type=host_name,
        metavar="NAME",
        help="the hypervisor's host in the monitoring system (default: this host's name)",
    )
    subcommand.add_argument(
        "--vm-host",
        type=VmHost.parse,
        metavar="PATTERN",
        help="put each VM's services on a host of its own that is called by this, with {name} or {uuid} in it; "
        "it stays when the VM moves to another hypervisor. The same for config and publish (default: none)",
    )


def add_config(config: argparse.ArgumentParser) -> None:
    """Add those of config."""
    config.add_argument("--format", choices=_FORMATS, required=True, help="for which system")
    config.add_argument(
        "--output",
        type=path,
        metavar="FILE",
        help="replace this file, if it changes, instead of printing to stdout",
    )
    config.add_argument(
        "--validate",
        type=not_empty,
        metavar="COMMAND",
        help="put the old file back when this fails, or is not done within -t, "
        "e.g. 'nagios4 -v /etc/nagios4/nagios.cfg'; what VMs' metadata ask for and it refuses is left out",
    )
    config.add_argument(
        "--force",
        action="store_true",
        help="replace the file also when most of what was in it would be gone, when it is another hypervisor's "
        "(or this one's under another --host), or when nagios_kvm did not make it",
    )
    config.add_argument("--reload", type=not_empty, metavar="COMMAND", help="run this after a change, within -t")
    config.add_argument(
        "--active", action="store_true", help="let each service run its check, instead of waiting for publish"
    )
    config.add_argument(
        "--endpoint",
        type=host_name,
        metavar="NAME",
        help="Icinga's endpoint where the checks run: the agent on the hypervisor, which reads its own libvirt "
        "(default: none)",
    )
    config.add_argument(
        "--check-uri",
        type=not_empty,
        metavar="URI",
        help="libvirt URI for the checks (default: --uri; with --endpoint the default of the checks there)",
    )
    config.add_argument(
        "--stale-after",
        type=seconds,
        default=float(_STALE_AFTER),
        metavar="SECONDS",
        help=f"passive services without a result for this long are UNKNOWN (default: {_STALE_AFTER})",
    )
    config.add_argument(
        "--vm-host-exists",
        action="store_true",
        help="the monitoring system has the hosts of --vm-host already: make their services alone",
    )


def add_publish(publish: argparse.ArgumentParser) -> None:
    """Add those of publish."""
    publish.add_argument(
        "--to",
        type=path,
        required=True,
        metavar="FILE-OR-URL",
        help="Nagios's command file (a pipe), its check_result_path (a folder), https://ICINGA:5665, "
        "nrdp+https://NAGIOS/nrdp/, or nsca://NAGIOS",
    )
    publish.add_argument(
        "--credentials",
        type=path,
        metavar="FILE",
        help="for a URL, in which none stand: file with 'user = ...' and 'password = ...' (NRDP: 'token = ...'; "
        "NSCA: send_nsca.cfg), in UTF-8, mode 600",
    )
    publish.add_argument(
        "--ca-file",
        type=path,
        metavar="FILE",
        help="for a URL: certificate of the CA that signed Icinga's (its ca.crt)",
    )
    add_allow_http(publish)
    publish.add_argument(
        "--perfdata",
        choices=perfdata.STYLES,
        help="as the checks have it (default: full, and known for a URL, for Icinga)",
    )


def _names(checks: Iterable[Check]) -> str:
    return ", ".join(check.name for check in checks)
