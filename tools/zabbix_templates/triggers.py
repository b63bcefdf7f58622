"""The rules by which every trigger is built. docs/zabbix.md says them to people; tests/unit/test_templates.py holds them.

A trigger is made of *when* it is told (:class:`When`) and of the guards without which it is not (:class:`Guard`).
Both say how they end, so that every problem has a recovery of its own: one that has begun does not end because the
readings were interrupted, and not because a value hovers around its limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from zabbix_templates.model import Trigger

#: severities that wake people: nothing of them is told of one sample
GRAVE = ("HIGH", "DISASTER")

_GAP = "/T/kvm.gap"


class When(NamedTuple):
    """When something is told, and when that ends. The first item of ``expression`` is the one whose value is told."""

    expression: str
    ends: str  # what must be true for the problem to end
    lasts: str = ""  # for which time it must have been so; empty: one sample is enough
    tells: str = ""  # what the problem's name says besides: value, limit, time

    def __and__(self, other: When) -> When:
        """Both, told as the first; it lasts if one of them does, and ends when one of them does."""
        return When(
            f"{_inner(self.expression)} and {_inner(other.expression)}",
            _either(self.ends, other.ends),
            self.lasts or other.lasts,
            self.tells,
        )

    def __or__(self, other: When) -> When:
        """One of them, told as the first; it lasts only if both do, and ends when both do."""
        return When(
            f"({self.expression}) or ({other.expression})",
            f"({self.ends}) and ({other.ends})",
            self.lasts if other.lasts else "",
            self.tells,
        )


class Guard(NamedTuple):
    """What must hold besides, and what ends an open problem; empty: nothing does."""

    holds: str
    fails: str = ""


#: Nothing is told of states while they settle after the readings were interrupted: by a reboot of the hypervisor, a
#: restart of libvirt, of the agent or of whatever brings the data. It also makes Zabbix look at the trigger with each
#: reading, though its own items come only when they change; and keeps it from being told while there are none, by what
#: Zabbix calculates from time to time.
SETTLED = Guard(
    f"max({_GAP},{{$KVM.SETTLE.TIME}})<{{$KVM.INTERVAL}}*2.5 "
    f"and sum({_GAP},{{$KVM.SETTLE.TIME}})>{{$KVM.SETTLE.TIME}}-{{$KVM.INTERVAL}}*1.5"
)


def held(ref: str, value: int, time: str, tells: str = "") -> When:
    """Whether it has had this value all the time, and had it already at its beginning.

    It counts no samples, so it may be asked of items that are discarded while they do not change.
    """
    return When(
        f'last({ref})={value} and last({ref},#1:now-{time})={value} and count({ref},{time},"ne",{value})=0',
        f"last({ref})<>{value}",
        time,
        tells or f"for {time}",
    )


def always(ref: str, comparison: str, value: int, time: str) -> Guard:
    """That an item's value compares so, and did at the beginning of the time; a problem ends when it does not now."""
    ends = {"=": "<>", "<": ">="}[comparison]
    now_and_then = (f"last({ref})", f"last({ref},#1:now-{time})")
    return Guard(
        " and ".join(f"{value_of}{comparison}{value}" for value_of in now_and_then), f"last({ref}){ends}{value}"
    )


def over(ref: str, limit: str, time: str, unit: str = "", hovers: bool = True) -> When:
    """Whether it has been over the limit all the time; it ends when it was not for the same time.

    Of items that are discarded while they do not change, only for those whose heartbeat is shorter than the time.
    Without ``hovers`` it ends with the first value that is not over the limit.
    """
    return When(
        f"min({ref},{time})>{limit} and last({ref},#1:now-{time})>{limit}",
        f"max({ref},{time})<={limit}" if hovers else f"last({ref})<={limit}",
        time,
        f"{{ITEM.LASTVALUE1}} (over {limit}{unit} for {time})",
    )


def given(ref: str, time: str) -> When:
    """Whether a text has not been empty for this time; the text is told."""
    return When(
        f"length(last({ref}))>0 and length(last({ref},#1:now-{time}))>0",
        f"length(last({ref}))=0",
        time,
        "{ITEM.LASTVALUE1}",
    )


def now(ref: str, comparison: str, value: str, tells: str = "{ITEM.LASTVALUE1}") -> When:
    """Whether its newest value compares so: for what is no fault of moments. Never enough for what wakes people."""
    ends = {"=": "<>", "<>": "=", ">": "<=", "<": ">="}[comparison]
    return When(f"last({ref}){comparison}{value}", f"last({ref}){ends}{value}", "", tells)


def changed(ref: str) -> When:
    """Whether its newest value is another one than the one before; told until the next value comes.

    For texts that are discarded while they do not change.
    """
    return When(
        f"last({ref})<>last({ref},#2)",
        f"last({ref})=last({ref},#2)",
        "",
        f"from {_before(ref)} to {{ITEM.LASTVALUE1}}",
    )


def _before(ref: str) -> str:
    return f"{{?last({ref.replace('/T/', '/{HOST.HOST}/')},#2)}}"


def text(ref: str) -> str:
    """The newest value of an item in a problem's name."""
    return f"{{?last({ref.replace('/T/', '/{HOST.HOST}/')})}}"


def alarm(
    name: str,
    severity: str,
    when: When,
    meaning: str,
    cure: str,
    scope: str,
    guards: Iterable[Guard] = (),
    tells: str = "",
    shows: str = "{ITEM.LASTVALUE1}",
    depends: tuple[str, ...] = (),
    manual_close: bool = False,
) -> Trigger:
    """Give a trigger. ``tells``: what its problem's name says behind the trigger's; ``shows``: operational data.

    Raises ValueError for one that breaks the rules.
    """
    if severity in GRAVE and not when.lasts.startswith("{$KVM."):
        raise ValueError(f"{name}: {severity}, and one sample would be enough for it")
    tells = tells or when.tells
    if not tells:
        raise ValueError(f"{name}: its problem's name says nothing of value or time")
    guards = tuple(guards)
    return Trigger(
        name,
        " and ".join([_inner(when.expression), *(_inner(guard.holds) for guard in guards)]),
        severity,
        meaning,
        cure,
        scope,
        shows,
        f"{name}: {tells}",
        depends,
        manual_close,
        " or ".join([_inner(when.ends, " and "), *(guard.fails for guard in guards if guard.fails)]),
    )


def pair(
    name: str,
    when: tuple[When, When],
    meanings: tuple[str, str],
    cure: str,
    scope: str,
    guards: Iterable[Guard] = (),
    severities: tuple[str, str] = ("WARNING", "AVERAGE"),
    names: tuple[str, str] = ("", " (severe)"),
    depends: tuple[str, ...] = (),
    shows: str = "{ITEM.LASTVALUE1}",
) -> tuple[Trigger, Trigger]:
    """Give the triggers of two limits; the one of the lower depends on the other, so that one is told."""
    guards = tuple(guards)
    lower, upper = f"{name}{names[0]}", f"{name}{names[1]}"
    return (
        alarm(
            lower,
            severities[0],
            when[0],
            meanings[0],
            cure,
            scope,
            guards,
            shows=shows,
            depends=(upper, *depends),
        ),
        alarm(upper, severities[1], when[1], meanings[1], cure, scope, guards, shows=shows, depends=depends),
    )


def _inner(expression: str, joined: str = " or ") -> str:
    """An expression as a part of another one."""
    return f"({expression})" if joined in expression else expression


def _either(one: str, other: str) -> str:
    return f"{_inner(one, ' and ')} or {_inner(other, ' and ')}"
