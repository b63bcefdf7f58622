"""Graphs before, during and after an incident: Icinga's InfluxdbWriter, set up as docs/icinga.md says, and a real InfluxDB.

For each service, active and passive: what is known has a point each time, what is not known has none and is never 0, and
no series is there that was not there when all was well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import libvirt
import pages
from commands import Command
from nagios_kvm.names import ServiceName
from running import running
from testdriver import node
from waiting import eventually

if TYPE_CHECKING:
    from bed import Bed
    from icinga import Icinga
    from influx import Influx

ACTIVE, PASSIVE = HOSTS = ("kvm1", "kvm1-passive")
FEATURE = "/etc/icinga2/features-available/influxdb.conf"
MEASUREMENT, DATABASE = "icinga", "icinga2"  # as the page has them
#: there are results only when the test wants them; "last" has those of the test's own
SITE = """
object IcingaApplication "app" {{ enable_service_checks = false }}
object Host "last" {{ check_command = "dummy" }}
object Service "last" {{ host_name = "last"; check_command = "dummy" }}
{writer}
"""
HOST = 'object Host "{0}" {{ import "generic-host"; import "kvmwatch-{0}" }}\n'
REFUSED = "Ignoring invalid perfdata"
ODD_NAME = 'Büro VM "01" it\'s=odd, 100%'
STOPPED = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF)
#: by host!service: the metrics that have a value
Known = dict[str, dict[str, float]]


class Graphs:
    """An Icinga with the services of one hypervisor twice, active and passive, and what becomes of their results."""

    def __init__(self, icinga: Icinga, influx: Influx, kvm: Command, *options: str) -> None:
        """``options`` are for config and publish: whom to ask, and for what."""
        from icinga import API, CA

        self._icinga, self._influx, self._kvm, self._options = icinga, influx, kvm, options
        self._to = ("--to", API, "--credentials", str(icinga.credentials), "--ca-file", str(CA))
        for host, more in ((ACTIVE, ("--active",)), (PASSIVE, ())):
            file = str(icinga.work / "conf.d" / f"{host}.conf")
            to = ("--format", "icinga2", "--host", host, "--output", file)
            ran = kvm("nagios_kvm", "config", *to, *more, *options)
            assert ran.code == 0, ran.err
        (writer,) = (step.text for step in pages.steps("docs/icinga.md") if step.file == FEATURE)
        soon = writer.replace("\n  host = ", "\n  flush_interval = 1s\n  host = ")
        icinga.write("conf.d/site.conf", SITE.format(writer=soon) + "".join(map(HOST.format, HOSTS)))

    def look(self) -> Known:
        """Have every service judged once, and give what got to InfluxDB."""
        # a point's time is in whole seconds, and a second point in one would take the place of the first
        time.sleep(1 - time.time() % 1)
        begun = time.time()
        self._kvm("nagios_kvm", "publish", *self._to, "--host", PASSIVE, *self._options)
        body = {"type": "Service", "filter": f'host.name=="{ACTIVE}"', "force": True}
        self._icinga._call("POST", "/v1/actions/reschedule-check", json=body)
        eventually("all have been checked", lambda: self._checked_since(begun))
        self.submit("1")
        return self._known_since(int(begun))

    def submit(self, value: str) -> None:
        """Submit a result of the test's own, and wait until it is stored, as all are that came before it."""
        now = time.time()
        body = {"type": "Service", "service": "last!last", "exit_status": 0, "plugin_output": "ok"}
        values = [f"value={value}", f"now={now:f}"]
        answer = self._icinga._call(
            "POST", "/v1/actions/process-check-result", json={**body, "performance_data": values}
        )
        assert answer["results"][0]["code"] == 200, answer
        eventually(
            "the last result is stored",
            lambda: any(abs(point.fields["value"] - now) < 1e-3 for point in self._points("last")),
        )

    def series(self) -> dict[tuple[tuple[str, str], ...], set[frozenset[str]]]:
        """The tags of each series there was, and which fields its points have."""
        found: dict[tuple[tuple[str, str], ...], set[frozenset[str]]] = {}
        for point in self._points(*HOSTS):
            found.setdefault(tuple(sorted(point.tags.items())), set()).add(frozenset(point.fields))
        return found

    def refused(self) -> int:
        """How many values Icinga's log says are invalid."""
        return (self._icinga.work / "out").read_text().count(REFUSED)

    def _points(self, *hosts: str) -> Iterator[Any]:
        return (point for point in self._influx.points(MEASUREMENT) if point.tags["hostname"] in hosts)

    def _known_since(self, second: int) -> Known:
        known: Known = {}
        for point in self._points(*HOSTS):
            if point.time >= second:
                of_service = known.setdefault(f"{point.tags['hostname']}!{point.tags['service']}", {})
                assert point.tags["metric"] not in of_service, f"more than once: {point}"
                of_service[point.tags["metric"]] = point.fields["value"]
        return known

    def _checked_since(self, moment: float) -> bool:
        results = [service["last_check_result"] for service in self._icinga.services(ACTIVE).values()]
        return all(result and result["execution_start"] >= moment for result in results)


