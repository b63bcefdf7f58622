"""The domain's own metadata."""

from __future__ import annotations

from kvmwatch.model import policy as policies
from kvmwatch.model.policy import OwnThreshold, Policy, listed, parse
from kvmwatch.reading import domain_xml


def test_all_of_it() -> None:
    policy = parse(
        '<watch expect="shutoff" ignore="yes">'
        '<threshold metric="cpu.usage" warning="80" critical="90"/>'
        '<threshold metric="disk.read_latency" critical="0.5"/></watch>'
    )
    assert policy == Policy(
        expect="shutoff",
        ignore=True,
        thresholds=(OwnThreshold("cpu.usage", "80", "90"), OwnThreshold("disk.read_latency", None, "0.5")),
    )


def test_the_same_from_the_domains_xml() -> None:
    xml = """<domain><metadata><kvmwatch:watch xmlns:kvmwatch="urn:kvmwatch:1" expect="running">
      <kvmwatch:threshold metric="cpu.usage" warning="80"/></kvmwatch:watch></metadata></domain>"""
    assert domain_xml.parse(xml).policy == Policy(
        expect="running", thresholds=(OwnThreshold("cpu.usage", "80", None),)
    )


def test_what_is_wrong_is_said_and_the_rest_counts() -> None:
    policy = parse('<watch expect="up" ignore="maybe" colour="red"><limit/><threshold warning="1"/></watch>')
    assert policy.expect is None
    assert not policy.ignore
    assert policy.error is not None
    for wrong in ("expect='up'", "ignore='maybe'", "colour", "<limit>", "<threshold>"):
        assert wrong in policy.error
    assert parse('<watch expect="up" ignore="yes"/>').ignore


def test_no_xml_is_an_error_and_no_exception() -> None:
    assert "not XML" in (parse("<watch").error or "")


def test_what_is_far_too_large_is_not_read_and_that_is_said() -> None:
    """Both ways to it judge the same: the element alone, and within the domain's XML."""
    few, many = 100, 50_000
    for count in (few, many):
        inner = '<threshold metric="disk.read_iops" warning="1"/>' * count
        alone = parse(f"<watch>{inner}</watch>")
        namespace = f' xmlns="{policies.NAMESPACE}"'
        within = domain_xml.parse(
            f"<domain><metadata><watch{namespace}>{inner}</watch></metadata></domain>"
        ).policy
        assert (len(alone.thresholds), len(within.thresholds)) == ((few, few) if count == few else (0, 0))
        for policy in (alone, within):
            assert (policy.error is None) is (count == few)
            assert count == few or " KiB, and 64 are read" in (policy.error or "")
    large = "<domain><title>" + "x" * 2 * policies.LIMIT + "</title><metadata>"
    assert domain_xml.parse(f"{large}<watch{namespace} expect='running'/></metadata></domain>").policy == Policy(
        expect="running"
    ), "it is not the rest of the XML that counts"


def test_many_problems_are_counted() -> None:
    assert listed([]) is None
    assert listed(["a", "b"]) == "a; b"
    said = listed([str(number) for number in range(1000)])
    assert said is not None
    assert said.startswith("0; 1; ")
    assert said.endswith("; and 990 more")
