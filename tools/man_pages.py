"""Write docs/man/ from the commands' own options: "make docs" (tests/unit/test_man_pages.py tells when it must)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from argparse_manpage.manpage import Manpage
from check_kvm.frame import check_options
from check_kvm.frame.judging import all_checks
from kvmwatch_terminal import cli as kvmwatch_terminal
from kvmwatch_terminal import columns, formats, listing, net, net_columns, net_peers
from kvmwatch_terminal.top import keys
from nagios_kvm import cli as nagios_kvm
from zabbix_kvm import cli as zabbix_kvm
from zabbix_kvm import external

from kvmwatch import __version__
from kvmwatch.command.options import Parser

MAN = Path(__file__).parents[1] / "docs" / "man"

_EXIT_STATUS = {
    "check_kvm": "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: as the plugin API has it.",
    "kvmwatch": "0 when it was printed, whatever is wrong with the VMs, 3 when it could not be read: stderr says why "
    "(export influx: 0 then, too, and up=0, for Telegraf drops what comes with another).",
    "nagios_kvm": "0 when all is done, 2 when results were refused, 3 when it could not be done: stderr says why.",
    "zabbix_kvm": "0 when all is done, 2 when values or changes were refused, 3 when it could not be done: stderr says "
    "why. "
    "That of verify is a check's: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
    "zabbix_kvm_external": "0 with a document, which says what went wrong, else 3 and stderr says why.",
}
_FILES = {
    "check_kvm": ".TP\n/var/lib/kvmwatch/\ncounters of the last run, in a folder per user",
    "kvmwatch": ".TP\n/etc/default/kvmwatch-textfile, /etc/default/kvmwatch-exporter\noptions of the timer and the service of export\n"
    ".TP\n/var/lib/kvmwatch/\ncounters of the last run, in a folder per user",
    "nagios_kvm": ".TP\n/etc/default/kvmwatch-publish, /etc/default/kvmwatch-publish@NAME, /etc/default/kvmwatch-config, "
    "/etc/default/kvmwatch-config@NAME\noptions of the timers and their instances\n"
    ".TP\n/var/lib/kvmwatch/\ncounters of the last run, in a folder per user",
    "zabbix_kvm": ".TP\n/etc/default/kvmwatch-send, /etc/default/kvmwatch-send@NAME, /etc/default/kvmwatch-guests\noptions of the timers and their instances\n"
    ".TP\n/etc/zabbix/zabbix_agentd.conf, /etc/zabbix/zabbix_agent2.conf\nwhere send finds server, host name and TLS\n"
    ".TP\n/usr/share/kvmwatch/templates/\nwhat provision imports",
    "zabbix_kvm_external": f".TP\n{external.ALLOWED}\nthe URIs that external checks may collect from, one a line",
}


def parsers() -> dict[str, Parser]:
    """Command to its parser, with the options of all subcommands."""
    parsers = {f"check_kvm_{check.name}": check_options.parser_of(check) for check in all_checks()}
    parsers |= {"kvmwatch": kvmwatch_terminal.parser(every_option=True)}
    parsers |= {"nagios_kvm": nagios_kvm.parser(), "zabbix_kvm": zabbix_kvm.parser()}
    return parsers | {"zabbix_kvm_external": external.parser()}


def pages() -> dict[str, str]:
    """File name to text."""
    made = parsers()
    # argparse wraps usage lines for the terminal it finds, and each Python at other places; man wraps them by itself
    with patch.dict(os.environ, COLUMNS="100000"):
        return {f"{name}.1": _page(name, parser, sorted(made)) for name, parser in made.items()}


def _page(name: str, parser: Parser, names: list[str]) -> str:
    summary, _, rest = (parser.description or "").partition(":")
    made = Manpage(
        parser,
        _data={
            # a release's pages do not change from one day to the next
            "date": f"kvmwatch {__version__}",
            "project_name": "kvmwatch",
            "description": (rest.strip() if summary == name else summary).rstrip("."),
            "manual_title": "KVM monitoring",
        },
        format="single-commands-section",
    )
    family = "check_kvm" if name.startswith("check_kvm") else name
    if name == "kvmwatch":
        made.add_section("COLUMNS OF LIST", ">", _columns(columns.COLUMNS, listing.LEGEND))
        made.add_section("COLUMNS OF NET", ">", _columns(net_columns.COLUMNS, net.LEGEND))
        made.add_section("COLUMNS OF NET --peers", ">", _columns(net_peers.COLUMNS))
        made.add_section("KEYS OF TOP", ">", _keys())
    made.add_section("EXIT STATUS", ">", _EXIT_STATUS[family])
    made.add_section("FILES", ">", _FILES[family])
    others = (f".BR {other} (1)" for other in names if other != name)
    made.add_section("SEE ALSO", ">", ",\n".join(others) + "\n.PP\n/usr/share/doc/kvmwatch/")
    return str(made).replace(".SH COMMENTS", ".SH THRESHOLDS")


def _columns(of: Sequence[columns.Column], legend: str = "") -> str:
    """The columns of a command, and what has to be known of what is in them."""
    items = "".join(f".TP\n\\fB{name}\\fR\n{text}\n" for name, text in formats.columns_help(of))
    return f"{items}.PP\n{legend.partition(chr(10) * 2)[0]}" if legend else items


def _keys() -> str:
    """The keys of kvmwatch top, in its table and in a page."""
    in_table, in_page = ("\n".join(map(_key, of)) for of in (keys.KEYS, keys.PAGE_KEYS))
    return f"{in_table}\n.PP\nIn the page of a VM, and in the help:\n{in_page}"


def _key(key: keys.Key) -> str:
    return f".TP\n\\fB{_plain(key.shown)}\\fR\n{key.help}"


def _plain(text: str) -> str:
    """Text that troff does not act upon."""
    return text.replace("\\", "\\e")


if __name__ == "__main__":
    MAN.mkdir(exist_ok=True)
    for file, text in pages().items():
        (MAN / file).write_text(text, encoding="utf-8")
