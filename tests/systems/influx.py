"""A real InfluxDB 1, as Debian has it, for what Icinga's InfluxdbWriter sends."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any, NamedTuple

import inside
import requests
from waiting import eventually

URL = "http://127.0.0.1:8086"

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:8088"
[meta]
dir = "{work}/meta"
[data]
dir = "{work}/data"
wal-dir = "{work}/wal"
[http]
bind-address = "127.0.0.1:8086"
log-enabled = false
[monitor]
store-enabled = false
"""


class Point(NamedTuple):
    """What one result said of one metric: seconds, tags, and the fields that have a value."""

    time: int
    tags: dict[str, str]
    fields: dict[str, float]


class Influx:
    """The daemon, with one database."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._work = inside.WORK / "influxdb"
        self._work.mkdir()
        self._daemon: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start it, and make the database."""
        config = self._work / "influxdb.conf"
        config.write_text(CONFIG.format(work=self._work))
        with open(self._work / "log", "wb") as log:
            self._daemon = subprocess.Popen(["influxd", "run", "-config", config], stdout=log, stderr=log)
        eventually("InfluxDB answers", self._answers)
        answer = requests.post(f"{URL}/query", params={"q": f"CREATE DATABASE {self._database}"}, timeout=30)
        answer.raise_for_status()

    def down(self) -> None:
        """End it, and forget what it has."""
        if self._daemon:
            self._daemon.terminate()
            self._daemon.wait(30)
        shutil.rmtree(self._work)

    def points(self, measurement: str) -> list[Point]:
        """All points, by time."""
        points = []
        for found in self._query(f"SELECT * FROM {measurement} GROUP BY *"):
            for time, *values in found["values"]:
                fields = dict(zip(found["columns"][1:], values))
                known = {name: value for name, value in fields.items() if value is not None}
                points.append(Point(time, found["tags"], known))
        return sorted(points, key=lambda point: point.time)

    def _query(self, query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{URL}/query", params={"db": self._database, "epoch": "s", "q": query}, timeout=30)
        answer.raise_for_status()
        (result,) = answer.json()["results"]
        assert "error" not in result, result
        found: list[dict[str, Any]] = result.get("series", [])
        return found

    def _answers(self) -> bool:
        assert self._daemon
        assert self._daemon.poll() is None, (self._work / "log").read_text()
        try:
            return requests.get(f"{URL}/ping", timeout=5).ok
        except requests.RequestException:
            return False
