"""The domain's own metadata."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest
from testdriver import node

from kvmwatch.model import policy as policies
from kvmwatch.model.policy import OwnThreshold, Policy, listed, parse
from kvmwatch.reading import descriptions, domain_xml


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


OURS, OTHERS = f"xmlns:k='{policies.NAMESPACE}'", "xmlns:o='urn:other'"


@pytest.mark.parametrize(
    "written",
    [
        f"<k:watch {OURS} k:expect='shutoff'/>",
        f"<k:wathc {OURS} expect='shutoff' ignore='yes'/>",
        f"<o:x {OTHERS}/><k:other {OURS}/><k:watch {OURS} expect='shutoff'/>",
        f"<k:watch {OURS} expect='shutoff'/><k:watch {OURS} expect='running'/>",
        f"<o:x {OTHERS}><k:watch {OURS} expect='shutoff'/></o:x>",
        f"<k:watch {OURS}><k:threshold k:metric='cpu.usage' warning='5'/><severity condition='x' is='y'/></k:watch>",
        f"<k:watch {OURS}><![CDATA[ text ]]><!-- said --></k:watch>",
    ],
)
def test_whatever_is_written_both_ways_to_it_read_the_same(written: str, tmp_path: Path) -> None:
    """Or a VM would be left alone by some checks, and a typing error be said by these alone."""
    file = tmp_path / "node.xml"
    file.write_text(node(["a"]).replace("<memory", f"<metadata>{written}</metadata><memory"))
    domain = libvirt.openReadOnly(f"test://{file}").lookupByName("a")
    assert descriptions._metadata(domain).policy == domain_xml.parse(domain.XMLDesc(0)).policy


def test_what_is_wrong_is_said_and_the_rest_counts() -> None:
    policy = parse('<watch expect="up" ignore="maybe" colour="red"><limit/><threshold warning="1"/></watch>')
    assert policy.expect is None
    assert not policy.ignore
    assert policy.error is not None
    for wrong in ("expect='up'", "ignore='maybe'", "colour", "<limit>", "<threshold>"):
        assert wrong in policy.error
    assert parse('<watch expect="up" ignore="yes"/>').ignore


@pytest.mark.parametrize(
    ("inner", "wrong"),
    [
        ('<threshold metric="cpu.usage" warnin="5" crit="6"/>', "<threshold>: unknown attribute warnin"),
        ('<threshold metric="cpu.usage" warnin="5" crit="6"/>', "<threshold>: unknown attribute crit"),
        ('<threshold metric="cpu.usage" warning="5" crit="6"/>', "<threshold>: unknown attribute crit"),
        ('<threshold metric="cpu.usage"/>', "<threshold> of cpu.usage without warning or critical"),
        ('<severity condition="state.held" is="ok" si="ok"/>', "<severity>: unknown attribute si"),
        ('<var name="TEAM" value="db" val="x"/>', "<var>: unknown attribute val"),
        ("expect=running", "text 'expect=running', which says nothing"),
        ('<threshold metric="cpu.usage" warning="5">6</threshold>', "text '6', which says nothing"),
        ("<limits><threshold metric='cpu.usage' warning='5'/></limits>", "<limits> where <threshold"),
        ("<severity/>", "<severity> where <threshold"),
    ],
)
def test_a_typing_error_anywhere_in_it_is_said(inner: str, wrong: str) -> None:
    """Both ways to it read the same."""
    alone = parse(f"<watch expect='any'>{inner}</watch>")
    within = domain_xml.parse(
        f"<domain><metadata><k:watch xmlns:k='{policies.NAMESPACE}' expect='any'>{inner}</k:watch></metadata></domain>"
    ).policy
    assert wrong in (alone.error or "")
    assert within == alone


def test_what_is_well_is_no_error() -> None:
    """Comments and blanks among it."""
    assert (
        parse(
            """<watch expect="running" expect-host="kvm1" contact-groups="a,b">
            <!-- of the database's team -->
            <threshold metric="cpu.usage" warning=""/> <severity condition="state.held" is="ok"/>
            <var name="TEAM" value="db"/>
            </watch>"""
        ).error
        is None
    )


LONG = "A" * 60_000


@pytest.mark.parametrize(
    "element",
    [
        f"<watch expect='{LONG}'/>",
        f"<watch ignore='{LONG}'/>",
        f"<watch {LONG}='1'/>",
        f"<watch contact-groups='{LONG}='/>",
        f"<{LONG}/>",
        f"<watch>{LONG}</watch>",
        f"<watch><{LONG}/></watch>",
        f"<watch><threshold metric='{LONG}'/></watch>",
        f"<watch><threshold metric='cpu.usage' {LONG}='1'/></watch>",
        f"<watch><var name='{LONG}!' value='1'/></watch>",
        f"<watch><var name='a' value='{LONG}'/></watch>",
    ],
)
def test_an_error_quotes_no_more_than_tells_it(element: str) -> None:
    assert 0 < len(parse(element).error or "") <= 250


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
