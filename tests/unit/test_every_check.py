"""What every check owes a VM's owner and its user, shown of each check there is.

The VMs of the first tests have every figure that a check can judge, so a check that reads its thresholds past the
frame, or goes through the domains by itself, is named here with its file.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from check_kvm.frame import output, plugin, sampling, siteconfig
from check_kvm.frame.judging import all_checks
from check_kvm.frame.perfdata import Measured
from check_kvm.frame.plugin import Check
from check_kvm.frame.plugin_api import Unknown
from check_kvm.frame.siteconfig import SiteConfig
from check_kvm.frame.verdict import Subject, Verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testdriver import node

from kvmwatch.model.errors import UsageError
from kvmwatch.model.groups import Group
from kvmwatch.model.metrics import (
    DiskStats,
    DomainStats,
    FilesystemStats,
    InterfaceStats,
    PoolStats,
    ProcessStats,
    VcpuStats,
)
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.snapshot import (
    Disk,
    Domain,
    Filesystem,
    Interface,
    Network,
    Pool,
    Process,
    Snapshot,
    Vcpu,
)

ROOT = Path(__file__).parents[2]
ALWAYS, NEVER = "@~:", ""  # ranges: alert whatever the value is, and not at all
CHECKS = all_checks()
OF_VMS = tuple(check for check in CHECKS if check.selects == "domain" and check.name != "host")
#: that judge no figure of a VM: check_kvm_state counts them
WITHOUT_FIGURES = ("state",)
MEASURING = tuple(check for check in OF_VMS if check.name not in WITHOUT_FIGURES)


def named(check: Check) -> str:
    """The check and its file, for whoever forgot something."""
    return f"check_kvm_{check.name} ({Path(inspect.getfile(check.judge)).relative_to(ROOT)})"


each_of_vms = pytest.mark.parametrize("check", OF_VMS, ids=lambda check: check.name)
each_measuring = pytest.mark.parametrize("check", MEASURING, ids=lambda check: check.name)


def full(record: type[Any], value: float = 50.0) -> Any:
    """A record of figures of which every one is known."""
    return record(*[value] * len(record._fields))


def vm(name: str, policy: Policy = Policy(), **more: Any) -> Domain:
    """A running VM with two of each part, and all figures of them."""
    return Domain(
        uuid=f"uuid-{name}",
        name=name,
        id=1,
        state=1,
        reason=1,
        time=1000.0,
        autostart=True,
        has_snapshots=True,
        agent_connected=True,
        policy=policy,
        stats=full(DomainStats),
        rates=full(DomainStats),
        vcpus=tuple(Vcpu(n, full(VcpuStats), full(VcpuStats)) for n in range(2)),
        disks=tuple(
            Disk(disk, device="disk", stats=full(DiskStats), rates=full(DiskStats)) for disk in ("vda", "vdb")
        ),
        interfaces=tuple(
            Interface(
                f"52:54:00:00:00:0{n}", f"tap{n}", "bridge", stats=full(InterfaceStats), rates=full(InterfaceStats)
            )
            for n in range(2)
        ),
        filesystems=tuple(Filesystem(path, "ext4", full(FilesystemStats)) for path in ("/", "/srv")),
    )._replace(**more)


def hypervisor(*domains: Domain) -> Snapshot:
    processes = (
        Process(
            4000 + number,
            1,
            domain.uuid,
            domain.name,
            1000.0,
            full(ProcessStats),
            full(ProcessStats),
        )
        for number, domain in enumerate(domains)
    )
    return Snapshot("qemu:///system", 2000.0, 0.01, domains=domains, processes=tuple(processes))


class Judged(NamedTuple):
    verdict: Verdict
    text: str
    code: int

    def of(self, name: str, metric: str) -> list[Measured]:
        """What was measured of a VM and its parts."""
        return [
            value
            for value in self.verdict.perfdata
            if value.spec.name == metric and re.fullmatch(rf"{name}(\..*)?", value.label)
        ]


def judged(
    check: Check,
    *domains: Domain,
    config: SiteConfig = SiteConfig(),
    warning: Sequence[str] = (),
    critical: Sequence[str] = (),
) -> Judged:
    thresholds = plugin.checked_thresholds(check, config, warning, critical)
    verdict = plugin.judged(check, config.applied(hypervisor(*domains)), thresholds)
    text, code = output.render(check.name, verdict, output.Style(verbose=1, limit=1_000_000))
    return Judged(verdict, text, code)


def config_of(folder: Path, text: str) -> SiteConfig:
    file = folder / "site.ini"
    file.write_text(text, encoding="utf-8")
    return siteconfig.load(str(file))


@each_of_vms
@pytest.mark.parametrize("state", [1, 3, 5, 6])
@pytest.mark.parametrize("by", ["metadata", "file"])
def test_a_vm_to_be_left_alone_is_never_named(check: Check, state: int, by: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, "[domain left*]\nignore = yes\n") if by == "file" else SiteConfig()
    everything = [f"{metric.name}={ALWAYS}" for metric in check.metrics]
    policy = Policy(expect="running", ignore=by == "metadata" or None)
    ignored = vm("left-alone", policy, state=state, id=None if state == 5 else 1)
    found = judged(check, ignored, vm("watched"), config=config, critical=everything)
    assert "left-alone" not in found.text, f"{named(check)} names a VM that is to be ignored"
    assert "watched" in found.text, f"{named(check)} does not name the other one"


@each_measuring
def test_every_metric_has_a_figure_of_the_vm(check: Check) -> None:
    """Else the tests below would show nothing of it."""
    found = judged(check, vm("web1"))
    missing = [metric.name for metric in check.metrics if not found.of("web1", metric.name)]
    assert not missing, f"{named(check)} measures no {', '.join(missing)} of a VM with all figures (see vm() here)"


EVERY_METRIC = [
    pytest.param(check, metric.name, id=f"{check.name}.{metric.name}")
    for check in MEASURING
    for metric in check.metrics
]


@pytest.mark.parametrize(("check", "metric"), EVERY_METRIC)
@pytest.mark.parametrize("level", ["warning", "critical"])
def test_a_vms_own_threshold_is_obeyed_for_it_alone(check: Check, metric: str, level: str) -> None:
    """By its parts as well."""
    own = OwnThreshold(f"{check.name}.{metric}", None, None)._replace(**{level: ALWAYS})
    found = judged(check, vm("own", Policy(thresholds=(own,))), vm("other"))
    before = judged(check, vm("own"), vm("other"))
    where = f"{named(check)} does not obey {own.metric} of a VM's metadata"
    for value in found.of("own", metric):
        assert str(getattr(value.threshold, level)) == ALWAYS, f"{where}: {value.performance}"
    assert [str(value.performance) for value in found.of("other", metric)] == [
        str(value.performance) for value in before.of("other", metric)
    ], f"{named(check)} takes a VM's own {own.metric} for another one"
    assert found.code >= (1 if level == "warning" else 2), where


@each_of_vms
def test_a_vm_alone_is_drawn_with_its_own_thresholds(check: Check) -> None:
    """In the graph of its own service; state had those of all VMs there."""
    names = [metric.name for metric in check.metrics if metric.own]
    limits = tuple(OwnThreshold(f"{check.name}.{name}", "~:7", "~:8") for name in names)
    snapshot = hypervisor(vm("web1", Policy(thresholds=limits)))
    verdict = plugin.judged(check, snapshot, plugin.checked_thresholds(check, SiteConfig()), alone=True)
    drawn = [value for value in verdict.perfdata if value.spec.own]
    assert drawn, named(check)
    for value in drawn:
        assert (str(value.threshold.warning), str(value.threshold.critical)) == ("~:7", "~:8"), value.spec.name


@pytest.mark.parametrize(("check", "metric"), EVERY_METRIC)
def test_what_is_nearer_to_the_vm_wins(check: Check, metric: str, tmp_path: Path) -> None:
    """[defaults] < -w and -c < [domain PATTERN] < metadata: each lets a threshold of the one before never alert."""
    name = f"{check.name}.{metric}"
    own = Policy(thresholds=(OwnThreshold(name, "~:1", "~:2"),))
    general = f"[defaults]\n{name}.warning = ~:7\n{name}.critical = ~:8\n"
    of_file = f"[domain *file]\n{name}.warning = ~:3\n{name}.critical = ~:4\n"
    given: dict[str, Any] = {"warning": [f"{metric}=~:5"], "critical": [f"{metric}=~:6"]}
    found = judged(
        check,
        vm("own-file", own),
        vm("by-file"),
        vm("plain"),
        config=config_of(tmp_path, general + of_file),
        **given,
    )
    for vms, limits in (("own-file", ("~:1", "~:2")), ("by-file", ("~:3", "~:4")), ("plain", ("~:5", "~:6"))):
        seen = {(str(v.threshold.warning), str(v.threshold.critical)) for v in found.of(vms, metric)}
        assert seen == {limits}, f"{named(check)}: {name} of {vms}"
    weakest = judged(check, vm("plain"), config=config_of(tmp_path, general))
    assert {str(value.threshold.warning) for value in weakest.of("plain", metric)} == {"~:7"}, named(check)


@pytest.mark.parametrize(("check", "metric"), EVERY_METRIC)
@pytest.mark.parametrize("by", ["-w", "-c", "[defaults]", "[domain web1]", "metadata"])
def test_what_somebody_wants_judged_and_nobody_has_measured_is_unknown(
    check: Check, metric: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says nothing as long as nobody asks for it."""
    judge = Subject.judge

    def without_it(self: Subject, name: str, value: float | None, *given: Any, **more: Any) -> None:
        judge(self, name, None if name == metric else value, *given, **more)

    monkeypatch.setattr(Subject, "judge", without_it)
    name, limits = f"{check.name}.{metric}", "~:999999999999"
    own = Policy(thresholds=(OwnThreshold(name, limits, None),) if by == "metadata" else ())
    section = f"{by}\n{name}.critical = {limits}\n" if by.startswith("[") else ""
    options: dict[str, Any] = {
        "-w": {"warning": [f"{metric}={limits}"]},
        "-c": {"critical": [f"{metric}={limits}"]},
    }
    found = judged(check, vm("web1", own), config=config_of(tmp_path, section), **options.get(by, {}))
    assert any(state is Unknown for subject in found.verdict.subjects for state, _ in subject.parts), (
        f"{named(check)}: nobody knows {metric}, for which there is a threshold: {found.text}"
    )
    for policy in (Policy(), Policy(thresholds=(OwnThreshold(name, "", ""),))):
        found = judged(check, vm("web1", policy))
        assert not any(state is Unknown for subject in found.verdict.subjects for state, _ in subject.parts), (
            f"{named(check)}: {metric} of which nobody wants to know: {found.text}"
        )


