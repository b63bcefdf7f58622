"""A real Icinga Director: its command line over a PostgreSQL of its own, without a web server."""

from __future__ import annotations

import json
import os
import shutil
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
        self.lists = Path("/var/lib/kvmwatch-director")
        self._php = inside.WORK / "director-php"

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
        self.lists.mkdir(parents=True, exist_ok=True)
        (etc / "modules" / "fileshipper").mkdir()
        (etc / "modules" / "fileshipper" / "imports.ini").write_text(f'[kvmwatch]\nbasedir = "{self.lists}"\n')
        self._php.mkdir()
        # each command is a process of its own, and would compile all of Icinga Web anew
        settings = ("opcache.enable_cli=1", "opcache.file_cache_only=1", f"opcache.file_cache={self._php}")
        (self._php / "opcache.ini").write_text("\n".join(settings))
        subprocess.run(["icingacli", "module", "enable", "fileshipper"], check=True)
        self.cli("migration", "run")
        self._postgres.run("director", _KICKSTART)

    def down(self) -> None:
        """End the database."""
        self._postgres.down()
        for folder in (self.lists, self._php):
            shutil.rmtree(folder, ignore_errors=True)

    def cli(self, *arguments: str, text: str | None = None) -> str:
        """Run icingacli director, and give what it prints."""
        environment = {**os.environ, "PHP_INI_SCAN_DIR": f":{self._php}"}  # beside Debian's own
        words = ["icingacli", "director", *arguments]
        ran = subprocess.run(words, input=text, capture_output=True, text=True, check=False, env=environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def deploys_to(self, **icinga: str) -> None:
        """Have it deploy to an Icinga: its ``endpoint``, ``host``, ``port``, ``username`` and ``password``."""
        lines = "".join(f'{name} = "{value}"\n' for name, value in icinga.items())
        Path("/etc/icingaweb2/modules/director/kickstart.ini").write_text(f"[config]\n{lines}")
        self.cli("kickstart", "run")

    def show(self, kind: str, name: str) -> Any:
        """An object as JSON."""
        return json.loads(self.cli(kind, "show", name, "--json"))

    def services(self) -> list[str]:
        """The names of all services that are no templates."""
        return self._objects("service")

    def hosts(self) -> list[str]:
        """The names of all hosts that are no templates."""
        return self._objects("host")

    def _objects(self, kind: str) -> list[str]:
        query = f"select object_name from icinga_{kind} where object_type = 'object' order by 1"
        return self._postgres.run("director", query).splitlines()
