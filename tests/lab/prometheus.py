"""A real Prometheus and the exporters of the field in front of lab servers: unprivileged, private directories and ports.

    with Postgres(15) as server, PostgresExporter(server) as exporter, Prometheus(exporter) as prometheus:
        exporter.page()
        prometheus.wait_for("pg_up", 3)

Where a program is absent, `require` skips the test; CONNFORENSICS_NO_SKIP=1 makes that a failure. Debian's exporter of
PgBouncer (1.7) does not start with a PgBouncer of 1.8 or newer, so there is none here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import ClassVar

from tests.lab.mysql import MySQL
from tests.lab.postgres import Postgres
from tests.lab.server import Server, absent

SCRAPED_EVERY = "500ms"


def require(*programs: str) -> None:
    """Skip the test where a program is not installed; fail where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    for program in programs:
        if shutil.which(program) is None:
            absent(f"{program} is not installed: apt-get install {program}")


class _Web(Server):
    """A program that answers at `/metrics`."""

    STOPPED_BY: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def log_path(self) -> Path:
        """What it wrote."""
        return self.base / "server.out"

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}"

    def page(self) -> str:
        """The exposition page as it is now."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def _initialise(self) -> None:
        """Nothing has to be there."""

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.page())
        return False


class PostgresExporter(_Web):
    """postgres_exporter; it scrapes as `user` with a connection of its own."""

    NAME = PROGRAM = "prometheus-postgres-exporter"

    def __init__(self, server: Postgres, user: str = "postgres") -> None:
        super().__init__()
        self._server, self._user_name = server, user

    def _environment(self) -> dict[str, str]:
        place = f"127.0.0.1:{self._server.port}"
        return {"DATA_SOURCE_NAME": f"postgresql://{self._user_name}@{place}/postgres?sslmode=disable"}

    def _command(self) -> list[str]:
        return [self.PROGRAM, f"--web.listen-address={self.address}"]


class MysqlExporter(_Web):
    """mysqld_exporter with its process list; `user` logs in without a password."""

    NAME = PROGRAM = "prometheus-mysqld-exporter"

    def __init__(self, server: MySQL, user: str) -> None:
        super().__init__()
        self._server, self._user_name = server, user

    def _environment(self) -> dict[str, str]:
        return {"DATA_SOURCE_NAME": f"{self._user_name}:@(127.0.0.1:{self._server.port})/"}

    def _command(self) -> list[str]:
        return [self.PROGRAM, f"--web.listen-address={self.address}", "--collect.info_schema.processlist"]


class Prometheus(_Web):
    """A Prometheus that scrapes itself and others."""

    NAME = PROGRAM = "prometheus"

    def __init__(self, *scraped: _Web, every: str = SCRAPED_EVERY) -> None:
        super().__init__()
        self._scraped = scraped
        self._every = every

    @property
    def url(self) -> str:
        """Its API's address."""
        return f"http://{self.address}"

    def samples(self, name: str) -> int:
        """How often a metric was scraped, by its most frequent series."""
        asked = urllib.parse.quote(f"max(count_over_time({name}[10m]))")
        with urllib.request.urlopen(f"{self.url}/api/v1/query?query={asked}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return int(found[0]["value"][1]) if found else 0

    def wait_for(self, name: str, count: int, timeout_s: float = 30.0) -> None:
        """Wait until a metric was scraped so often."""
        until = time.monotonic() + timeout_s
        while self.samples(name) < count:
            if time.monotonic() > until:
                raise AssertionError(f"{name} was scraped {self.samples(name)} times in {timeout_s} s, not {count}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):
            return True
        return False

    def _command(self) -> list[str]:
        targets = json.dumps([each.address for each in (self, *self._scraped)])
        (self.base / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {self._every}, scrape_timeout: {self._every}}}\n"
            f"scrape_configs: [{{job_name: lab, static_configs: [{{targets: {targets}}}]}}]\n"
        )
        return [
            self.PROGRAM, f"--config.file={self.base}/prometheus.yml", f"--storage.tsdb.path={self.base}/d",
            f"--web.listen-address={self.address}",
        ]  # fmt: skip
