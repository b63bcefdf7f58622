"""What the owner of a VM wants of it, kept in the domain's own metadata so that it moves with the VM.

Set with ``virsh metadata DOMAIN --uri urn:kvmwatch:1 --key kvmwatch --set '<watch expect="running"/>'``
(docs/thresholds.md has all of it). Read from virDomainGetMetadata, or from the domain's XML.
"""

from __future__ import annotations

import pyexpat  # what xml.parsers.expat is, without two packages around it: 0.4 ms
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from kvmwatch.model import routing
from kvmwatch.model.record import Record
from kvmwatch.model.routing import Routing

Attributes = Mapping[str, str]

NAMESPACE = "urn:kvmwatch:1"
EXPECTATIONS = ("running", "shutoff", "paused", "any")
LIMIT = 64 * 1024  # characters of the element; a threshold takes about 60
_NAMED = 10
_FLAGS = {"yes": True, "no": False}
#: of lists of names: attribute to field
_ROUTING = {name.replace("_", "-"): name for name in routing.LISTS}
_ATTRIBUTES = {"expect", "expect-host", "ignore", *_ROUTING}


class OwnThreshold(Record):
    """A threshold of one domain: ``metric`` is CHECK.METRIC (``cpu.usage``), the rest plugin ranges."""

    metric: str
    warning: Optional[str]
    critical: Optional[str]


class Policy(Record):
    """``expect`` None: as autostart says. ``error``: why the metadata (or a part) could not be used.

    ``hosts``: names of the hypervisors that it belongs on; none: on any. ``severities``: CHECK.CONDITION, and what
    that is to be (``agent.disconnected``, ``ok``).
    """

    expect: Optional[str] = None
    ignore: bool = False
    thresholds: tuple[OwnThreshold, ...] = ()
    error: Optional[str] = None
    routing: Routing = Routing()
    hosts: tuple[str, ...] = ()
    severities: tuple[tuple[str, str], ...] = ()


def host_names(text: str) -> tuple[str, ...]:
    """The names of ``expect-host``, which blanks or commas separate."""
    return tuple(text.replace(",", " ").split())


def parse(xml: str) -> Policy:
    """Read the element that virDomainGetMetadata gives (without its namespace)."""
    if len(xml) > LIMIT:
        return too_large(len(xml))
    elements: list[tuple[str, Attributes]] = []
    parser = pyexpat.ParserCreate()  # every run of every check may need it, and ElementTree costs 2 ms
    parser.StartElementHandler = lambda tag, attributes: elements.append((tag, attributes))
    try:
        parser.Parse(xml, True)
    except pyexpat.ExpatError as error:
        return Policy(error=f"not XML: {error}")
    return read(elements[0][0], elements[0][1], elements[1:])


def too_large(size: int) -> Policy:
    """What an element of so many characters is good for: nobody has that many wishes, and all checks wait."""
    return Policy(error=f"{size // 1024} KiB, and {LIMIT // 1024} are read")


def listed(problems: Sequence[str]) -> Optional[str]:
    """Name problems, and count the rest of many; None where there are none."""
    more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
    return "; ".join([*problems[:_NAMED], *more]) or None


def read(tag: str, attributes: Attributes, children: Iterable[tuple[str, Attributes]]) -> Policy:
    """Read a ``<watch>`` element; what is wrong in it is said in ``error`` and the rest still counts."""
    errors = [f"unknown attribute {name}" for name in attributes if name not in _ATTRIBUTES]
    if tag != "watch":
        errors.append(f"<{tag}> where <watch> belongs")
    expect = attributes.get("expect")
    if expect is not None and expect not in EXPECTATIONS:
        errors.append(f"expect={expect!r} is none of {', '.join(EXPECTATIONS)}")
        expect = None
    ignore = attributes.get("ignore", "no")
    if ignore not in _FLAGS:
        errors.append(f"ignore={ignore!r} is neither yes nor no")
    hosts = host_names(attributes.get("expect-host", ""))
    if "expect-host" in attributes and not hosts:
        errors.append("expect-host names no host")
    lists = {}
    for attribute in _ROUTING.keys() & attributes.keys():
        try:
            lists[_ROUTING[attribute]] = routing.names(attributes[attribute])
        except ValueError as error:
            errors.append(f"{attribute}: {error}")
    thresholds, severities, variables = [], [], []
    for child, given in children:
        metric, condition = given.get("metric"), given.get("condition")
        if child == "var":
            try:
                variables.append(routing.variable(given.get("name", ""), given.get("value", "")))
            except ValueError as error:
                errors.append(f"<var>: {error}")
        elif child == "severity" and condition:
            severities.append((condition, given.get("is", "")))
        elif child != "threshold" or not metric:
            errors.append(
                f'<{child}> where <threshold metric="CHECK.METRIC"> or <severity condition="CHECK.CONDITION"> '
                "belongs"
            )
        else:
            thresholds.append(OwnThreshold(metric, given.get("warning"), given.get("critical")))
    routed = Routing(**lists, variables=tuple(variables))
    return Policy(
        expect, _FLAGS.get(ignore, False), tuple(thresholds), listed(errors), routed, hosts, tuple(severities)
    )
