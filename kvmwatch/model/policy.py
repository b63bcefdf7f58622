"""What the owner of a VM wants of it, kept in the domain's own metadata so that it moves with the VM.

Set with ``virsh metadata DOMAIN --uri urn:kvmwatch:1 --key kvmwatch --set '<watch expect="running"/>'``
(docs/thresholds.md has all of it). Read from virDomainGetMetadata, or from the domain's XML.
"""

from __future__ import annotations

import pyexpat  # what xml.parsers.expat is, without two packages around it: 0.4 ms
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Optional

from kvmwatch.model import routing
from kvmwatch.model.record import Record
from kvmwatch.model.routing import Routing
from kvmwatch.model.text import brief, quoted, readable

Attributes = Mapping[str, str]

NAMESPACE = "urn:kvmwatch:1"
EXPECTATIONS = ("running", "shutoff", "paused", "any")
LIMIT = 64 * 1024  # characters of the element; a threshold takes about 60
_NAMED = 10
_LONGEST = 200  # characters of one problem: it has in it what an owner wrote
#: how a flag is written
FLAGS = {"yes": True, "no": False}
#: of lists of names: attribute to field
_ROUTING = {name.replace("_", "-"): name for name in routing.LISTS}
_ATTRIBUTES = {"expect", "expect-host", "ignore", *_ROUTING}
#: the same of the elements within
_OF_CHILDREN: Mapping[str, Collection[str]] = {
    "threshold": ("metric", "warning", "critical"),
    "severity": ("condition", "is"),
    "var": ("name", "value"),
}


class OwnThreshold(Record):
    """A threshold of one domain: ``metric`` is CHECK.METRIC (``cpu.usage``), the rest plugin ranges."""

    metric: str
    warning: Optional[str]
    critical: Optional[str]


class Policy(Record):
    """``expect`` None: as autostart says. ``ignore`` None: nobody said. ``error``: what of it could not be used.

    ``hosts``: names of the hypervisors that it belongs on; none: on any. ``severities``: CHECK.CONDITION, and what
    that is to be (``agent.disconnected``, ``ok``).
    """

    expect: Optional[str] = None
    ignore: Optional[bool] = None
    thresholds: tuple[OwnThreshold, ...] = ()
    error: Optional[str] = None
    routing: Routing = Routing()
    hosts: tuple[str, ...] = ()
    severities: tuple[tuple[str, str], ...] = ()
    expect_from: str = "its metadata"  # where expect stands


def host_names(text: str) -> tuple[str, ...]:
    """The names of ``expect-host``, which blanks or commas separate. Raises ValueError where there is none."""
    names = tuple(text.replace(",", " ").split())
    if not names:
        raise ValueError("expect-host names no host")
    return names


def parse(xml: str) -> Policy:
    """Read the element that virDomainGetMetadata gives (without its namespace)."""
    if len(xml) > LIMIT:
        return too_large(len(xml))
    elements: list[tuple[str, Attributes]] = []
    texts: list[str] = []
    parser = pyexpat.ParserCreate()  # every run of every check may need it, and ElementTree costs 2 ms
    parser.StartElementHandler = lambda tag, attributes: elements.append((tag, attributes))
    parser.CharacterDataHandler = texts.append
    try:
        parser.Parse(xml, True)
    except pyexpat.ExpatError as error:
        return Policy(error=f"not XML: {error}")
    return read(elements[0][0], elements[0][1], elements[1:], "".join(texts))


def too_large(size: int) -> Policy:
    """What an element of so many characters is good for: nobody has that many wishes, and all checks wait."""
    return Policy(error=f"{size // 1024} KiB, and {LIMIT // 1024} are read")


def listed(problems: Sequence[str]) -> Optional[str]:
    """Name problems, each as briefly as can be read, and count the rest of many; None where there are none."""
    more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
    return "; ".join([*(readable(problem, _LONGEST) for problem in problems[:_NAMED]), *more]) or None


def read(tag: str, attributes: Attributes, children: Iterable[tuple[str, Attributes]], text: str = "") -> Policy:
    """Read a ``<watch>`` element; what is wrong in it is said in ``error`` and the rest still counts.

    ``children``: all elements within, and ``text`` what stands between them, which should be nothing.
    """
    errors = [f"unknown attribute {brief(name)}" for name in attributes if name not in _ATTRIBUTES]
    if tag != "watch":
        errors.append(f"<{brief(tag)}> where <watch> belongs")
    if text.strip():
        errors.append(f"text {quoted(text.strip())}, which says nothing: use attributes and elements")
    expect = attributes.get("expect")
    if expect is not None and expect not in EXPECTATIONS:
        errors.append(f"expect={quoted(expect)} is none of {', '.join(EXPECTATIONS)}")
        expect = None
    ignore = attributes.get("ignore")
    if ignore is not None and ignore not in FLAGS:
        errors.append(f"ignore={quoted(ignore)} is neither yes nor no")
    hosts = _tried(host_names, attributes, "expect-host", errors)
    lists = {
        field: _tried(routing.names, attributes, attribute, errors, f"{attribute}: ")
        for attribute, field in _ROUTING.items()
    }
    within = _within(children, errors)
    return Policy(
        expect,
        FLAGS.get(ignore or ""),
        tuple(within.thresholds),
        listed(errors),
        Routing(**lists, variables=tuple(within.variables)),
        hosts,
        tuple(within.severities),
    )


def _tried(
    names: Callable[[str], tuple[str, ...]], given: Attributes, attribute: str, errors: list[str], where: str = ""
) -> tuple[str, ...]:
    """The names in an attribute; none where it is not there, or with what is wrong in it."""
    try:
        return names(given[attribute]) if attribute in given else ()
    except ValueError as error:
        errors.append(f"{where}{error}")
        return ()


class _Within(Record):
    """What the elements within say."""

    thresholds: list[OwnThreshold]
    severities: list[tuple[str, str]]
    variables: list[tuple[str, str]]


def _within(children: Iterable[tuple[str, Attributes]], errors: list[str]) -> _Within:
    within = _Within([], [], [])
    for child, given in children:
        known = _OF_CHILDREN.get(child, given)
        errors += [f"<{child}>: unknown attribute {brief(name)}" for name in given if name not in known]
        metric, condition = given.get("metric"), given.get("condition")
        if child == "var":
            try:
                within.variables.append(routing.variable(given.get("name", ""), given.get("value", "")))
            except ValueError as error:
                errors.append(f"<var>: {error}")
        elif child == "severity" and condition:
            within.severities.append((condition, given.get("is", "")))
        elif child != "threshold" or not metric:
            errors.append(
                f'<{brief(child)}> where <threshold metric="CHECK.METRIC"> or '
                '<severity condition="CHECK.CONDITION"> belongs'
            )
        elif "warning" in given or "critical" in given:
            within.thresholds.append(OwnThreshold(metric, given.get("warning"), given.get("critical")))
        else:
            errors.append(f"<threshold> of {brief(metric)} without warning or critical")
    return within
