"""A real Icinga Director: its command line over a PostgreSQL of its own. No web server, no Icinga to deploy to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import inside
import postgres

_MODULES = Path("/usr/share/icingaweb2/modules")
_RESOURCES = """[director]
type = "db"
db = "pgsql"
host = "127.0.0.1"
port = "{port}"
dbname = "director"
username = "postgres"
password = "none"
charset = "utf8"
"""
#: Director's kickstart takes the commands of Icinga's own library over from an Icinga; we use this one of them
_KICKSTART = (
    "insert into icinga_command (object_name, object_type, uuid, methods_execute) values "
    "('dummy', 'external_object', decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), 'PluginCheck')"
)


class Director:
    """The database and the command."""

    def __init__(self) -> None:
        self._postgres = postgres.Postgres(inside.WORK / "director", 5440)

    def up(self) -> None:
        """Make the database, and its schema by Director's own migrations."""
        self._postgres.up()
        self._postgres.run("postgres", "create database director")
        self._postgres.run("director", "create extension pgcrypto")
        etc = Path("/etc/icingaweb2")
        inside.mount("-t", "tmpfs", "-o", "mode=0755", "lab-icingaweb", etc)
        (etc / "enabledModules").mkdir()
        (etc / "modules" / "director").mkdir(parents=True)
        for name in ("director", "incubator", "reactbundle"):
            (etc / "enabledModules" / name).symlink_to(_MODULES / name)
        (etc / "resources.ini").write_text(_RESOURCES.format(port=self._postgres.port))
        (etc / "config.ini").write_text('[logging]\nlog = "none"\n')
        (etc / "modules" / "director" / "config.ini").write_text('[db]\nresource = "director"\n')
        self.cli("migration", "run")
        self._postgres.run("director", _KICKSTART)

    def down(self) -> None:
        """End the database."""
        self._postgres.down()

    def cli(self, *arguments: str, text: str | None = None) -> str:
        """Run icingacli director, and give what it prints."""
        ran = subprocess.run(
            ["icingacli", "director", *arguments], input=text, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def show(self, kind: str, name: str) -> Any:
        """An object as JSON."""
        return json.loads(self.cli(kind, "show", name, "--json"))

    def services(self) -> list[str]:
        """The names of all services that are no templates."""
        query = "select object_name from icinga_service where object_type = 'object' order by 1"
        return self._postgres.run("director", query).splitlines()
