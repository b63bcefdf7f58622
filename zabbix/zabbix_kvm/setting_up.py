"""zabbix_kvm provision and verify: Zabbix itself, through its API."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import add_allow_http, not_empty, path, seconds, wait
from kvmwatch.model.errors import UsageError
from kvmwatch.model.text import without_password

_MINUTE, _DAY = 60.0, 86400.0  # seconds
_FAILED = 2


def add_commands(commands: Any) -> None:
    """Add both commands to the parser's."""
    provision = commands.add_parser(
        "provision", help="set Zabbix up: templates, groups, hypervisors, guests, dashboard", allow_abbrev=False
    )
    verify = commands.add_parser(
        "verify", help="tell which items do not work, and why; exit code as a check", allow_abbrev=False
    )
    for command in (provision, verify):
        _add_api_options(command)
    provision.add_argument("-n", "--dry-run", action="store_true", help="only tell what would be changed")
    _add_hypervisors(provision)
    _add_guests(provision)
    _add_templates(provision)
    _add_dashboard(provision)
    verify.add_argument("--guests", action="store_true", help="look at the guests' own hosts, too")
    verify.add_argument(
        "--max-age",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="data older than this is CRITICAL (default: 300)",
    )
    provision.set_defaults(run=_provision)
    verify.set_defaults(run=_verify)


def _add_hypervisors(provision: argparse.ArgumentParser) -> None:
    provision.add_argument(
        "--hypervisor",
        type=not_empty,
        action="append",
        default=[],
        metavar="HOST[=ADDRESS]",
        help="a hypervisor to monitor, with its agent's address (default: the host name by DNS); repeatable",
    )
    provision.add_argument(
        "--hypervisors", type=path, metavar="FILE", help="more of them, in an INI file (see the docs)"
    )
    provision.add_argument(
        "--way",
        choices=("agent", "active", "trapper", "external"),
        help="how their data arrives, unless the file says otherwise; a host with another way is moved to "
        "this one, with its items and history (default: as it is, else agent)",
    )
    provision.add_argument(
        "--psk",
        type=path,
        metavar="FILE",
        help="pre-shared keys of hypervisors, in an INI file (see the docs), for their hosts and their VMs'",
    )


def _add_guests(provision: argparse.ArgumentParser) -> None:
    provision.add_argument(
        "--guests",
        action="store_true",
        help="make a host of each VM that the hypervisors in Zabbix report, and keep them in step; without "
        "hypervisors named, templates and dashboard are left alone",
    )
    provision.add_argument(
        "--disable-after",
        type=wait,
        default=15.0,
        metavar="MINUTES",
        help="disable the host of a VM that no hypervisor has any more for so long (default: 15)",
    )
    provision.add_argument(
        "--delete-after",
        type=wait,
        default=30.0,
        metavar="DAYS",
        help="and delete it, with its history, after so long; inf: never (default: 30)",
    )


def _add_templates(provision: argparse.ArgumentParser) -> None:
    provision.add_argument("--templates", metavar="DIR", type=path, help="folder of the templates")
    provision.add_argument(
        "--replace-templates",
        action="store_true",
        help="import the templates even where those in Zabbix are of a newer version",
    )


def _add_dashboard(provision: argparse.ArgumentParser) -> None:
    provision.add_argument("--no-dashboard", action="store_true", help="leave the NOC dashboard alone")
    provision.add_argument(
        "--share",
        type=not_empty,
        action="append",
        default=[],
        metavar="GROUP",
        help="a user group that may see the NOC dashboard, which else only the user of the API can; repeatable",
    )
    provision.add_argument(
        "--replace-dashboard",
        action="store_true",
        help="bring the NOC dashboard to this version, whatever has been done to it",
    )


def _add_api_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--url", default=os.environ.get("ZABBIX_URL"), help="the front end's URL (default: $ZABBIX_URL)"
    )
    command.add_argument(
        "--credentials",
        type=path,
        metavar="FILE",
        help="file with 'token = ...', or 'user = ...' and 'password = ...' "
        "(default: $ZABBIX_TOKEN, or $ZABBIX_USER and $ZABBIX_PASSWORD)",
    )
    add_allow_http(command)
    command.add_argument(
        "-t", "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="for each request (default: 60)"
    )
    command.add_argument("-v", "--verbose", action="count", default=0, help="-vv adds tracebacks")


def _api(options: argparse.Namespace) -> Any:
    from zabbix_kvm.api import Api, credentials  # noqa: PLC0415 - pyzabbix costs more than a whole collection

    if not options.url:
        raise UsageError("which Zabbix? give --url https://zabbix.example.com/zabbix, or set ZABBIX_URL")
    return Api(options.url, credentials(options.credentials), options.timeout, options.allow_http)


def _provision(options: argparse.Namespace) -> Outcome:
    from zabbix_kvm import gone, guests, noc, sites  # noqa: PLC0415
    from zabbix_kvm.changes import Changes  # noqa: PLC0415
    from zabbix_kvm.provision import Provisioner  # noqa: PLC0415
    from zabbix_kvm.templates import Importer, default_templates  # noqa: PLC0415

    wanted = [sites.from_argument(text, options.way) for text in options.hypervisor]
    if options.hypervisors:
        wanted += sites.from_file(options.hypervisors, options.way)
    keys = sites.keys_from_file(options.psk) if options.psk else {}
    whole = bool(wanted or options.templates or not options.guests)
    api = _api(options)
    changes = Changes(api, options.dry_run)
    provisioner = Provisioner(changes)
    try:
        if whole:
            Importer(changes, options.replace_templates).all(
                Path(options.templates) if options.templates else default_templates()
            )
        for site in wanted:
            with changes.contained():
                provisioner.hypervisor(site, keys.get(site.host))
        if options.guests:
            patience = gone.Patience(options.disable_after * _MINUTE, options.delete_after * _DAY)
            guests.keep_in_step(provisioner, keys, patience)
        if (whole and not options.no_dashboard) or options.share or options.replace_dashboard:
            noc.keep(provisioner, options.share, options.replace_dashboard)
    finally:
        api.close()
    count, url = len(changes.made), without_password(options.url)
    text = f"{url}: nothing to change"
    if count:
        text = f"{url}: {count} {'changes would be made' if options.dry_run else 'changes made'}"
    if changes.failed:
        text += f", {len(changes.failed)} failed: see above"
    return Outcome(text, _FAILED if changes.failed else 0)


def _verify(options: argparse.Namespace) -> Outcome:
    from zabbix_kvm.verify import verify  # noqa: PLC0415

    api = _api(options)
    try:
        code, text = verify(api, options.guests, options.max_age)
    finally:
        api.close()
    return Outcome(text, code)
