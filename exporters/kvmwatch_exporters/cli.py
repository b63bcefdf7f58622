"""kvmwatch export: figures and verdicts of all VMs, for Prometheus, Telegraf, collectd, or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from check_kvm.frame import known
from check_kvm.frame.check_options import add_choice, add_site_options
from check_kvm.frame.judging import chosen

from kvmwatch import __version__
from kvmwatch.command import watchdog
from kvmwatch.command.frame import Outcome
from kvmwatch.command.options import Parser, add_common, path
from kvmwatch.command.telling import tell
from kvmwatch.command.watchdog import UNKNOWN
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.model.snapshot import LONGEST_WHY, timings
from kvmwatch.model.text import readable, without_password
from kvmwatch.reading.deadline import Deadline
from kvmwatch_exporters import apart, collectd, influx, listen, prometheus
from kvmwatch_exporters.complaints import READABLE, Complaints
from kvmwatch_exporters.kept import Kept
from kvmwatch_exporters.reading import Reading, read
from kvmwatch_exporters.rows import Row, failed, rows

PROG = "kvmwatch export"

_SUFFIX = ".prom"
_INTERVAL = 10.0  # seconds, collectd's own default
_FOR_RATES = 3.0  # seconds of a first reading, which waits for a second one; those of what is new do the same
_UNREAD = Outcome("", UNKNOWN)  # nobody reads any more


def add_options(command: Parser) -> None:
    """Add a subcommand for each format to the command's parser."""
    command.usage = f"{PROG} [-h] FORMAT [OPTION ...]"
    command.description = "Tells other systems what the checks see: every figure, and the verdict of every check."
    formats: argparse._SubParsersAction[Any] = command.add_subparsers(
        title="formats",
        dest="format",
        required=True,
        metavar="FORMAT",
        prog=PROG,
        parser_class=Parser,
    )
    for name, run, help_ in (
        ("prometheus", _prometheus, "text on stdout, a file for node_exporter, or an exporter over HTTP"),
        ("influx", _influx, "line protocol, for Telegraf's exec and execd"),
        ("collectd", _collectd, "for collectd's exec plugin, for ever"),
        ("json", _json, "a document on stdout"),
    ):
        of = formats.add_parser(name, help=help_, description=help_, allow_abbrev=False)
        add_common(of)
        add_site_options(of)
        add_choice(
            of,
            f"judge, read and tell only what these need: {', '.join(known.checks())}",
            "every figure, and the verdicts that are asked by default",
        )
        of.set_defaults(run=partial(_run, run), reader=name)
        if name == "prometheus":
            _add_prometheus(of)
        elif name == "influx":
            of.add_argument(
                "--execd", action="store_true", help="read once for each line on stdin (Telegraf's execd, STDIN)"
            )


def _add_prometheus(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--output",
        type=path,
        metavar=f"FILE{_SUFFIX}",
        help="replace this file, for node_exporter's textfile collector",
    )
    where.add_argument(
        "--listen",
        nargs="?",
        type=listen.Address.parse,
        const=listen.DEFAULT,
        metavar="ADDRESS:PORT",
        help=f"answer scrapes over HTTP until it is ended (default: {listen.DEFAULT}, this machine alone)",
    )


def _run(run: Callable[[argparse.Namespace], Outcome], options: argparse.Namespace) -> Outcome:
    """Run a format, when all checks that were chosen are to be had. Raises UsageError."""
    chosen(options.check, options.uri)
    return run(options)


def _prometheus(options: argparse.Namespace) -> Outcome:
    if options.listen:
        options.reader = f"listen {options.listen}"
        listen.serve(options)
    if options.output is None:
        exported, problem, _ = _read(options)
        return _said("prometheus", prometheus.text(exported, problem), problem, UNKNOWN)
    if not options.output.endswith(_SUFFIX):
        raise UsageError(f"--output {options.output}: node_exporter reads only files that end in {_SUFFIX}")
    options.reader = os.path.abspath(options.output)
    exported, problem, _ = _read(options)
    prometheus.write(options.output, prometheus.text(exported, problem))
    if problem:
        raise KvmwatchError(problem)
    return Outcome("")


