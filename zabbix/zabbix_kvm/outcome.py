"""What a subcommand of zabbix_kvm gives."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """The text for stdout (none if empty) and the exit code: 0, or 1 to 3 as a plugin's."""

    text: str
    code: int = 0
