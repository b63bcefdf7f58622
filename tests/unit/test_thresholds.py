"""Thresholds: defaults, -w/-c, metadata, in this order of precedence from weak to strong."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest
from check_kvm import state
from check_kvm.frame import siteconfig
from check_kvm.frame.conditions import SEVERITIES, Severities
from check_kvm.frame.thresholds import SCALES, MetricSpec, Thresholds, parse_range
from check_kvm.frame.verdict import Verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmwatch.model import policy
from kvmwatch.model.errors import UsageError
from kvmwatch.model.policy import OwnThreshold, Policy
from kvmwatch.model.snapshot import Domain, Snapshot

METRICS = (MetricSpec("usage", "%", "", "80", "90"), MetricSpec("steal", "%", ""))


def thresholds(*warning: str, critical: tuple[str, ...] = ()) -> Thresholds:
    return Thresholds("cpu", METRICS, warning, critical)


def test_defaults() -> None:
    usage = thresholds().of("usage")
    assert (str(usage.warning), str(usage.critical)) == ("80", "90")
    assert str(thresholds().of("steal").warning) == ""


def test_range_alone_is_for_the_first_metric() -> None:
    assert str(thresholds("50").of("usage").warning) == "50"


def test_metric_and_range() -> None:
    both = thresholds("steal=5", "usage=@10:20", critical=("steal=~:10",))
    assert str(both.of("steal").warning) == "5"
    assert str(both.of("usage").warning) == "@10:20"
    assert str(both.of("usage").critical) == "90"
    assert str(both.of("steal").critical) == "~:10"


def test_empty_range_switches_a_default_off() -> None:
    assert 100 in thresholds("usage=").of("usage").warning


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(("40", "over 40 %"), ("60:", "under 60 %"), ("~:40", "over 40 %"), ("@10:60", "inside 10 % to 60 %")),
        *(
            ("@~:60", "not over 60 %"),
            ("@40:", "not under 40 %"),
            ("@~:", "at any value"),
            ("@60", "inside 0 % to 60 %"),
        ),
    ],
)
def test_what_is_wrong_is_said_for_people(given: str, said: str) -> None:
    verdict = Verdict(thresholds(given))
    verdict.subject("web1").measure("usage", 50.0)
    assert verdict.subjects[0].line() == f"web1 usage 50 % ({said})"


def test_metadata_wins_over_the_command_line() -> None:
    policy = Policy(thresholds=(OwnThreshold("cpu.usage", "40", None), OwnThreshold("disk.usage", "1", "1")))
    usage = thresholds("50").of("usage", policy)
    assert (str(usage.warning), str(usage.critical)) == ("40", "90")


def test_unusable_metadata_is_said_by_the_check_it_is_for() -> None:
    def problem(metric: str, warning: str) -> str | None:
        good, bad = OwnThreshold("cpu.steal", "5", None), OwnThreshold(metric, warning, None)
        policy, problem = thresholds().usable(Policy(thresholds=(good, bad)))
        assert good in policy.thresholds
        assert (bad in policy.thresholds) is (problem is None and metric.startswith("cpu."))
        return problem

    assert problem("cpu.usage", "80") is None
    assert "no metric cpu.heat" in (problem("cpu.heat", "80") or "")
    assert "bad range 'x'" in (problem("cpu.usage", "x") or "")
    assert problem("disk.usage", "x") is None


@pytest.mark.parametrize(
    ("unit", "spec", "limits"),
    [
        ("B", "10G:", (10 << 30, math.inf)),
        ("B", "1.5K", (0, 1536)),
        ("B", "@1M:2T", (1 << 20, 2 << 40)),
        ("B/s", "~:3P", (-math.inf, 3 << 50)),
        ("b/s", "100M", (0, 100_000_000)),
        ("b/s", "1k:2G", (1000, 2_000_000_000)),
        ("B", "1048576", (0, 1048576)),
    ],
)
def test_a_range_of_bytes_or_bits_may_be_written_short(unit: str, spec: str, limits: tuple[float, float]) -> None:
    """Wherever a range is written: on the command line, and in metadata."""
    metrics = (MetricSpec("size", unit, "", spec), MetricSpec("ratio", "%", ""))
    own = Policy(thresholds=(OwnThreshold("cpu.size", None, spec),))
    assert Thresholds("cpu", metrics).usable(own)[1] is None
    for range_ in (
        Thresholds("cpu", metrics).of("size").warning,
        Thresholds("cpu", metrics, (f"size={spec}",)).of("size").warning,
        Thresholds("cpu", metrics, (), (spec,)).of("size").critical,
        Thresholds("cpu", metrics).of("size", own).critical,
    ):
        assert (range_.start, range_.end) == limits
    with pytest.raises(UsageError, match="bad range"):
        Thresholds("cpu", metrics, (f"size={spec}x",))


def test_the_file_has_them_as_well(tmp_path: Path) -> None:
    file = tmp_path / "site.ini"
    file.write_text("[defaults]\npool.free.warning = 10G:\n[domain web*]\nmemory.rss.critical = 2G\n", "utf-8")
    config = siteconfig.load(str(file))
    assert config.of_check("pool", "warning", ["free"]) == ["free=10G:"]
    file.write_text("[defaults]\npool.usage.warning = 10G:\n", "utf-8")
    with pytest.raises(UsageError, match=re.escape("[defaults]: pool.usage.warning: bad range '10G:'")):
        siteconfig.load(str(file))


@pytest.mark.parametrize(
    "spec", ["x", "usage=x", "usage=10G", "usage=1k", "1:2:3", "20:10", "heat=5", "usage=1,5"]
)
def test_bad_ones_are_usage_errors(spec: str) -> None:
    with pytest.raises(UsageError):
        thresholds(spec)


@pytest.mark.parametrize(
    ("unit", "spec", "end"),
    [
        *(("s", "5d", 432_000), ("s", ".5d", 43_200), ("s", "0.5h", 1800), ("s", "5.min", 300)),
        *(("B", ".5T", 1 << 39), ("B", "+1K", 1024), ("b/s", "007k", 7000), ("", ".5", 0.5), ("", " 5 ", 5)),
        *(("s", "4d12h", None), ("s", "4d 12h", None), ("s", "5 min", None), ("s", "5mind", None)),
        *(("B", "1G512M", None), ("B", "1K1", None), ("B", "1.5.5M", None), ("B", "1KK", None), ("B", "K", None)),
        *(("", "1_000", None), ("", "1e3", None), ("", "1.0e3", None), ("", "0x10", None), ("", "inf", None)),
        *(("", "nan", None), ("", "\u0665", None), ("", " ", None), ("", "~", None), ("", "~:~", None)),
        *(("", "9" * 310, None), ("", "9" * 5000, None), ("B", "9" * 20 + "P", None), ("", "-9" * 2, None)),
    ],
)
def test_a_limit_has_the_value_that_it_reads_as(unit: str, spec: str, end: float | None) -> None:
    """Or none (None): what could be read in two ways is refused, and so is what is no number of a machine."""
    if end is None:
        with pytest.raises(UsageError, match="bad range"):
            parse_range(spec, unit)
    else:
        assert parse_range(spec, unit).end == end


#: how ranges are written, and nearly
SPECS = st.one_of(
    st.text(st.sampled_from("0123456789.:@~-+_ eKMGTPkminhdBs%\u0665"), max_size=24),
    st.from_regex(r"@?(~:|[0-9]{1,3}\.?[0-9]*[a-zA-Z]?:)?[0-9]{0,400}\.?[0-9]*[a-zA-Z]{0,3}", fullmatch=True),
)


@given(spec=SPECS, unit=st.sampled_from([*SCALES, "%", ""]))
@settings(deadline=None)
def test_any_text_is_refused_or_read_to_the_letter(spec: str, unit: str) -> None:
    try:
        read = parse_range(spec, unit)
    except UsageError:
        return
    limits = spec.removeprefix("@")
    start, colon, end = limits.rpartition(":")
    assert read.invert is spec.startswith("@")
    for text, limit, without in ((start if colon else "", read.start, 0), (end, read.end, math.inf)):
        if text in ("", "~"):
            assert limit == (-math.inf if text else without)
            continue
        number = text.strip().rstrip("KMGTPkminhd")
        scale = SCALES.get(unit, {}).get(text.strip()[len(number) :], 1)
        assert limit == pytest.approx(float(Fraction(number.rstrip(".")) * scale), rel=1e-12)


def test_what_cannot_be_read_is_quoted_in_part() -> None:
    """It may be of an owner who wants others to be cut off."""
    with pytest.raises(UsageError) as error:
        parse_range("x" * 60_000)
    assert len(str(error.value)) < 200


def test_a_metric_has_one_threshold_however_many_there_are() -> None:
    """Else each value of each disk would walk through all of them; a later one overrides what it gives."""
    many = [OwnThreshold("cpu.usage", str(number), None) for number in range(1, 50)]
    policy, problem = thresholds().usable(
        Policy(thresholds=(OwnThreshold("cpu.usage", None, "60"), *many, OwnThreshold("cpu.steal", "3", None)))
    )
    assert problem is None
    assert policy.thresholds == (OwnThreshold("cpu.usage", "49", "60"), OwnThreshold("cpu.steal", "3", None))


def test_many_unusable_ones_are_counted() -> None:
    policy, problem = thresholds().usable(
        Policy(thresholds=tuple(OwnThreshold(f"cpu.heat{number}", "1", None) for number in range(1000)))
    )
    assert policy.thresholds == ()
    assert (problem or "").endswith("; and 990 more")


WISHES: Mapping[str, tuple[str, str, str]] = {
    "expect": ("any", "running", "paused"),
    "ignore": ("yes", "no", "yes"),
    "expect-host": ("kvm1", "kvm2", "kvm3"),
    "cpu.usage.warning": ("1", "2", "3"),
    "state.held.severity": ("ok", "critical", "unknown"),
}
IN_METADATA = {
    "cpu.usage.warning": '<threshold metric="cpu.usage" warning="{}"/>',
    "state.held.severity": '<severity condition="state.held" is="{}"/>',
}


def found(wish: str, policy: Policy) -> str:
    held = next(condition for condition in state.CHECK.conditions if condition.name == "held")
    return {
        "expect": str(policy.expect),
        "ignore": "yes" if policy.ignore else "no",
        "expect-host": " ".join(policy.hosts),
        "cpu.usage.warning": str(thresholds().of("usage", policy).warning),
        "state.held.severity": next(
            word for word, one in SEVERITIES.items() if one is Severities("state", (held,)).of(held, policy)
        ),
    }[wish]


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_is_said_last_counts_and_metadata_over_it(wish: str, order: tuple[int, ...], tmp_path: Path) -> None:
    """Also where it takes back what was said before: a VM that is not to be left alone after all."""
    first, second, own = (WISHES[wish][place] for place in order)
    file = tmp_path / "site.ini"
    file.write_text(f"[domain *]\n{wish} = {first}\n\n[domain web*]\n{wish} = {second}\n")
    config = siteconfig.load(str(file))

    def applied(name: str, metadata: str = "<watch/>") -> str:
        vm = Domain("uuid", name, 1, 1, 1, 0.0, policy=policy.parse(metadata))
        (domain,) = config.applied(Snapshot("qemu:///system", 0, 0, domains=(vm,))).domains
        return found(wish, domain.policy)

    assert applied("db1") == first
    assert applied("web1") == second
    within = IN_METADATA.get(wish, "").format(own)
    watch = f"<watch>{within}</watch>" if within else f'<watch {wish}="{own}"/>'
    assert applied("web1", watch) == own