@each_of_vms
def test_a_misspelt_metric_of_its_own_is_said(check: Check) -> None:
    wrong = OwnThreshold(f"{check.name}.nonsense", "1", None)
    found = judged(check, vm("web1", Policy(thresholds=(wrong,))))
    assert f"{check.name}.nonsense" in found.text, f"{named(check)} does not say it"
    assert found.code, f"{named(check)} is OK about it"


@pytest.mark.parametrize(
    "metric", ["cpuu.usage", "cpu.usages", "disk", "frame.x", *(f"{c.name}.no" for c in CHECKS)]
)
def test_one_check_says_what_names_nothing(metric: str, tmp_path: Path) -> None:
    """Whatever check it was meant for, and that is perhaps not in use."""
    domain = vm("web1", Policy(thresholds=(OwnThreshold(metric, "1", None),)))
    (state,) = (check for check in CHECKS if check.name == "state")
    found = judged(state, domain, vm("web2"))
    assert found.code == 1
    assert re.search(rf"web1 has unusable kvmwatch metadata: .*{re.escape(metric)}", found.text), found.text
    elsewhere = [c for c in MEASURING if c.name != metric.split(".", maxsplit=1)[0]]
    assert not any("unusable" in judged(check, domain).text for check in elsewhere), "each check repeats it"
    for section in ("defaults", "domain web1"):
        with pytest.raises(UsageError) as error:
            config_of(tmp_path, f"[{section}]\n{metric}.warning = 1\n")
        said = str(error.value)
        assert f"{tmp_path}/site.ini: [{section}]: " in said
        assert metric == "disk" or re.search(r"unknown (check|check of VMs|metric) '\w+'; there are \w+", said), (
            said
        )


