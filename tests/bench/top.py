"""What a reading of kvmwatch top costs, without a lab: "make bench-top", on libvirt's test driver.

First CPU time of all its processes, from one reading to the next; then its stages by themselves, in one process, and
where there is valgrind their instructions, which are the same on a machine that is busy. libvirt's part is the test
driver's own: it reads its file at each connection, inside our process, which no daemon does.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import libvirt
import testdriver
from kvmwatch_terminal.top import batch, taking, warm  # noqa: F401 - warm has all imported
from kvmwatch_terminal.top.drawing import Size, drawn
from kvmwatch_terminal.top.feed import News
from kvmwatch_terminal.top.model import State
from kvmwatch_terminal.verdicts import judged

from kvmwatch.reading.deadline import Deadline

VMS = [int(number) for number in os.environ.get("VMS", "100,1000").split(",")]
READINGS, DELAY = 10, 3
ROUNDS = 7
_CHILD_SUBREAPER = 36  # of prctl: orphans become ours, with what they have cost


def node(vms: int, folder: str) -> str:
    """The URI of a hypervisor with so many VMs."""
    file = Path(folder, f"{vms}.xml")
    file.write_text(testdriver.node([f"vm{number:04}" for number in range(vms)]))
    return f"test://{file}"


def cpu(uri: str, readings: int) -> float:
    """Seconds of CPU that so many readings take, with all that begins and ends with them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [str(Path(sys.executable).parent / "kvmwatch"), "top", "-u", uri, "-b"]
    subprocess.run([*words, "-n", str(readings), "-d", str(DELAY)], stdout=subprocess.DEVNULL, check=True)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def stages(uri: str, folder: str) -> dict[str, Callable[[], object]]:
    """What a reading is made of, each to be done again and again."""
    options = argparse.Namespace(uri=uri, domain=[], exclude=[], config=None, state_dir=folder)
    _, samples = taking.take(options, taking.Asked(), {}, Deadline(600))
    time.sleep(1)
    taken, after = taking.take(options, taking.Asked(), samples, Deadline(600))
    sent = pickle.dumps((taken, after), pickle.HIGHEST_PROTOCOL)
    state, news = State(), News(taken)
    checks, config = taking.of_domains(), taking.site_config(None)
    return {
        "a whole reading": lambda: taking.take(options, taking.Asked(), samples, Deadline(600)),
        "of that libvirt's test driver": lambda: libvirt.openReadOnly(uri),
        "of that verdicts on the VMs": lambda: judged(taken.snapshot, checks, config),
        "to the other process": lambda: pickle.dumps((taken, after), pickle.HIGHEST_PROTOCOL),
        "and there": lambda: pickle.loads(sent),
        "as text (-b)": lambda: batch.as_text(state, taken, False),
        "a frame of 50 x 200": lambda: drawn(state, news, Size(50, 200)),
    }


def milliseconds(stage: Callable[[], object]) -> float:
    """Of CPU, the least of some rounds."""
    costs = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        stage()
        costs.append(time.process_time() - begun)
    return min(costs) * 1000


def instructions(vms: int, name: str) -> str:
    """Millions of one time, as the difference of three times and one."""
    if not shutil.which("valgrind"):
        return ""
    counted = []
    for times in (1, 3):
        words = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        ran = subprocess.run(
            [*words, sys.executable, __file__, str(vms), name, str(times)],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        found = re.search(r"I\s+refs:\s+([\d,]+)", ran.stderr)
        counted.append(int(found[1].replace(",", "")) if found else 0)
    return f"{(counted[1] - counted[0]) / 2e6:12.1f}"


def main() -> None:
    """Measure, and print a table for each number of VMs."""
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        for vms in VMS:
            uri = node(vms, folder)
            each = (cpu(uri, 2 + READINGS) - cpu(uri, 2)) / READINGS
            print(f"{vms} VMs: {each * 1000:.0f} ms of CPU each {DELAY} s, {each / DELAY:.1%} of one CPU")
            print(f"  {'':<30}{'ms':>8}{'M instr.':>12}")
            for name, stage in stages(uri, folder).items():
                print(f"  {name:<30}{milliseconds(stage):8.1f}{instructions(vms, name)}", flush=True)


def once(vms: str, name: str, times: str) -> None:
    """Do a stage so many times, for who counts."""
    with tempfile.TemporaryDirectory() as folder:
        stage = stages(node(int(vms), folder), folder)[name]
        for _ in range(int(times)):
            stage()


once(*sys.argv[1:]) if sys.argv[1:] else main()
