"""What is told of anything that fills up: file systems and pools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from zabbix_templates.model import Macro, Trigger
from zabbix_templates.triggers import Guard, When, alarm, over, pair

MACROS = (
    Macro("{$KVM.FORECAST.HISTORY}", "2d", "What forecasts look back at; none before there is so much"),
    Macro("{$KVM.FORECAST.FROM}", "60", "No forecast below this utilization, %"),
)  # fmt: skip


class Limits(NamedTuple):
    """The macros of something that fills up."""

    warn: str
    most: str
    time: str
    left: str


def levels(
    name: str,
    usage: str,
    limits: Limits,
    meanings: tuple[str, str],
    cure: str,
    guards: Iterable[Guard],
    names: tuple[str, str] = ("is nearly full", "is full"),
) -> tuple[Trigger, Trigger]:
    """Nearly full and full: of a part of something, unless ``names`` have it stand alone."""
    return pair(
        name,
        (over(usage, limits.warn, limits.time, " %"), over(usage, limits.most, limits.time, " %")),
        meanings,
        cure,
        "capacity",
        guards,
        severities=("WARNING", "HIGH"),
        names=names,
    )


def filling(
    title: str, what: str, usage: str, limits: Limits, cure: str, guards: Iterable[Guard]
) -> tuple[Trigger, ...]:
    """Nearly full, full, and full soon: of file systems and pools."""
    guards = tuple(guards)
    full, nearly = f"{title}Is full", f"{title}Is nearly full"
    start, history = "{$KVM.FORECAST.FROM}", "{$KVM.FORECAST.HISTORY}"
    left = f"timeleft({usage},{history},100)"
    soon = When(
        # the last: nothing is forecast of something new
        f"last({usage})>{start} and {left}<{limits.left} and {left}>=0 and last({usage},#1:now-{history})>=0",
        f"last({usage})<={start} or {left}>{limits.left}*1.5 or {left}<0",
    )
    return (
        *levels(
            title,
            usage,
            limits,
            (
                f"{what} with little room left.",
                f"{what} with next to no room: what writes to it will fail or stop.",
            ),
            cure,
            guards,
            names=("Is nearly full", "Is full"),
        ),
        alarm(
            f"{title}Will be full soon",
            "WARNING",
            soon,
            f"{what} that fills up in this time if it goes on as in the history that the forecast looks at.",
            cure,
            "capacity",
            guards,
            tells=f"within {limits.left}; now {{ITEM.LASTVALUE1}}",
            depends=(nearly, full),
        ),
    )
