"""A PostgreSQL server in a folder of the lab."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

from waiting import eventually


class Postgres:
    """The server; everybody on its loopback port is its administrator."""

    def __init__(self, work: Path, port: int) -> None:
        """``work`` is made."""
        self.port = port
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Make a cluster and start it."""
        self._work.mkdir()
        shutil.chown(self._work, "postgres", "postgres")
        self._work.chmod(0o700)
        *_, programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        data = self._work / "data"
        make = (programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        subprocess.run(
            self._command(*make, "--no-locale", "--no-sync"), check=True, stdout=subprocess.DEVNULL, cwd="/"
        )
        # none of it is to survive a crash, and no query is so long that compiling it would pay
        quick = ("-F", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "jit=off")
        options = ("-k", self._work, "-h", "127.0.0.1", "-p", self.port, *quick, "-c", "autovacuum_naptime=5")
        with open(self._work / "out", "ab") as log:
            self._process = subprocess.Popen(
                self._command(programs / "postgres", "-D", data, *options), stdout=log, stderr=log, cwd="/"
            )
        eventually("PostgreSQL answers", self._answers)

    def run(self, database: str, statement: str) -> str:
        """Run a statement, and give its rows as lines."""
        ran = subprocess.run(
            [*self._psql(database), "-Atc", statement], capture_output=True, text=True, check=True, cwd="/"
        )
        return ran.stdout

    def load(self, database: str, file: Path) -> None:
        """Run the statements of a compressed file."""
        with subprocess.Popen(["zcat", file], stdout=subprocess.PIPE) as unpacked:
            subprocess.run(
                self._psql(database), stdin=unpacked.stdout, stdout=subprocess.DEVNULL, check=True, cwd="/"
            )

    def down(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)

    def _answers(self) -> bool:
        try:
            self.run("postgres", "select 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def _psql(self, database: str) -> list[str]:
        address = ("-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-d", database)
        return self._command("psql", "-qv", "ON_ERROR_STOP=1", *address)

    def _command(self, *arguments: object) -> list[str]:
        return ["chroot", "--userspec=postgres:postgres", "/", *map(str, arguments)]