@pytest.mark.parametrize("name", ["pool.usage", "host.cpu", "net.leases"])
def test_what_no_vm_can_have_of_its_own_is_said(name: str, tmp_path: Path) -> None:
    """It would never count: those checks judge no VMs. For all VMs, a file may have it."""
    (state,) = (check for check in CHECKS if check.name == "state")
    found = judged(state, vm("web1", Policy(thresholds=(OwnThreshold(name, "1", None),))))
    said = f"{name}: no check of VMs {name.partition('.')[0]} (there are agent, cpu, disk, "
    assert (found.code, said in found.text) == (1, True), found.text
    with pytest.raises(UsageError, match="unknown check of VMs"):
        config_of(tmp_path, f"[domain web1]\n{name}.warning = 1\n")
    assert config_of(tmp_path, f"[defaults]\n{name}.warning = 1\n").thresholds


@pytest.mark.parametrize("name", ["state.running", "state.paused", "state.shutoff"])
def test_nor_a_threshold_on_what_counts_vms(name: str, tmp_path: Path) -> None:
    """The owner of a VM who wants to be told when it is paused would wait for ever."""
    (state,) = (check for check in CHECKS if check.name == "state")
    found = judged(state, vm("web1", Policy(thresholds=(OwnThreshold(name, "", "0"),))))
    assert (found.code, f"no metric {name} (there are brief, job, uptime)" in found.text) == (1, True), found.text
    with pytest.raises(UsageError, match="unknown metric of a VM"):
        config_of(tmp_path, f"[domain web1]\n{name}.warning = 1\n")
    assert config_of(tmp_path, f"[defaults]\n{name}.warning = 1\n").thresholds


