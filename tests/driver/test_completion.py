"""What bash completes, with the file of the packages and the commands as they are installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from commands import CHECKS, EXAMPLE_URI, Command
from kvmwatch_terminal.cli import SUBCOMMANDS

from kvmwatch.command.roster import Roster
from kvmwatch.reading.collect import Known

ROOT = Path(__file__).parents[2]
FILE = ROOT / "packaging" / "bash-completion" / "kvmwatch"
#: as readline calls it, without a terminal: by the function that is registered for the command
BASH = """
source "$1"; COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9 command=${2%% *}
$(complete -p "$command" | sed 's/.* -F \\([^ ]*\\) .*/\\1/') "$command" 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(command: Command, line: str) -> set[str]:
    """What the command that the line begins with tells bash, as that asks it."""
    file = command._state.parent / "completed"
    asked = {"_ARGCOMPLETE": "1", "COMP_TYPE": "9", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    env = {**asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(file), "LIBVIRT_DEFAULT_URI": EXAMPLE_URI}
    assert command(line.split(maxsplit=1)[0], env=env)[:3] == (0, "", "")
    return {*file.read_text(encoding="utf-8").split("\v")} - {""}


def completed_by_bash(command: Command, line: str) -> set[str]:
    env = {**os.environ, "PATH": f"{command.bin}:{os.environ['PATH']}", "KVMWATCH_STATE_DIR": str(command._state)}
    env["LIBVIRT_DEFAULT_URI"] = EXAMPLE_URI
    ran = subprocess.run(["bash", "--norc", "-c", BASH, "bash", str(FILE), line], env=env, capture_output=True, encoding="utf-8", check=True, timeout=30)  # fmt: skip
    return {word.strip() for word in ran.stdout.splitlines() if word.strip()}


def test_in_bash(started: Command) -> None:
    assert completed_by_bash(started, "kvmwatch ") >= set(SUBCOMMANDS)
    assert completed_by_bash(started, "check_kvm_cpu --perf") == {"--perfdata"}
    assert completed_by_bash(started, "nagios_kvm publish --check po") == {"pool"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kvmwatch sh", {"show"}),
        ("kvmwatch list --prob", {"--problems"}),
        ("kvmwatch net --format ", {"table", "csv", "json"}),
        ("zabbix_kvm discover networ", {"networks"}),
        ("nagios_kvm pub", {"publish"}),
        ("kvmwatch list --sort cp", {"cpu", "cpu_time"}),
        ("kvmwatch list -o name,sta", {"name,state", "name,status", "name,started"}),
        ("kvmwatch list -o +ad", {"+addresses"}),
        ("kvmwatch top --view disks --sort write_l", {"write_latency"}),
        ("kvmwatch top --sort write_l", set()),
        ("kvmwatch net --sort dr", {"drops"}),
        ("kvmwatch net web1 --peers --sort conn", {"connections"}),
        ("kvmwatch export json --check state,net", {"state,network", "state,net"}),
    ],
)
def test_words(command: Command, line: str, words: set[str]) -> None:
    assert {word.rstrip() for word in completed(command, line)} == words


def test_names_of_vms_by_the_last_run(command: Command) -> None:
    assert completed(command, "kvmwatch show w") == set(), "libvirt is not asked"
    command._state.mkdir(exist_ok=True)
    names = {"11111111-0000-4000-8000-000000000001": "web1", "11111111-0000-4000-8000-000000000002": "db1"}
    Roster(str(command._state), EXAMPLE_URI).save(Known({**names, str(uuid.uuid4()): "web\x1b[31m"}))
    for line in (
        "kvmwatch show w",
        "kvmwatch net w",
        "kvmwatch list -d w",
        "check_kvm_cpu -x w",
        "nagios_kvm publish -d w",
    ):
        assert {word.rstrip() for word in completed(command, line)} == {"web1"}, line
    assert completed(command, "kvmwatch show -u test:///default w") == set(), "those of another hypervisor"


def test_the_file_has_every_command() -> None:
    ran = subprocess.run(["bash", "-c", 'register-python-argcomplete() { echo echo "$@"; }; source "$0"', str(FILE)], capture_output=True, encoding="utf-8", check=True)  # fmt: skip
    listed = {"kvmwatch", "nagios_kvm", "zabbix_kvm", *(f"check_kvm_{name}" for name in CHECKS)}
    assert set(ran.stdout.split()) == listed, "packaging/bash-completion/kvmwatch"


def test_without_argcomplete_nothing_is_completed_and_nothing_fails(started: Command) -> None:
    script = (
        "import sys; sys.modules['argcomplete'] = None; sys.argv = ['kvmwatch']\n"
        "from kvmwatch_terminal.cli import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], env={**os.environ, "_ARGCOMPLETE": "1"}, capture_output=True, check=False)  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, b"", b"")


@pytest.mark.parametrize("name", ["kvmwatch_terminal.cli", "check_kvm.cpu"])
def test_nobody_else_imports_it(name: str) -> None:
    script = f"import sys, {name}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert not re.search(r"\bargcomplete\b|\bcompletion\b", ran.stdout)
