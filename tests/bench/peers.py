"""What a collection costs beside what others have for it, in one run: "make bench-peers".

100 small guests with a disk and an interface each, that run and do nothing, are read by Debian's
prometheus-libvirt-exporter, collectd's virt plugin, virt-top where the release has it and virsh, and by ours; each alone,
as long as COLLECTIONS collections take, in turn. What libvirtd and the QEMUs take in as long a time in which nobody reads
is a row of its own, and is not counted again in the others. Measures an installed copy, as users have it (.venv/bench).
Runs in the lab's namespaces.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import bed
import guests
from cpu import Cost, Spent
from running import running
from waiting import eventually

GUESTS = int(os.environ.get("VMS", "100"))
COLLECTIONS = 10
INTERVAL = 3  # seconds; what virt-top and kvmwatch top have by default
WORK = bed.WORK / "peers"
BIN = Path(sys.executable).parent
KVMWATCH = str(BIN / "kvmwatch")
THEIRS, OURS = "127.0.0.1:19177", "127.0.0.1:19477"
COLLECTD = f"""Hostname "kvm1"
FQDNLookup false
Interval {INTERVAL}
BaseDir "{WORK}"
PIDFile "{WORK}/pid"
TypesDB "/usr/share/collectd/types.db"
"""
VIRT = """LoadPlugin virt
<Plugin virt>
  Connection "qemu:///system"
  HostnameFormat name
  ExtraStats "cpu_util disk disk_err domain_state vcpu"
</Plugin>
"""
EXEC = f"""LoadPlugin exec
<Plugin exec>
  Exec "nobody" "{KVMWATCH}" "export" "collectd" "--state-dir" "{WORK}/nobody"
</Plugin>
"""
#: collectd does not tell how long a plugin takes; but it gives each value the time at which it came
CSV = f"""LoadPlugin csv
<Plugin csv>
  DataDir "{WORK}/csv"
</Plugin>
"""
#: what the exporter and collectd's plugin read as well
SAME = "state,cpu,disk,network"
#: one more than is measured: rates need it, and it is not measured
TOP = ("-b", "-n", str(COLLECTIONS + 9), "-d", str(INTERVAL))


class Reader(NamedTuple):
    """Somebody who reads the hypervisor: each time that it is asked, or by itself every INTERVAL seconds."""

    name: str
    words: tuple[str, ...]
    asked: str = ""  # host:port to scrape
    runs: bool = True  # all the time; else it is a command that reads once, and ends
    timed: str = ""  # for collectd: the configuration of a run that tells how long a collection takes


def main() -> None:
    """Bring up the guests, read them by each in turn, and print a table."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    os.environ.pop("PYTHONPATH")  # was for this script alone
    os.environ["KVMWATCH_STATE_DIR"] = str(bed.WORK / "state")
    WORK.mkdir(parents=True)
    (WORK / "nobody").mkdir()
    shutil.chown(WORK / "nobody", "nobody")
    with running(bed.Bed()) as lab:
        for domain in lab.connect().listAllDomains():
            lab.remove(domain.name())
        for number in range(GUESTS):
            lab.transient(guests.small(f"small{number:03}", devices(number)))
        time.sleep(GUESTS)  # until they have booted, one after the other
        nobody = Spent(lab.daemon.pid).by(None, waiting)
        title = f"{GUESTS} small guests with a disk and an interface: of one collection, ms"
        print(f"\n{title}; means of {COLLECTIONS}, wall: medians\n  {'':<44}", end="")
        print("".join(f"{head:>9}" for head in ("wall", "own CPU", "libvirtd", "QEMUs", "all CPU")))
        show("nobody reads", each(nobody))
        for reader in readers():
            show(reader.name, each(read(reader, Spent(lab.daemon.pid)).beside(nobody)))


def each(cost: Cost) -> Cost:
    """What one collection cost of what all did; the wall time is that of one."""
    return Cost(cost.wall, *(part / COLLECTIONS for part in cost[1:]))


def show(name: str, cost: Cost) -> None:
    """Print a row."""
    wall = f"{cost.wall * 1000:9.1f}" if cost.wall else f"{'':9}"
    spent = cost[1:]
    print(f"  {name:<44}{wall}" + "".join(f"{part * 1000:9.1f}" for part in (*spent, sum(spent))), flush=True)


def devices(number: int) -> str:
    """XML of a disk that a guest boots from, to halt for ever, and of an interface."""
    image = WORK / f"{number}.raw"
    with open(image, "wb") as file:
        file.write(guests.HALT.ljust(510, b"\0") + b"\x55\xaa")  # a boot sector
        file.truncate(1 << 20)
    return guests.disk(image, "vda", "raw") + guests.interface("default", f"52:54:00:00:09:{number % 256:02x}")


