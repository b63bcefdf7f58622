"""Write docs/man/ from the commands' own options: "make docs" (tests/unit/test_man_pages.py tells when it must)."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

from argparse_manpage.manpage import Manpage
from check_kvm.frame import check_options
from check_kvm.frame.judging import all_checks
from kvmwatch_exporters import cli as kvmwatch_export
from nagios_kvm import cli as nagios_kvm
from zabbix_kvm import cli as zabbix_kvm
from zabbix_kvm import external

from kvmwatch import __version__
from kvmwatch.command.options import Parser

MAN = Path(__file__).parents[1] / "docs" / "man"

_EXIT_STATUS = {
    "check_kvm": "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: as the plugin API has it.",
    "nagios_kvm": "0 when all is done, 2 when results were refused, 3 when it could not be done: stderr says why.",
    "kvmwatch_export": "0 when all is done, 3 when it could not be done: stderr says why, and the output that the hypervisor "
    "could not be read (of influx with 0, for Telegraf drops what comes with another).",
    "zabbix_kvm": "0 when all is done, 2 when values or changes were refused, 3 when it could not be done: stderr says "
    "why. "
    "That of verify is a check's: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
    "zabbix_kvm_external": "0 with a document, which says what went wrong, else 3 and stderr says why.",
}
_FILES = {
    "check_kvm": ".TP\n/var/lib/kvmwatch/\ncounters of the last run, in a folder per user",
    "nagios_kvm": ".TP\n/etc/default/kvmwatch-publish, /etc/default/kvmwatch-config\noptions of the timers\n"
    ".TP\n/var/lib/kvmwatch/\ncounters of the last run, in a folder per user",
    "kvmwatch_export": ".TP\n/etc/default/kvmwatch-textfile, /etc/default/kvmwatch-exporter\noptions of the timer and the service\n"
    ".TP\n/var/lib/kvmwatch/\ncounters of the last run, in a folder per user",
    "zabbix_kvm": ".TP\n/etc/default/kvmwatch-send, /etc/default/kvmwatch-send@NAME, /etc/default/kvmwatch-guests\noptions of the timers and their instances\n"
    ".TP\n/etc/zabbix/zabbix_agentd.conf, /etc/zabbix/zabbix_agent2.conf\nwhere send finds server, host name and TLS\n"
    ".TP\n/usr/share/kvmwatch/templates/\nwhat provision imports",
    "zabbix_kvm_external": f".TP\n{external.ALLOWED}\nthe URIs that external checks may collect from, one a line",
}


def pages() -> dict[str, str]:
    """File name to text."""
    parsers = {f"check_kvm_{check.name}": check_options.parser_of(check) for check in all_checks()}
    parsers |= {
        "kvmwatch_export": kvmwatch_export.parser(),
        "nagios_kvm": nagios_kvm.parser(),
        "zabbix_kvm": zabbix_kvm.parser(),
    }
    parsers |= {"zabbix_kvm_external": external.parser()}
    # argparse wraps usage lines for the terminal it finds, and each Python at other places; man wraps them by itself
    with patch.dict(os.environ, COLUMNS="100000"):
        return {f"{name}.1": _page(name, parser, sorted(parsers)) for name, parser in parsers.items()}


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
    made.add_section("EXIT STATUS", ">", _EXIT_STATUS[family])
    made.add_section("FILES", ">", _FILES[family])
    others = (f".BR {other} (1)" for other in names if other != name)
    made.add_section("SEE ALSO", ">", ",\n".join(others) + "\n.PP\n/usr/share/doc/kvmwatch/")
    return str(made).replace(".SH COMMENTS", ".SH THRESHOLDS")


if __name__ == "__main__":
    MAN.mkdir(exist_ok=True)
    for file, text in pages().items():
        (MAN / file).write_text(text, encoding="utf-8")
