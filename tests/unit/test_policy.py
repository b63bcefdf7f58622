"""The domain's own metadata."""

from __future__ import annotations

from kvmwatch.model.policy import OwnThreshold, Policy, parse
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
