"""What ``kvmwatch show`` is made of: sections, a line for each thing of a VM or hypervisor, their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kvmwatch.model.groups import Group
from kvmwatch.model.policy import Policy
from kvmwatch.model.snapshot import Domain, Snapshot, Unreads
from kvmwatch_terminal.columns import Column, Value
from kvmwatch_terminal.rows import Row, Thing


class Section(NamedTuple):
    """Things of one kind, a line each; ``name`` is the key in JSON."""

    name: str
    title: str
    columns: tuple[Column, ...]
    #: the records that its columns look at; of a Shown, or where it is the hypervisor's, of a Snapshot
    of: Callable[[Any], Iterable[Any]]
    unread: Callable[[Any], Unreads] = lambda _: ()  # what of such a record is not among its VM's


class Shown(NamedTuple):
    """The VM that is shown; ``metadata`` is its own policy, without what --config adds."""

    row: Row
    snapshot: Snapshot
    metadata: Policy

    @property
    def domain(self) -> Domain:
        """The VM, with all that is wanted of it."""
        return self.row.domain


def things(section: Section, shown: Shown) -> list[Thing]:
    """What stands in a section."""
    row = shown.row
    return [Thing(each, row.now, (*row.unread, *section.unread(each)), row.silent) for each in section.of(shown)]


def column(
    name: str,
    header: str,
    unit: str | None,
    of: Callable[[Any], Value],
    needs: Group = Group.NONE,
    text: Callable[[Any], str] | None = None,
    least: int | None = None,
) -> Column:
    """A column of a thing: ``of`` gets its record."""
    return Column(
        *(name, header, unit, header.lower(), lambda thing: of(thing.of), needs),
        text=text,
        least=least,
    )
