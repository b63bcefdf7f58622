"""How often data comes, and the macros that follow from that: a window has to hold several values.

A macro in Zabbix cannot be computed from another, so provisioning does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

INTERVAL = "{$KVM.INTERVAL}"

_MEANS = {"{$KVM.WINDOW}": (3, 180)}
#: by whose host it is: macro to how many intervals it lasts at least, and its seconds in the template (the least)
HYPERVISOR = {**_MEANS, "{$KVM.NODATA}": (3, 300)}
# a hypervisor that is back has to tell of a VM for half of it before the VM's own host is missed
GUEST = {**_MEANS, "{$KVM.GUEST.NODATA}": (4, 300)}

_Windows = Mapping[str, tuple[int, int]]
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def windows(interval: str, of: _Windows) -> dict[str, str]:
    """The windows of a host whose data comes at this interval, by macro; none for a text that is no interval."""
    matched = re.fullmatch(r"(\d+)([smh]?)", interval)
    if not matched:
        return {}
    seconds = int(matched[1]) * _SECONDS[matched[2]]
    return {macro: _text(max(least, intervals * seconds)) for macro, (intervals, least) in of.items()}


def following(given: Mapping[str, str], there: Mapping[str, str], of: _Windows = HYPERVISOR) -> dict[str, str]:
    """The macros that a host is to be given: those, and the windows that follow from the interval among them.

    ``there`` are those that the host has: a window that somebody has set on it stays, unless it is what followed
    from the interval until now.
    """
    before = windows(there.get(INTERVAL, ""), of)
    followed = {
        macro: value
        for macro, value in windows(given.get(INTERVAL, ""), of).items()
        if macro not in there or there[macro] == before.get(macro)
    }
    return followed | dict(given)


def _text(seconds: int) -> str:
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"
