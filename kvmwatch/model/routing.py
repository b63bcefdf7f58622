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
#: what our own definitions have, and not always as a text
_OURS = r"kvm.*|contact_groups|dummy_(state|text)"
#: what of ours a VM may have otherwise, as it may by thresholds of its own: Icinga's commands take it
OF_A_CHECK = r"kvm_(?P<check>[a-z]+)_(?P<option>warning|critical|severity)"
#: what Icinga's own commands and rules, Debian's and those of many sites go by: no VM has a say in it
RESERVED = (
    *("address*", "backup_downtime", "check_*", "command_endpoint", "disks", "dummy_*", "enable_*", "event_*"),
    *("http_vhosts", "notes*", "notification*", "zone"),
)
#: before the name of a variable, in allow_metadata and in the files of --config
VARS = "vars."
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
    if re.fullmatch(_OURS, name.lower()) and not re.fullmatch(OF_A_CHECK, name):
        raise ValueError(
            f"{name!r}: names with kvm, contact_groups, dummy_state and dummy_text are kvmwatch's own, "
            "but for kvm_CHECK_warning and the like"
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
        said_now = dict(routing.variables)
        # what is said last stands last, too: Nagios knows some for the same that are two to Icinga
        earlier = {name: value for name, value in together.variables if name not in said_now}
        together = together._replace(**said, variables=(*earlier.items(), *said_now.items()))
    return together


class Refused(Record):
    """What a VM's metadata says in vain: names that are not allowed there, and variables that never are."""

    names: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()


def permitted(routing: Routing, allowed: Collection[str]) -> tuple[Routing, Refused]:
    """What of it names only groups, templates and variables that a glob in *allowed* matches; and what does not.

    A variable NAME is ``vars.NAME`` there, small or large, since Nagios knows no difference; the limits of a check
    are a VM's own, as its thresholds are. An unknown group makes a daemon refuse all of a file, and rules go by
    variables, so not every owner of a VM may say what he likes.
    """

    def is_allowed(name: str) -> bool:
        return any(fnmatchcase(name, glob) for glob in allowed)

    kept = {field: tuple(filter(is_allowed, getattr(routing, field))) for field in LISTS}
    refused = [name for field in LISTS for name in getattr(routing, field) if name not in kept[field]]
    variables, reserved = [], []
    small = [glob.lower() for glob in allowed]
    for name, value in routing.variables:
        called = f"{VARS}{name}"
        if re.fullmatch(OF_A_CHECK, name):
            variables.append((name, value))
        elif any(fnmatchcase(name.lower(), glob) for glob in RESERVED):
            reserved.append(called)
        elif any(fnmatchcase(called.lower(), glob) for glob in small):
            variables.append((name, value))
        else:
            refused.append(called)
    left = routing._replace(**kept, variables=tuple(variables))
    return left, Refused(tuple(refused), tuple(reserved))
