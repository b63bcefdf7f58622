"""To whom a VM belongs in a monitoring system: who is told, in which groups it is, which templates it has.

Said per pattern in the file of ``--config`` and, within limits, in the domain's own metadata. What is said there
ends up in the configuration of a daemon, so nothing passes that could end a value, a line or a command in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from kvmwatch.model.record import Record

#: what no name of a group or template has, in Nagios or Icinga; a "+" would be an expression, or "also"
_ILLEGAL = frozenset("`~!$%^&*|'\"<>?,()=;\\{}+")
#: what a shell, a macro or a comment begins with: values of variables become part of command lines
_UNSAFE = frozenset("`$&|;'\"<>\\!")
_VARIABLE = r"[A-Za-z][A-Za-z0-9_]*"
_OURS = "kvm"
#: what of ours a VM may have otherwise, as it may by thresholds of its own: Icinga's commands take it
_OF_A_CHECK = r"kvm_[a-z]+_(warning|critical|severity)"
_LONGEST = 1000  # characters of a value


class Routing(Record):
    """Names as the site has them; the first three are lists for services, and contact groups for hosts as well."""

    contact_groups: tuple[str, ...] = ()
    service_groups: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    host_groups: tuple[str, ...] = ()  # of the VM's own host, where it has one
    host_templates: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()  # custom ones: name, value


#: the fields that are lists of names
LISTS = tuple(field for field in Routing._fields if field != "variables")


def names(text: str) -> tuple[str, ...]:
    """Read a list with commas. Raises ValueError for a name that no monitoring system takes."""
    listed = tuple(word.strip() for word in text.split(","))
    for name in listed:
        if not name or not name.isprintable() or set(name) & _ILLEGAL:
            raise ValueError(f"{name!r} is no name of a group or template")
    return listed


def variable(name: str, value: str) -> tuple[str, str]:
    """Check a custom variable. Raises ValueError."""
    if not re.fullmatch(_VARIABLE, name):
        raise ValueError(f"{name!r} is no name of a variable: use letters, digits and _")
    if name.lower().startswith(_OURS) and not re.fullmatch(_OF_A_CHECK, name):
        raise ValueError(
            f"{name!r}: names with {_OURS} are kvmwatch's own, but for kvm_CHECK_warning and the like"
        )
    if len(value) > _LONGEST or not value.isprintable() or set(value) & _UNSAFE:
        raise ValueError(
            f"the value of {name} has line breaks, more than {_LONGEST} characters, "
            f"or one of {' '.join(sorted(_UNSAFE))}"
        )
    return name, value.strip()


def over(routings: Iterable[Routing]) -> Routing:
    """What they say together, the weakest first: of each list the last counts, of variables the last of each."""
    together = Routing()
    for routing in routings:
        said = {name: getattr(routing, name) for name in LISTS if getattr(routing, name)}
        variables = tuple({**dict(together.variables), **dict(routing.variables)}.items())
        together = together._replace(**said, variables=variables)
    return together


def permitted(routing: Routing, allowed: Collection[str]) -> tuple[Routing, list[str]]:
    """What of it names only groups and templates that a glob in *allowed* matches; and the names that are not.

    An unknown group makes a daemon refuse all of a file, so not every owner of a VM may name what he likes.
    """
    refused: list[str] = []
    kept = {}
    for field in LISTS:
        given = getattr(routing, field)
        kept[field] = tuple(name for name in given if any(fnmatchcase(name, glob) for glob in allowed))
        refused += [name for name in given if name not in kept[field]]
    return routing._replace(**kept), refused
