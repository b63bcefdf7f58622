"""Times every command against what virsh and bare Python cost, in one run: "make bench".

Measures an installed copy, as users have it (.venv/bench). Runs in the lab's namespaces, first on the lab's guests,
then on 200 small paused ones, where the CPU time that a command costs libvirtd and the QEMUs is told as well. The
commands of a phase run in turn, round by round, so that a slow moment of a shared machine meets all of them; medians
are printed. The targets are ratios, printed beside what was measured.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import bed
import guests
from cpu import Cost, Spent
from running import running

ROUNDS = 15
PAUSED = 200
BIN = Path(sys.executable).parent
OPEN = "import libvirt; c = libvirt.openReadOnly('qemu:///system'); "
STATS = "c.getAllDomainStats({}, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)"
LOOP = ["sh", "-c", "virsh -r list --all --name | grep . | tr '\\n' '\\0' | xargs -0 -I{} virsh -r domstats {}"]


def python(call: str) -> list[str]:
    """Bare Python with the binding: import, open read-only, one call."""
    return [sys.executable, "-c", OPEN + call]


def stats(*groups: str) -> list[str]:
    """Bare Python with one bulk call."""
    return python(STATS.format("|".join(f"libvirt.VIR_DOMAIN_STATS_{group}" for group in groups)))


FLOOR = stats("STATE")
#: our command, what it is compared with, the ratio it should not exceed
LAB = [
    ("check_kvm_state", FLOOR, 1.4),
    ("check_kvm_cpu", stats("STATE", "CPU_TOTAL", "VCPU"), 1.5),
    ("check_kvm_memory", stats("STATE", "BALLOON"), 1.5),
    ("check_kvm_disk", stats("STATE", "BLOCK"), 1.5),
    ("check_kvm_network", stats("STATE", "INTERFACE"), 1.5),
    ("check_kvm_pool", python("[pool.info() for pool in c.listAllStoragePools()]"), 1.5),
    # the bulk call that has the vCPUs and the memory of all domains
    ("check_kvm_host", stats("STATE", "VCPU", "BALLOON"), 1.5),
    ("zabbix_kvm collect", ["virsh", "-r", "domstats"], None),
]
MANY = [
    ("zabbix_kvm collect", ["virsh", "-r", "domstats"], 0.6),
    ("check_kvm_state", FLOOR, None),
    ("check_kvm_cpu", stats("STATE", "CPU_TOTAL", "VCPU"), None),
    ("check_kvm_memory", stats("STATE", "BALLOON"), None),
    ("zabbix_kvm discover domains", FLOOR, None),
    ("kvmwatch list", stats("STATE", "CPU_TOTAL", "VCPU", "BALLOON", "BLOCK", "INTERFACE"), 1.5),
]
VIRSH = {
    "virsh -r list --all": ["virsh", "-r", "list", "--all"],
    "virsh -r domstats": ["virsh", "-r", "domstats"],
    "list | xargs virsh domstats": LOOP,
}


def run(words: list[str]) -> float:
    """Run a command; give the seconds that it took."""
    begun = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begun


def timed(commands: dict[str, list[str]], daemon: int) -> dict[str, list[Cost]]:
    """Run all commands in turn, ROUNDS times after a warm-up; give what each run cost."""
    spent = Spent(daemon)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, words in commands.items():
            cost = spent.by(None, partial(run, words))
            if number:
                costs[name].append(cost)
    return costs


def phase(title: str, ours: list[tuple[str, list[str], float | None]], daemon: int, with_cpu: bool) -> None:
    """Time one phase and print its table; the CPU time of others only where guests use none by themselves."""
    commands = dict(VIRSH)
    for name, reference, _ in ours:
        first, *rest = name.split()
        commands[name] = [str(BIN / first), *rest]
        commands.setdefault(" ".join(reference), reference)
    costs = timed(commands, daemon)

    def cells(name: str) -> str:
        wall = statistics.median(cost.wall for cost in costs[name]) * 1000
        # of clocks that tick a hundred times a second, means say more than medians
        means = [statistics.mean(column) * 1000 for column in list(zip(*costs[name]))[1:]]
        return f"{wall:8.1f}" + "".join(f"{mean:9.1f}" for mean in means if with_cpu)

    head = f"{'own CPU':>9}{'libvirtd':>9}{'QEMUs':>9}" if with_cpu else ""
    print(f"\n{title}: medians of {ROUNDS} runs, ms{'; means of CPU time, ms' if with_cpu else ''}")
    print(f"  {'':<30}{'wall':>8}{head}")
    for name in VIRSH:
        print(f"  {name:<30}{cells(name)}")
    print(f"  {'command':<30}{'wall':>8}{head} {'compared':>9} {'ratio':>6}  target")
    for name, reference, target in ours:
        other = costs[" ".join(reference)]
        ratio = statistics.median(a.wall / b.wall for a, b in zip(costs[name], other))
        mark = "" if target is None else f"{target:g} {'met' if ratio <= target else 'MISSED'}"
        compared = statistics.median(cost.wall for cost in other) * 1000
        print(f"  {name:<30}{cells(name)} {compared:9.1f} {ratio:6.2f}  {mark}")


def main() -> None:
    """Bring up the lab, time both phases, take it down."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    os.environ.pop("PYTHONPATH")  # was for this script alone
    os.environ["KVMWATCH_STATE_DIR"] = str(bed.WORK / "state")
    with running(bed.Bed()) as lab:
        phase("The lab's guests", LAB, lab.daemon.pid, with_cpu=False)
        for domain in lab.connect().listAllDomains():
            lab.remove(domain.name())
        for number in range(PAUSED):
            lab.transient(guests.small(f"small{number:03}"), paused=True)
        phase(f"{PAUSED} small paused guests", MANY, lab.daemon.pid, with_cpu=True)


main()
