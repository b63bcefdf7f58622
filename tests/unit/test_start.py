"""Checks start quickly: most of what a check takes is importing, so what few ways need is imported there."""

from __future__ import annotations

import subprocess
import sys

from check_kvm.frame.judging import all_checks

#: each takes some milliseconds, and only rare ways need it
HEAVY = {
    *("asyncio", "concurrent.futures", "configparser", "copy", "dataclasses", "decimal", "email", "getpass"),
    *("http", "inspect", "logging", "multiprocessing", "nagiosplugin.check", "psutil", "requests", "shlex"),
    *("shutil", "socket", "ssl", "subprocess", "tempfile", "traceback", "urllib.request", "xml.etree"),
}


def test_no_check_imports_what_takes_long() -> None:
    modules = ", ".join(f"check_kvm.{check.name}" for check in all_checks())
    options = "; ".join(f"parser_of(check_kvm.{check.name}.CHECK).parse_args([])" for check in all_checks())
    # besides what a fresh Python has anyway
    script = (
        f"import sys; before = {{*sys.modules}}; import {modules}; "
        f"from check_kvm.frame.check_options import parser_of; {options}; print(*{{*sys.modules}} - before)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {*ran.stdout.split()} & HEAVY, "import it where it is used"


def test_what_is_taken_of_nagiosplugin_is_its_own() -> None:
    """Whoever imports the package has all of it, with the same states, before and after ours."""
    ours = "from check_kvm.frame import plugin_api"
    for first, then in ((ours, "import nagiosplugin"), ("import nagiosplugin", ours)):
        script = f"{first}; {then}; print(nagiosplugin.Ok is plugin_api.Ok, nagiosplugin.Range is plugin_api.Range, nagiosplugin.Check)"
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout.split()[:2] == ["True", "True"], script
