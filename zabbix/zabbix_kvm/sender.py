"""Pushing values with the distribution's zabbix_sender, which brings its TLS, its server list and its proxies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kvmwatch.command import programs
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.reading.deadline import Deadline

#: where the distributions keep the agent's configuration; the first that there is counts
CONFIGS = ("/etc/zabbix/zabbix_agentd.conf", "/etc/zabbix/zabbix_agent2.conf", "/etc/zabbix_agentd.conf")
#: in the sender's input: the host that the agent's configuration names
CONFIGURED_HOST = "-"

_RESPONSE = re.compile(r'esponse from "([^"]*)".*?processed: (\d+); failed: (\d+); total: (\d+)')


class Value(NamedTuple):
    """A value for a trapper item; ``time`` is Unix time in seconds."""

    host: str
    key: str
    time: float
    text: str


class Accepted(NamedTuple):
    """What one server or proxy answered: how many values it took, and of how many."""

    server: str
    processed: int
    total: int


def default_config() -> str:
    """The agent's configuration file of this machine. Raises KvmwatchError."""
    for config in CONFIGS:
        if Path(config).is_file():
            return config
    raise KvmwatchError(f"no agent configuration here ({', '.join(CONFIGS)}); name one with --config")


def send(values: Iterable[Value], config: str, program: str, deadline: Deadline) -> list[Accepted]:
    """Push the values, 250 a connection as zabbix_sender does it, and give what each server accepted.

    Raises KvmwatchError when the sender cannot be run, takes too long, or a server does not answer.
    """
    text = "".join(line(value) for value in values)
    arguments = [program, "-vv", "--config", config, "--with-timestamps", "--input-file", "-"]
    try:
        ran = programs.run(arguments, deadline, text.encode())
    except FileNotFoundError:
        raise KvmwatchError(f"there is no {program}; install package zabbix-sender (or zabbix-agent)") from None
    except OSError as error:
        raise KvmwatchError(f"cannot run {program}: {error.strerror}") from None
    except DeadlineExceeded:
        raise KvmwatchError(f"{program} was not done within the time limit; is the server reachable?") from None
    if ran.cut:
        raise KvmwatchError(
            f"{program} says more than {programs.LIMIT // 1024} KiB: what was accepted is not known"
        )
    answers = accepted(ran.said)
    if not answers or ran.code not in (0, 2):  # 2: some values were refused, which the answers tell
        raise KvmwatchError(f"{program} could not send: {_reason(ran.said)}")
    return answers


def line(value: Value) -> str:
    """One line of zabbix_sender's input: HOST KEY SECONDS VALUE, quoted as its manual page says."""
    host = value.host if value.host == CONFIGURED_HOST else _quoted(value.host)
    return f"{host} {_quoted(value.key)} {int(value.time)} {_quoted(value.text)}\n"


def accepted(said: str) -> list[Accepted]:
    """Add up the answers that zabbix_sender -vv prints, one per connection, by server."""
    sums: dict[str, Accepted] = {}
    for server, processed, _failed, total in _RESPONSE.findall(said):
        before = sums.get(server, Accepted(server, 0, 0))
        sums[server] = Accepted(server, before.processed + int(processed), before.total + int(total))
    return list(sums.values())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _reason(said: str) -> str:
    # its log lines begin with "zabbix_sender [PID]: "; of the debugging ones only a failed connection matters
    lines = [re.sub(r"^\d*zabbix_sender \[\d+\]: ", "", text) for text in said.splitlines() if text.strip()]
    wanted = [text for text in lines if "nable to connect" in text or not text.startswith("DEBUG")]
    if not wanted:
        return "it said nothing"
    if "no default hostname" in wanted[0]:
        return "the agent's configuration has no Hostname; give the host's name in Zabbix with --host"
    return wanted[0].removeprefix("DEBUG: ").removeprefix("ERROR: ")