def _influx(options: argparse.Namespace) -> Outcome:
    if options.execd:
        options.reader = "execd"
        return _execd(options)
    exported, problem, when = _read(options)
    return _said("influx", influx.text(exported, when), problem, 0)  # Telegraf drops all of a command that fails


def _execd(options: argparse.Namespace) -> Outcome:
    apart.stay(options)
    complaints = Complaints()
    for _ in sys.stdin or ():  # closed: as if it had ended
        watchdog.renew()
        try:
            text, problem = apart.read(options, _influx_lines, complaints, options.timeout), ""
        except KvmwatchError as error:
            text, problem = influx.text(failed(), time.time()), str(error)
        complaints.say("reading", problem, READABLE)
        if not tell(text, sys.stdout):
            return _UNREAD
    return Outcome("")


def _influx_lines(reading: Reading) -> str:
    return influx.text(rows(reading), reading.snapshot.time)


def _collectd(options: argparse.Namespace) -> Outcome:
    host = os.environ.get("COLLECTD_HOSTNAME") or socket.gethostname()
    interval = _interval(os.environ.get("COLLECTD_INTERVAL", ""))
    seconds = min(options.timeout, max(interval * 0.9, _FOR_RATES))
    make = partial(collectd.told, host, interval)
    apart.stay(options)
    complaints = Complaints()
    kept = Kept(options, host)
    before = kept.load()
    unread = (host, "reading")
    following = time.monotonic()
    while True:
        watchdog.renew()
        try:
            told = apart.read(options, make, complaints, seconds)
            now, values = collectd.following(before, told), told.values
            now[unread] = collectd.Problem(*unread, 0, "the hypervisor can be read", host)
        except KvmwatchError as error:
            now, values = {**before, unread: collectd.Problem(*unread, 2, str(error), host)}, []
        lines = [collectd.up(host, interval, not now[unread].code), *values]
        lines += collectd.notifications(before, now, time.time())
        if not tell("\n".join([*lines, ""]), sys.stdout):
            return _UNREAD
        complaints.say("kept", kept.save(now) or "", "what was told is kept again")
        before = now
        following = max(following + interval, time.monotonic())
        time.sleep(max(0.0, following - time.monotonic()))


def _interval(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        return _INTERVAL
    return seconds if 1 <= seconds < 86400 else _INTERVAL


def _json(options: argparse.Namespace) -> Outcome:
    exported, problem, when = _read(options)
    document = {
        "version": __version__,
        "time": round(when, 3),
        **({"error": problem} if problem else {}),
        "rows": [
            {key: value for key, value in row._asdict().items() if value or key == "entity"} for row in exported
        ],
    }
    return _said("json", json.dumps(document, ensure_ascii=False, separators=(",", ":")), problem, UNKNOWN)


def _read(options: argparse.Namespace) -> tuple[list[Row], str, float]:
    """The rows, what went wrong (then they say that it did), and the Unix time of the reading."""
    try:
        reading = read(options, Deadline.of_command(options.timeout))
    except UsageError:
        raise
    except KvmwatchError as error:
        return list(failed()), without_password(str(error)), time.time()
    if options.verbose >= 3:
        print(f"{PROG}: {timings(reading.snapshot)}", file=sys.stderr)
    for text in reading.unmatched:
        print(f"{PROG}: no domain matches -d {readable(text, LONGEST_WHY)}", file=sys.stderr)
    return list(rows(reading)), "", reading.snapshot.time


def _said(name: str, text: str, problem: str, code: int) -> Outcome:
    if problem:
        print(f"{PROG} {name}: {problem}", file=sys.stderr)
    return Outcome(text.rstrip("\n"), code if problem else 0)
