"""What the owner of a VM wants of it, kept in the domain's own metadata so that it moves with the VM.

Set with ``virsh metadata DOMAIN --uri urn:kvmwatch:1 --key kvmwatch --set '<watch expect="running"/>'``
(docs/thresholds.md has all of it). Read from virDomainGetMetadata, or from the domain's XML.
"""

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAMESPACE = "urn:kvmwatch:1"
EXPECTATIONS = ("running", "shutoff", "paused", "any")
_FLAGS = {"yes": True, "no": False}
_ATTRIBUTES = {"expect", "ignore"}


class OwnThreshold(NamedTuple):
    """A threshold of one domain: ``metric`` is CHECK.METRIC (``cpu.usage``), the rest plugin ranges."""

    metric: str
    warning: Optional[str]
    critical: Optional[str]


class Policy(NamedTuple):
    """``expect`` None: as autostart says. ``error``: why the metadata (or a part) could not be used."""

    expect: Optional[str] = None
    ignore: bool = False
    thresholds: tuple[OwnThreshold, ...] = ()
    error: Optional[str] = None


def parse(xml: str) -> Policy:
    """Read the element that virDomainGetMetadata gives (without its namespace)."""
    from xml.etree import ElementTree  # noqa: PLC0415 - few domains have metadata; the import costs 9 ms

    try:
        return from_element(ElementTree.fromstring(xml))
    except ElementTree.ParseError as error:
        return Policy(error=f"not XML: {error}")


def from_element(watch: "Element") -> Policy:
    """Read a ``<watch>`` element; what is wrong in it is said in ``error`` and the rest still counts."""
    errors = [f"unknown attribute {name}" for name in watch.attrib if name not in _ATTRIBUTES]
    if _local(watch) != "watch":
        errors.append(f"<{_local(watch)}> where <watch> belongs")
    expect = watch.get("expect")
    if expect is not None and expect not in EXPECTATIONS:
        errors.append(f"expect={expect!r} is none of {', '.join(EXPECTATIONS)}")
        expect = None
    ignore = watch.get("ignore", "no")
    if ignore not in _FLAGS:
        errors.append(f"ignore={ignore!r} is neither yes nor no")
    thresholds = []
    for child in watch:
        metric = child.get("metric")
        if _local(child) != "threshold" or not metric:
            errors.append(f'<{_local(child)}> where <threshold metric="CHECK.METRIC"> belongs')
        else:
            thresholds.append(OwnThreshold(metric, child.get("warning"), child.get("critical")))
    return Policy(expect, _FLAGS.get(ignore, False), tuple(thresholds), "; ".join(errors) or None)


def _local(element: "Element") -> str:
    return element.tag.rsplit("}", 1)[-1]
