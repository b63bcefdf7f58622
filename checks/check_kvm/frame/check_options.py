"""The options of a check, and those that it shares with nagios_kvm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from check_kvm.frame import output, perfdata
from check_kvm.frame.conditions import SEVERITIES
from check_kvm.frame.siteconfig import SiteConfig, load
from check_kvm.frame.thresholds import MetricSpec
from kvmwatch.command.options import Parser, Refused, add_guest_agent, parser, path, takes

if TYPE_CHECKING:
    import argparse

    from check_kvm.frame.plugin import Check


def parser_of(check: Check) -> Parser:
    """The options of a check."""
    lines = [f"  {metric.name:<20} {metric.help}{_defaults(metric)}" for metric in check.metrics]
    epilog = "metrics of -w and -c:\n" + "\n".join(lines) + (
        "\n\nRANGE is a plugin range: 80 (alert over 80), 10: (under 10), @10:20 (inside); empty: never."
        f"{_scales(check)}{_conditions(check)}"
        "\nA domain's own metadata wins over --config's [domain PATTERN], that over -w and -c, those over "
        "--config's\n[defaults]. Exit: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
    )  # fmt: skip
    command = parser(f"check_kvm_{check.name}", check.description, epilog)
    for letter, name in (("-w", "warning"), ("-c", "critical")):
        command.add_argument(
            letter,
            f"--{name}",
            action="append",
            default=[],
            metavar="[METRIC=]RANGE",
            help=f"{name} outside this range; without METRIC: {check.metrics[0].name}; repeatable",
        )
    if check.conditions:
        command.add_argument(
            "--severity",
            action="append",
            default=[],
            metavar="CONDITION=SEVERITY",
            help=f"give a condition another severity: {', '.join(SEVERITIES)}; repeatable",
        )
    add_site_options(command)
    command.add_argument(
        "--perfdata",
        choices=perfdata.STYLES,
        default=perfdata.FULL,
        help="of every VM, with U for what is not known just now, or only what is known (for Icinga, which warns "
        "of U); only the highest and the sum or mean of each metric; or none (default: full)",
    )
    command.add_argument(
        "--max-output",
        type=_limit,
        default=output.DEFAULT_LIMIT,
        metavar="BYTES",
        help="print no more than this, and say what was left out "
        f"(default: {output.DEFAULT_LIMIT}, what Nagios takes)",
    )
    if check.guest_agent:
        add_guest_agent(command)
    return command


def site_config(path: str | None) -> SiteConfig:
    """Read --config, if it was given. Raises UsageError."""
    if path is None:
        return SiteConfig()
    return load(path)


def add_site_options(command: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--state-dir``."""
    command.add_argument(
        "--config",
        type=path,
        metavar="FILE",
        help="INI file with thresholds for all VMs, and per VM what metadata can say",
    )
    add_state_dir(command)


def add_choice(command: argparse.ArgumentParser, what: str, default: str) -> None:
    """Add ``--check``, whose names are for :func:`check_kvm.frame.judging.chosen`; ``what`` it chooses."""
    option = command.add_argument(
        "--check",
        action="extend",
        type=lambda names: names.split(","),
        default=[],
        metavar="CHECK",
        help=f"{what}; with commas between them, or repeatable (default: {default})",
    )
    takes(option, _every_check)


def _every_check(_: argparse.Namespace) -> Iterable[str]:
    from check_kvm.frame import known  # noqa: PLC0415 - only a shell that completes it asks

    return known.checks()


def add_state_dir(command: argparse.ArgumentParser) -> None:
    """Add ``--state-dir``."""
    command.add_argument(
        "--state-dir",
        type=path,
        metavar="DIR",
        help="where counters and passing states are kept between runs (default: $KVMWATCH_STATE_DIR, else the "
        "user's own folder in /var/lib/kvmwatch, else its cache)",
    )


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < output.LEAST_LIMIT:
        raise Refused(f"{text!r}: use a number of bytes, {output.LEAST_LIMIT} or more")
    return int(text)


def _scales(check: Check) -> str:
    units = {metric.unit for metric in check.metrics}
    bits = "\nOf bits: 100M is 100,000,000 (k, M, G, T)." if "b/s" in units else ""
    times = "\nOf seconds: 5min, 4h, 3d." if "s" in units else ""
    return ("\nOf bytes: 10G is 10 GiB (K, M, G, T, P)." if units & {"B", "B/s"} else bits) + times


def _conditions(check: Check) -> str:
    lines = [f"  {found.name:<20} {found.help} [{found.severity}]" for found in check.conditions]
    return "\n\nconditions of --severity:\n" + "\n".join(lines) + "\n" if lines else ""


def _defaults(metric: MetricSpec) -> str:
    given = [f"{letter} {spec}" for letter, spec in (("-w", metric.warning), ("-c", metric.critical)) if spec]
    return f" [{' '.join(given)}]" if given else ""
