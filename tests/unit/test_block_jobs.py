"""A copy or commit of a disk that does not end, as far as the runs saw it."""

from __future__ import annotations

import pytest
from check_kvm.disk import CHECK
from check_kvm.frame import output, plugin
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model import lasting, states
from kvmwatch.model.rates import Samples
from kvmwatch.model.snapshot import Disk, Domain, Snapshot
from kvmwatch.reading import domain_xml

NOW = 1_000_000.0
HOUR = 3600.0
UNTOLD = "untold"
XML = "<domain><devices><disk type='file'><source file='/a'/>{}<target dev='vda'/></disk></devices></domain>"


@pytest.mark.parametrize(
    ("xml", "job"),
    [
        ("", None),
        ("<mirror type='file' job='copy' ready='yes'><source file='/b'/></mirror>", "copy"),
        ("<mirror type='file' job='active-commit'/>", "active-commit"),
        ("<mirror file='/b'/>", "copy"),
    ],
)
def test_it_is_in_the_domains_xml(xml: str, job: str | None) -> None:
    (disk,) = domain_xml.parse(XML.format(xml)).disks
    assert disk.mirror == job


def runs(*looks: tuple[float, str | None, int]) -> Snapshot:
    """The last of looks at these times, at a job, in this run of the domain; with what each left for the next.

    UNTOLD is one at a domain whose XML could not be read.
    """
    kept: Samples = {}
    for at, job, run in looks:
        disks = (Disk("vda", mirror=None if job == UNTOLD else job), Disk("vdb"))
        vcpus = None if job == UNTOLD else (0,)
        domain = Domain("uuid", "db1", run, states.RUNNING, 1, at, disks=disks, vcpu_numbers=vcpus)
        seen = lasting.with_since(Snapshot("qemu:///system", at, 0, domains=(domain,)), kept)
        kept = lasting.samples(seen, kept)
    return seen


def judged(snapshot: Snapshot) -> tuple[str, int]:
    thresholds = plugin.checked_thresholds(CHECK, SiteConfig(), ("block_job=10h",))
    verdict = plugin.judged(CHECK, snapshot._replace(unrated=None), thresholds)
    (vda,) = (subject for subject in verdict.subjects if subject.name == "db1 vda")
    job = [(state.code, text) for state, text in vda.parts if "block job" in text]
    assert "block_job" not in output.render("disk", verdict)[0].partition("\n")[0].partition(" | ")[2]
    return (job[0][1], job[0][0]) if job else ("", 0)


def test_how_long_it_has_been_seen() -> None:
    long = [(NOW + hours * HOUR, "copy", 7) for hours in range(0, 12, 5)]
    assert judged(runs(*long[:1])) == ("block job (copy), first seen now", 0)
    assert judged(runs(*long[:2])) == ("block job (copy) for 5 h since first seen", 0)
    assert judged(runs(*long)) == ("block job (copy) for 10 h since first seen", 0)
    late = (NOW + 11 * HOUR, "copy", 7)
    assert judged(runs(*long, late)) == ("block job (copy) for 11 h since first seen (over 10 h)", 1)
    assert judged(runs(*long, (NOW + 11 * HOUR, "copy", 8)))[0].endswith("first seen now"), "it was restarted"
    assert judged(runs(*long, (NOW + 11 * HOUR, None, 7))) == ("", 0), "it has ended"
    assert judged(runs(*long, (NOW + 10.5 * HOUR, None, 7), late))[0].endswith("first seen now"), "another one"
    assert judged(runs(*long, (NOW + 40 * HOUR, "copy", 7)))[0].endswith("first seen now"), (
        "nobody looked for long"
    )


def test_a_look_without_the_xml_ends_nothing() -> None:
    untold = [(NOW + hours * HOUR, UNTOLD, 7) for hours in (5, 6)]
    late = (NOW + 11 * HOUR, "copy", 7)
    assert judged(runs((NOW, "copy", 7), *untold, late)) == (
        "block job (copy) for 11 h since first seen (over 10 h)",
        1,
    )
    assert judged(runs((NOW, None, 7), *untold, late))[0].endswith("first seen now")
    assert judged(runs((NOW, "copy", 7), *untold, (NOW + 7 * HOUR, None, 7), late))[0].endswith("first seen now")


def test_one_that_cannot_be_remembered_is_not_ok() -> None:
    unkept = lasting.unkept(runs((NOW, "copy", 7)), "cannot keep counters in /nowhere")
    verdict = plugin.judged(CHECK, unkept, plugin.checked_thresholds(CHECK, SiteConfig()))
    said = {
        subject.name: [text for state, text in subject.parts if state.code == 3] for subject in verdict.subjects
    }
    why = "how long its block job lasts cannot be told: cannot keep counters in /nowhere"
    assert why in said["db1 vda"]
    assert why not in said["db1 vdb"]
