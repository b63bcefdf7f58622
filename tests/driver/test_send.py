"""zabbix_kvm send: what is said of the answers, and when it is a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import EXAMPLE_URI, Command

RUNS = "in_process"

#: takes the values of the hosts that this expression matches, as each of these servers
SENDER = r"""#!/bin/sh
cat >"$(dirname "$0")/given.$$"
for server in {servers}; do
    awk -v server="$server" '$1 ~ /{known}/ {{ taken++ }} END {{
        printf "Response from \"%s:10051\": \"processed: %d; failed: %d; total: %d; seconds spent: 0.001\"\n",
            server, taken, NR - taken, NR }}' "$(dirname "$0")/given.$$"
done
exit 2
"""
TAKEN = "127.0.0.1:10051 accepted 1 of 1 values"


@pytest.fixture
def web1(command: Command) -> str:
    rows = json.loads(command("zabbix_kvm", "discover", "domains", "-u", EXAMPLE_URI).out)
    return str(rows[0]["{#VM.UUID}"])


def sent(
    command: Command, folder: Path, known: str, *options: str, servers: str = "127.0.0.1"
) -> tuple[int, str, str]:
    """Send the example's data to servers that know these hosts."""
    script = folder / "sender"
    script.write_text(SENDER.format(known=known, servers=servers))
    script.chmod(0o755)
    ran = command(
        *("zabbix_kvm", "send", "-u", EXAMPLE_URI, "--config", "/dev/null", "--host", "kvm9"),
        *("--sender", str(script), *options),
    )
    return ran.code, ran.out, ran.err


def test_the_hypervisor_alone(command: Command, tmp_path: Path) -> None:
    assert sent(command, tmp_path, "kvm9") == (0, f"{TAKEN}\n", "")


def test_guests_that_are_no_hosts_are_told_and_no_failure(command: Command, tmp_path: Path, web1: str) -> None:
    code, out, err = sent(command, tmp_path, f"kvm9|{web1}", "--guests")
    assert (code, err) == (0, "")
    assert out == (
        f"{TAKEN}; 127.0.0.1:10051 accepted 1 of 8 values of guests; 7 guests are no hosts of their own there (yet)\n"
    )
    code, out, err = sent(command, tmp_path, "kvm9", "--guests")
    assert (code, err) == (0, "")
    assert "accepted 0 of 8 values of guests; 8 guests are no hosts" in out
    assert sent(command, tmp_path, web1, "--guests-only")[0] == 0


def test_a_hypervisor_that_is_refused_is_a_failure(command: Command, tmp_path: Path, web1: str) -> None:
    code, out, err = sent(command, tmp_path, web1, "--guests")
    assert (code, out) == (2, "")
    assert "127.0.0.1:10051 accepted 0 of 1 values; 127.0.0.1:10051 accepted 1 of 8 values of guests;" in err


def test_guests_of_which_none_is_taken_are_a_failure_where_there_is_nothing_else(
    command: Command, tmp_path: Path
) -> None:
    code, out, err = sent(command, tmp_path, "kvm9", "--guests-only")
    assert (code, out) == (2, "")
    assert err.startswith(
        "zabbix_kvm: 127.0.0.1:10051 accepted 0 of 8 values of guests; Zabbix refuses values for"
    )


def test_every_server_is_told_of(command: Command, tmp_path: Path) -> None:
    assert sent(command, tmp_path, "kvm9", servers="a b")[:2] == (
        0,
        "a:10051 accepted 1 of 1 values; b:10051 accepted 1 of 1 values\n",
    )


def test_each_value_has_the_time_of_the_reading(command: Command, tmp_path: Path) -> None:
    """So that what arrives late, from a proxy that was away, stands where it belongs."""
    assert sent(command, tmp_path, "kvm9", "--guests")[0] == 0
    lines = [line for file in tmp_path.glob("given.*") for line in file.read_text().splitlines()]
    times = {line.split()[2] for line in lines}
    (document,) = (json.loads(json.loads(line.split(" ", 3)[3])) for line in lines if line.startswith('"kvm9"'))
    assert times == {str(int(document["time"]))}
    assert len(lines) == 10


def test_a_guest_is_told_its_own_uuid(command: Command, tmp_path: Path) -> None:
    """By which its host asks hypervisors for it."""
    sent(command, tmp_path, "none", "--guests-only")
    told = [line.split(" ", 3) for file in tmp_path.glob("given.*") for line in file.read_text().splitlines()]
    documents = {json.loads(host): json.loads(json.loads(text)) for host, _key, _time, text in told}
    watched = {uuid: document for uuid, document in documents.items() if "discovery" in document}
    assert (len(documents), len(watched)) == (9, 8), "one is to be left alone"
    for uuid, document in watched.items():
        assert document["discovery"]["vm"] == [{"{#VM.UUID}": uuid}]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "ERROR: [line 1] '-' encountered as 'Hostname', but no default hostname was specified",
            "the agent's configuration has no Hostname; give the host's name in Zabbix with --host",
        ),
        ("ERROR: 'ServerActive' parameter required", "'ServerActive' parameter required"),
        (
            'zabbix_sender [7]: DEBUG: In main()\ncannot open config file "/x": [2] No such file or directory',
            'cannot open config file "/x": [2] No such file or directory',
        ),
        ("", "it said nothing"),
    ],
)
def test_why_nothing_could_be_sent(command: Command, tmp_path: Path, said: str, told: str) -> None:
    script = tmp_path / "sender"
    script.write_text(f"#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{said}\nEND\nexit 1\n")
    script.chmod(0o755)
    ran = command("zabbix_kvm", "send", "-u", EXAMPLE_URI, "--config", "/dev/null", "--sender", str(script))
    assert (ran.code, ran.out, ran.err) == (3, "", f"zabbix_kvm: {script} could not send: {told}\n")


def test_a_server_that_is_away_costs_this_run_and_the_next_one_is_taken(command: Command, tmp_path: Path) -> None:
    script = tmp_path / "away"
    script.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        'echo "zabbix_sender [7]: DEBUG: unable to connect to [127.0.0.1:10051]: connection refused"\nexit 1\n'
    )
    script.chmod(0o755)
    ran = command("zabbix_kvm", "send", "-u", EXAMPLE_URI, "--config", "/dev/null", "--sender", str(script))
    assert (ran.code, ran.out) == (3, "")
    assert "could not send: unable to connect to [127.0.0.1:10051]: connection refused" in ran.err
    assert sent(command, tmp_path, "kvm9")[0] == 0
