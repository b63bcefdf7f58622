"""Checks start quickly: most of what a check takes is importing, so what few ways need is imported there."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from check_kvm.frame.judging import all_checks
from check_kvm.frame.plugin import Check

from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.reading import collect, hypervisor
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

#: each takes some tenths of a millisecond or more, and only rare ways need it
HEAVY = {
    *("asyncio", "concurrent.futures", "configparser", "copy", "dataclasses", "decimal", "email", "getpass"),
    *(
        "gettext",
        "glob",
        "http",
        "inspect",
        "json",
        "locale",
        "logging",
        "multiprocessing",
        "nagiosplugin.check",
        "psutil",
    ),
    *("pathlib", "requests", "shlex", "shutil", "socket", "ssl", "subprocess", "tempfile", "traceback"),
    *("urllib.parse", "urllib.request"),
    *("xml.etree", "xml.parsers"),
}
#: what of kvmwatch/reading all checks have imported by the time libvirt answers
READERS = {
    *("bulk", "collect", "connection", "control", "deadline", "descriptions", "domains", "hypervisor", "known"),
    *("listing", "records", "statistics"),
}
#: and what some have besides
MORE = {
    "state": {"starts", "pid_files", "proc_files"},
    "cpu": {"cpu_times", "pid_files", "proc_files"},
    "memory": {"lanes", "domain_xml", "consoles", "titles"},
    "disk": {"lanes", "domain_xml", "consoles", "titles"},
    "network": {"links", "ways", "proc_files", "domain_xml", "consoles", "titles"},
    "net": {"links", "ways", "networks", "walk", "dnsmasq", "daemons", "proc_files"},
    "pool": {
        *("lanes", "storage", "pool_paths", "pool_questions", "pool_records", "mounts", "thin_pools"),
        *("daemons", "proc_files"),
    },
    "agent": {"domain_xml", "consoles", "titles"},
}
#: what XML brings, and threads that wait for each other
OF_XML = {"copy", "xml.etree"}
OF_THREADS = {"concurrent.futures", "copy", "logging", "traceback"}


def brought(statements: str) -> set[str]:
    """The modules that these statements import, besides what a fresh Python has anyway."""
    script = f"import sys; before = {{*sys.modules}}; {statements}; print(*{{*sys.modules}} - before)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {*ran.stdout.split()}


def test_no_check_imports_what_takes_long() -> None:
    modules = ", ".join(f"check_kvm.{check.name}" for check in all_checks())
    options = "; ".join(f"parser_of(check_kvm.{check.name}.CHECK).parse_args([])" for check in all_checks())
    statements = f"import {modules}; from check_kvm.frame.check_options import parser_of; {options}"
    assert not brought(statements) & HEAVY, "import it where it is used"


UNTIL_CONNECTED = """
import sys
before = {*sys.modules}
from check_kvm.frame import plugin
from check_kvm.NAME import CHECK
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.reading import hypervisor

def open_readonly(_uri):
    raise KvmwatchError("there is no libvirt here")

hypervisor.open_readonly = open_readonly
try:
    plugin.run(CHECK, ["-u", "qemu:///system"])
except KvmwatchError:
    print(*{*sys.modules} - before)
"""


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
def test_a_check_imports_no_reader_that_it_does_not_need(check: Check) -> None:
    words = [sys.executable, "-c", UNTIL_CONNECTED.replace("NAME", check.name)]
    there = {*subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()}
    reading = {module.rpartition(".")[2] for module in there if module.startswith("kvmwatch.reading.")}
    more = f"what check_kvm_{check.name} needs belongs in MORE of tests/unit/test_start.py, what not imported where it is used"
    assert reading == READERS | MORE.get(check.name, set()), more
    needed = {"json"} if check.remembers else set()
    needed |= OF_XML if reading & {"domain_xml", "networks", "storage"} else set()
    needed |= OF_THREADS if reading & {"lanes"} else set()
    assert not there & HEAVY - needed, "import it where it is used"


def test_no_reader_imports_what_takes_long() -> None:
    modules = ", ".join(
        f"kvmwatch.reading.{module}" for modules in collect._READERS.values() for module in modules
    )
    assert not brought(f"import {modules}") & (HEAVY - OF_XML - OF_THREADS), "import it where it is used"


def test_what_is_taken_of_nagiosplugin_is_its_own() -> None:
    """Whoever imports the package has all of it, with the same states, before and after ours."""
    ours = "from check_kvm.frame import plugin_api"
    for first, then in ((ours, "import nagiosplugin"), ("import nagiosplugin", ours)):
        script = f"{first}; {then}; print(nagiosplugin.Ok is plugin_api.Ok, nagiosplugin.Range is plugin_api.Range, nagiosplugin.Check)"
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout.split()[:2] == ["True", "True"], script


WHILE_CONNECTING = """
import sys, time
from kvmwatch.model.errors import KvmwatchError
from kvmwatch.model.groups import Group
from kvmwatch.model.selection import Selection
from kvmwatch.reading import collect, hypervisor
from kvmwatch.reading.collect import Reader
from kvmwatch.reading.deadline import Deadline

needed = {f"kvmwatch.reading.{module}" for module in sys.argv[1:]}
assert not needed & {*sys.modules}

def open_readonly(_uri):
    end = time.monotonic() + 20
    while not needed <= {*sys.modules} and time.monotonic() < end:
        time.sleep(0.01)
    raise KvmwatchError(f"missing: {needed - {*sys.modules}}")

hypervisor.open_readonly = open_readonly
try:
    Reader("qemu:///system", Group.MEMORY | Group.DEFINITION, Selection(), Deadline(30)).read()
except KvmwatchError as error:
    print(error)
"""


def test_what_is_needed_is_imported_while_libvirt_connects() -> None:
    needed = ("listing", "domains", "records", "lanes", "domain_xml")
    words = [sys.executable, "-c", WHILE_CONNECTING, *needed]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "missing: set()\n"


def test_a_libvirt_that_does_not_connect_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(hypervisor, "open_readonly", lambda _uri: let_go.wait())
    reader = Reader("qemu:///system", Group.NONE, Selection(), Deadline(0.2))
    try:
        with pytest.raises(DeadlineExceeded, match=r"qemu:///system gave no answer within 0.2 s"):
            reader.read()
    finally:
        let_go.set()