def readers() -> list[Reader]:
    """Those that are installed."""
    for name, plugin in (("virt", VIRT), ("exec", EXEC), ("csv", VIRT + CSV)):
        (WORK / f"{name}.conf").write_text(COLLECTD + plugin)
    collectd = ("collectd", "-f", "-C")
    ours = (KVMWATCH, "export", "prometheus", "--listen", OURS)
    known = [
        Reader("prometheus-libvirt-exporter", exporter(), THEIRS),
        Reader("kvmwatch export prometheus --listen", ours, OURS),
        Reader(f"  --check {SAME}", (*ours, "--check", SAME), OURS),
        Reader("collectd, its virt plugin", (*collectd, f"{WORK}/virt.conf"), timed=f"{WORK}/csv.conf"),
        Reader("collectd, kvmwatch export collectd", (*collectd, f"{WORK}/exec.conf")),
        Reader("virsh domstats", ("virsh", "-r", "domstats"), runs=False),
        Reader("virt-top", ("virt-top", "--script", *TOP[1:], "--csv", "/dev/null")),
        Reader("kvmwatch top -b", (KVMWATCH, "top", *TOP)),
    ]
    there = [reader for reader in known if shutil.which(reader.words[0])]
    # collectd would say so in its log alone, and its row would be that of nobody who reads
    if subprocess.run(["test", "-r", KVMWATCH], user="nobody", check=False).returncode:
        there = [reader for reader in there if f"{WORK}/exec.conf" not in reader.words]
    for reader in known:
        if reader not in there:
            print(f"not here: {reader.name}")
    return there


def exporter() -> tuple[str, ...]:
    """Debian's exporter; its options have changed their names."""
    name = "prometheus-libvirt-exporter"
    if not shutil.which(name):
        return (name,)
    ran = subprocess.run([name, "--help"], capture_output=True, text=True, check=False)
    dashes = "--" if "--web.listen-address" in ran.stdout + ran.stderr else "-"
    return (name, f"{dashes}web.listen-address={THEIRS}", f"{dashes}libvirt.uri=qemu:///system")


def read(reader: Reader, spent: Spent) -> Cost:
    """Have it read for as long as COLLECTIONS take, after it has settled, and tell what that cost."""
    with open(WORK / "output", "wb") as output:
        run = partial(subprocess.run, reader.words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        if not reader.runs:
            return spent.by(None, asking(lambda: run(check=True)))
        process = subprocess.Popen(reader.words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            if reader.asked:
                eventually(f"{reader.name} answers", lambda: scraped(reader.asked))
            time.sleep(2 * INTERVAL)
            cost = spent.by(process.pid, asking(lambda: scraped(reader.asked)) if reader.asked else waiting)
            assert process.poll() is None, f"{reader.name} ended: {(WORK / 'output').read_text(errors='replace')}"
        finally:
            process.terminate()
            process.wait(30)
    return cost._replace(wall=spread((*reader.words[:-1], reader.timed))) if reader.timed else cost


def spread(words: tuple[str, ...]) -> float:
    """Run collectd once more, with its values in files, and give the median time from its first to its last value."""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        time.sleep((COLLECTIONS + 1) * INTERVAL)
        process.terminate()
    files = (file.read_text().splitlines()[1:] for file in Path(WORK, "csv").glob("*/virt/*"))
    came = sorted(float(line.split(",")[0]) for lines in files for line in lines)
    collections: list[list[float]] = [[]]
    for before, moment in zip([came[0], *came], came):
        if moment - before > INTERVAL / 2:
            collections.append([])
        collections[-1].append(moment)
    return statistics.median(of[-1] - of[0] for of in collections[1:-1])


def waiting() -> float:
    """Wait for as long as COLLECTIONS take; they have no wall time that could be seen."""
    time.sleep(COLLECTIONS * INTERVAL)
    return 0.0


def asking(ask: Callable[[], object]) -> Callable[[], float]:
    """Ask so often, in the same time, and give the median time until there was an answer."""

    def asked() -> float:
        walls = []
        begun = time.perf_counter()
        for number in range(COLLECTIONS):
            time.sleep(max(0.0, begun + number * INTERVAL - time.perf_counter()))
            since = time.perf_counter()
            assert ask()
            walls.append(time.perf_counter() - since)
        time.sleep(max(0.0, begun + COLLECTIONS * INTERVAL - time.perf_counter()))
        return statistics.median(walls)

    return asked


def scraped(where: str) -> bool:
    """Whether it answers with metrics."""
    try:
        with urllib.request.urlopen(f"http://{where}/metrics", timeout=60) as answer:
            return b"libvirt_" in (text := answer.read()) or b"kvm_" in text
    except OSError:
        return False


main()
