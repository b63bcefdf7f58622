"""check_kvm_disk: each disk's IOPS, throughput, latency, allocation and errors."""

from __future__ import annotations

from collections.abc import Iterator

from check_kvm.frame import plugin
from check_kvm.frame.conditions import Condition
from check_kvm.frame.phrases import count, highest
from check_kvm.frame.plugin_api import Critical, Unknown
from check_kvm.frame.thresholds import MetricSpec
from check_kvm.frame.verdict import Subject, Verdict
from kvmwatch.model import derived, measured
from kvmwatch.model.groups import Group
from kvmwatch.model.snapshot import Disk, Domain, Snapshot
from kvmwatch.model.units import duration

#: between two readings; the mean of fewer is what one slow request makes of it
_LEAST_REQUESTS = 10
#: latencies to the requests of which they are the mean
_REQUESTS = {f"{kind}_latency": f"{kind}_requests" for kind in ("read", "write", "flush")}


ERROR = Condition("error", Critical, "I/O errors of the disk hold the domain")


def judge(snapshot: Snapshot, verdict: Verdict) -> None:
    """Judge the disks of every active domain; drives for media are none, unless one holds the domain."""
    throughput: dict[str, float | None] = {}
    latency: dict[str, float | None] = {}
    disks = 0
    for domain, owner in verdict.domains(snapshot, parts=_keys):
        for disk in domain.disks:
            if disk.removable and not disk.error:
                continue
            disks += 1
            subject = verdict.part(domain, owner, disk.name, disk.name, disk.unread)
            name = f"{domain.name} {disk.name}"
            values = figures(disk)
            for metric, value in values.items() if measured.ever(disk) else ():
                if value is None and _idle(disk, metric):
                    continue
                most = 100 if metric == "allocation" else None
                subject.measure(metric, value, most=most, unjudged=_too_few(disk, metric))
            if measured.missing(domain, disk):
                subject.say(Unknown, "libvirt gives no statistics of it")
            _judge_job(disk, subject, snapshot.time)
            if disk.error:
                subject.say(ERROR, disk.error)
            judged = (metric for metric in _REQUESTS if not _too_few(disk, metric))
            latency[name] = max((values[metric] or 0 for metric in judged), default=None)
            throughput[name] = (values["read_bytes"] or 0) + (values["write_bytes"] or 0)
            subject.rank = latency[name] or 0
    verdict.overview = ", ".join(
        [count(disks, "disk"), *highest("throughput", throughput, "B/s"), *highest("latency", latency, "s")]
    )


def _judge_job(disk: Disk, subject: Subject, now: float) -> None:
    """Judge a block job by how long it has been seen: one that is done may wait for its pivot for ever."""
    lasted = 0.0 if disk.mirror_since is None else max(0.0, now - disk.mirror_since)
    subject.put("block_job", lasted)
    seen = f" for {duration(lasted)} since first seen" if lasted else ", first seen now"
    text = f"block job ({disk.mirror}){seen}" if disk.mirror else None
    subject.judge("block_job", lasted, text, quiet=not disk.mirror)


def _keys(domain: Domain) -> Iterator[str]:
    return (disk.name for disk in domain.disks if measured.ever(disk))


def figures(disk: Disk) -> dict[str, float | None]:
    """The values of a disk by metric; a latency is None while there were no such requests."""
    rates, stats = disk.rates, disk.stats
    return {
        "read_iops": rates.read_requests,
        "write_iops": rates.write_requests,
        "read_bytes": rates.read_bytes,
        "write_bytes": rates.write_bytes,
        "read_latency": _latency(rates.read_time, rates.read_requests),
        "write_latency": _latency(rates.write_time, rates.write_requests),
        "flush_latency": _latency(rates.flush_time, rates.flush_requests),
        "allocation": derived.allocation_usage(disk),
        "errors": stats.errors,
    }


def _too_few(disk: Disk, metric: str) -> str:
    """Say that a latency is the mean of so few requests that one of them decides; empty: it is not."""
    if metric not in _REQUESTS:
        return ""
    rate, seconds = getattr(disk.rates, _REQUESTS[metric]), disk.rated_over
    if rate is None or seconds is None:
        return ""
    requests = round(rate * seconds)
    return f"of {count(requests, 'request')}, too few to judge" if requests < _LEAST_REQUESTS else ""


def _idle(disk: Disk, metric: str) -> bool:
    """Whether there is no such value because nothing was done with the disk.

    A latency is of requests; and an image into which nothing was written shows no difference between all of it and
    none of it allocated.
    """
    if metric == "allocation":
        return disk.stats.capacity is not None and disk.stats.highest_offset == 0
    return metric in _REQUESTS and getattr(disk.rates, _REQUESTS[metric]) == 0


def _latency(seconds: float | None, requests: float | None) -> float | None:
    return None if seconds is None or not requests else seconds / requests


CHECK = plugin.Check(
    name="disk",
    description="Judges each disk of each active domain: I/O errors, latency, operations and bytes per second,\n"
    "and how much of its capacity the image takes on the host's storage.",
    groups=Group.DEFINED | Group.DISK | Group.DEFINITION | Group.CONTROL,
    metrics=(
        MetricSpec("read_iops", "/s", "reads per second"),
        MetricSpec("write_iops", "/s", "writes per second"),
        MetricSpec("read_bytes", "B/s", "bytes read per second"),
        MetricSpec("write_bytes", "B/s", "bytes written per second"),
        MetricSpec("read_latency", "s", "mean time of a read", "0.2", "1"),
        MetricSpec("write_latency", "s", "mean time of a write", "0.2", "1"),
        MetricSpec("flush_latency", "s", "mean time of a flush", "0.5", "2"),
        MetricSpec("allocation", "%", "room taken on the host, % of the capacity"),
        MetricSpec("errors", "", "1 while I/O errors hold the domain", "", "0", drawn=False),
        MetricSpec(
            "block_job", "s", "seconds for which a copy or commit of the disk has been seen", "86400", drawn=False
        ),
    ),
    judge=judge,
    conditions=(ERROR,),
    needs_rates=True,
)


def main() -> None:
    """Run the command."""
    plugin.main(CHECK)