@contextlib.contextmanager
def graphs(kvm: Command, *options: str) -> Iterator[Graphs]:
    """Both daemons, for a hypervisor; in the end Icinga has refused no value, and would have said so."""
    from icinga import Icinga
    from influx import Influx

    icinga, influx = Icinga(), Influx(DATABASE)
    with running(influx):
        made = Graphs(icinga, influx, kvm, *options)
        with running(icinga):
            made.look()  # so that there are rates: a busy machine may leave a first run no time for them
            yield made
            assert made.refused() == 0
            made.submit("U")
            eventually("Icinga's log tells what is refused", lambda: made.refused() == 1)


def metrics(known: Known) -> dict[str, set[str]]:
    """What is known of each service; whether a disk's latency is, depends on what the guest does."""
    return {
        service: {metric for metric in values if not metric.endswith("_latency")}
        for service, values in known.items()
    }


def on_both(*services: str) -> set[str]:
    """These, active and passive."""
    return {f"{host}!{service}" for host in HOSTS for service in services}


def of(vm: str) -> set[str]:
    """A VM's services, as far as they are used here."""
    checks = ("state", "cpu", "memory", "disk", "network")
    return on_both(*(str(ServiceName(check, vm)) for check in checks))


def test_vms_that_stop_and_a_libvirt_that_is_gone(kvm: Command) -> None:
    import inside

    file = inside.WORK / "graphs.xml"

    def hypervisor(**other: int) -> None:
        new = file.with_suffix(".new")
        new.write_text(node(("web1", ODD_NAME), other=other))
        new.replace(file)

    hypervisor()
    with graphs(kvm, "-u", f"test://{file}") as shown:
        well, before = shown.look(), shown.series()
        assert well.keys() == of("web1") | of(ODD_NAME) | on_both("KVM host")
        assert all(len(fields) == 1 for fields in before.values())
        states = on_both("KVM state web1")
        for state in STOPPED:
            hypervisor(web1=state)
            known, wanted = shown.look(), metrics(well)
            if state == libvirt.VIR_DOMAIN_SHUTOFF:  # without figures, and none of them is 0
                wanted = {name: set_ for name, set_ in wanted.items() if name not in of("web1") - states}
            assert metrics(known) == wanted
            assert {known[name]["running"] for name in states} == {0}
        file.unlink()
        assert shown.look() == {}
        hypervisor()
        assert metrics(shown.look()) == metrics(well)
        assert shown.series() == before


def test_a_qemu_that_hangs_and_a_pool_that_is_inactive(kvm: Command, bed: Bed) -> None:
    checks = ("state", "cpu", "memory", "disk", "network", "pool")
    pool, qemu = bed.connect().storagePoolLookupByName("images"), bed.qemu_pid("web1")
    with graphs(kvm, "-d", "web1", "-d", "idle1", *(f"--check={check}" for check in checks)) as shown:
        well, before = metrics(shown.look()), shown.series()
        wanted = {name: set_ for name, set_ in well.items() if name not in on_both("KVM disk web1")}
        for name in on_both("KVM memory web1"):
            wanted[name] = {"balloon"}
        for name in on_both("KVM pool"):
            wanted[name] = {metric for metric in wanted[name] if not metric.startswith("images.")}
            assert wanted[name] < well[name]
        # libvirt 11 gives no XML of such a VM: its interfaces are known only to who read it just before
        open_ones = on_both("KVM network web1") if bed.connect().getLibVersion() >= 11_000_000 else ()
        try:
            os.kill(qemu, signal.SIGSTOP)
            pool.destroy()
            for _ in range(2):
                told = metrics(shown.look())
                assert {**told, **{name: wanted[name] for name in open_ones}} == wanted
        finally:
            os.kill(qemu, signal.SIGCONT)
            pool.create()
        # counters that were not to be had give no rate the first time
        eventually("all is known again", lambda: metrics(shown.look()) == well)
        after = shown.series()
        with_latency = {tags for tags in after if dict(tags)["metric"].endswith("_latency")}
        assert after.keys() - with_latency == before.keys() - with_latency
        assert all(len(fields) == 1 for fields in after.values())