def test_nor_a_severity_of_what_is_no_vms(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown condition of a VM 'stray'"):
        config_of(tmp_path, "[domain web1]\nprocess.stray.severity = ok\n")
    assert config_of(tmp_path, "[defaults]\nprocess.stray.severity = ok\n").severities


@pytest.mark.parametrize("name", ["pool.inactive", "net.bridge"])
def test_nor_a_severity_of_those(name: str, tmp_path: Path) -> None:
    (state,) = (check for check in CHECKS if check.name == "state")
    found = judged(state, vm("web1", Policy(severities=((name, "ok"),))))
    assert (found.code, f"{name}: no check of VMs " in found.text) == (1, True), found.text
    with pytest.raises(UsageError, match="unknown check of VMs"):
        config_of(tmp_path, f"[domain web1]\n{name}.severity = ok\n")


LONG = "A" * 60_000
HOSTILE = {
    "what is wrong in the metadata": Policy(error=f"expect={LONG}"),
    "hosts": Policy(hosts=(LONG, LONG)),
    "a check": Policy(thresholds=(OwnThreshold(LONG, "1", None),)),
    "a metric": Policy(thresholds=(OwnThreshold(f"CHECK.{LONG}", "1", None),)),
    "a range": Policy(thresholds=(OwnThreshold("CHECK.METRIC", LONG, None),)),
    "a condition": Policy(severities=((f"CHECK.{LONG}", "ok"),)),
    "a severity": Policy(severities=(("CHECK.CONDITION", LONG),)),
    "numbers": Policy(thresholds=(OwnThreshold("CHECK.METRIC", "@0:" + "9" * 60_000, "0" * 60_000),)),
}


@each_of_vms
@pytest.mark.parametrize("what", HOSTILE)
def test_nobody_can_write_so_much_that_others_are_left_out(check: Check, what: str) -> None:
    names = {"METRIC": check.metrics[0].name, "CONDITION": check.conditions[0].name if check.conditions else "x"}
    policy = HOSTILE[what]

    def of_it(name: str) -> str:
        return re.sub("METRIC|CONDITION", lambda found: names[found[0]], name.replace("CHECK", check.name))

    policy = policy._replace(
        thresholds=tuple(own._replace(metric=of_it(own.metric)) for own in policy.thresholds),
        severities=tuple((of_it(name), word) for name, word in policy.severities),
    )
    owners = [vm(f"a-owner{number}", policy) for number in range(3)]
    snapshot = hypervisor(*owners, vm("b-prod"), vm("c-prod"))._replace(hostname="kvm1")
    given = [f"{metric.name}={ALWAYS}" for metric in check.metrics]
    verdict = plugin.judged(check, snapshot, plugin.checked_thresholds(check, SiteConfig(), (), given))
    if check.name == "state":
        for subject in verdict.subjects:
            subject.say(Unknown, "so that it is told")
    text, _ = output.render(check.name, verdict, output.Style("none"))
    for name in ("a-owner0", "b-prod", "c-prod"):
        assert re.search(rf"(?m)^\[\w+\] {name}\b", text), f"{named(check)}: {name} is left out: {text[:300]}"


@pytest.mark.parametrize("section", ["defaults", "domain *"])
def test_a_bad_range_in_the_file_is_said(section: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(f"[{section}]: cpu.usage.warning: bad range 'x'")):
        config_of(tmp_path, f"[{section}]\ncpu.usage.warning = x\n")


def broken(check: Check, name: str) -> Any:
    """A thing that a check selects, of which it cannot read what it is there for."""
    if check.selects == "pool":
        return Pool(f"uuid-{name}", name, "dir", 2, True, True, True, stats=cast("Any", None))
    if check.selects == "network":
        return Network(f"uuid-{name}", name, None, True, True, True, stats=cast("Any", None))
    return vm(name, Policy(thresholds=cast("Any", (None,))))


@pytest.mark.parametrize("check", [c for c in CHECKS if c.name != "host"], ids=lambda check: check.name)
def test_a_mistake_of_ours_with_one_is_its_own(check: Check) -> None:
    well = {
        "pool": Pool("uuid-well", "well", "dir", 2, True, True, True, stats=full(PoolStats)),
        "network": Network("uuid-well", "well", None, True, True, True),
    }.get(check.selects) or vm("well")
    snapshot = hypervisor(*(() if check.selects != "domain" else (cast("Any", well),)))
    things = (broken(check, "broken1"), well, broken(check, "broken2"))
    found = plugin.judged(
        check, snapshot._replace(**{f"{check.selects}s": things}), plugin.checked_thresholds(check, SiteConfig())
    )
    told = {subject.name: (subject.state.code, subject.line()) for subject in found.subjects if subject.parts}
    for name in ("broken1", "broken2"):
        assert told[name][0] == 3, f"{named(check)}: {told}"
        assert "internal error, please report it: " in told[name][1]
    of_the_other = [code for name, (code, _) in told.items() if name.startswith("well")]
    assert of_the_other, f"{named(check)} does not judge the others"
    assert 3 not in of_the_other, f"{named(check)} spoils the others: {told}"


#: of any length, also as numbers
ANY_RANGE = st.one_of(
    st.text(max_size=12),
    st.from_regex(r"@?(~:|[0-9]{0,3}:)?[0-9]{0,400}(\.[0-9]{0,30})?[KMGTPdhk]?", fullmatch=True),
)


@given(data=st.data(), warning=ANY_RANGE, critical=ANY_RANGE)
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_no_text_of_a_threshold_ends_a_check(data: st.DataObject, warning: str, critical: str) -> None:
    """Of the owner of one VM, and of who runs the check."""
    check, metric = data.draw(st.sampled_from([(check, m.name) for check in MEASURING for m in check.metrics]))
    own = OwnThreshold(f"{check.name}.{metric}", warning, critical)
    found = judged(check, vm("own", Policy(thresholds=(own,))), vm("other"))
    assert "internal error" not in found.text
    of_others, before = (
        [subject.line() for subject in verdict.sorted_subjects() if subject.name.startswith("other")]
        for verdict in (found.verdict, judged(check, vm("own"), vm("other")).verdict)
    )
    assert sorted(of_others) == sorted(before), named(check)
    with contextlib.suppress(UsageError):
        judged(check, vm("own"), warning=[f"{metric}={warning}"], critical=[f"{metric}={critical}"])


ON_THE_TEST_DRIVER = [check for check in CHECKS if Group.PROCESSES not in check.groups]
SELECTING = [check for check in ON_THE_TEST_DRIVER if check.name != "host"]  # which names no VM
NAMES = ("alpha1", "alpha2", "beta1")
POOLS = (
    """<pool type='dir'><name>{name}</name><uuid>{uuid}</uuid><target><path>/pools/{name}</path></target></pool>"""
)
NETWORKS = "<network><name>{name}</name><uuid>{uuid}</uuid></network>"
UUIDS = {
    "pool": "33333333-0000-4000-8000-{:012d}".format,
    "network": "22222222-0000-4000-8000-{:012d}".format,
}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("selection") / "node.xml"
    things = "".join(
        xml.format(name=name, uuid=UUIDS[kind](number))
        for number, name in enumerate(NAMES)
        for kind, xml in (("pool", POOLS), ("network", NETWORKS))
    )
    file.write_text(node(NAMES).replace("</node>", f"{things}</node>"), encoding="utf-8")
    return f"test://{file}"


def uuid_of(uri: str, check: Check, name: str) -> str:
    if check.selects in UUIDS:
        return UUIDS[check.selects](NAMES.index(name))
    text = Path(uri.removeprefix("test://")).read_text(encoding="utf-8")
    found = re.search(rf"<name>{name}</name>\s*<uuid>([^<]+)", text)
    assert found
    return found[1]


@pytest.mark.parametrize("check", SELECTING, ids=lambda check: check.name)
@pytest.mark.parametrize(
    ("options", "selected"),
    [
        (("-d", "alpha*"), ("alpha1", "alpha2")),
        (("-d", "re:^(alpha2|beta)"), ("alpha2", "beta1")),
        (("-d", "UUID"), ("alpha2",)),
        (("-d", "alpha1", "-d", "beta?"), ("alpha1", "beta1")),
        (("-x", "alpha*"), ("beta1",)),
        (("-x", "UUID"), ("alpha1", "beta1")),
        (("-d", "*1", "-x", "re:^a"), ("beta1",)),
    ],
    ids=" ".join,
)
def test_selection(
    check: Check, options: tuple[str, ...], selected: tuple[str, ...], uri: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sampling, "_SAMPLING", 60.0)  # without rates, rather than a second later
    given = [uuid_of(uri, check, "alpha2") if option == "UUID" else option for option in options]
    text, _ = plugin.run(check, ["-u", uri, "-v", "--state-dir", str(tmp_path), "--perfdata", "none", *given])
    told = {name for name in NAMES if re.search(rf"\b{name}\b", text)}
    assert told == set(selected), f"{named(check)}: {' '.join(given)} selects {sorted(told)}:\n{text}"


@pytest.mark.parametrize("check", ON_THE_TEST_DRIVER, ids=lambda check: check.name)
def test_a_pattern_that_selects_nothing_is_said(check: Check, uri: str, tmp_path: Path) -> None:
    text, code = plugin.run(check, ["-u", uri, "--state-dir", str(tmp_path), "-d", "nobody"])
    assert (code, f"no {check.selects} matches -d nobody" in text) == (3, True), f"{named(check)}: {text}"
