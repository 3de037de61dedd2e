"""A real MariaDB server for one test: unprivileged, private directory, private port.

    with MariaDB(extra_port=port, extra_max_connections=2) as server:
        server.run("CREATE USER 'app_web'@'%' IDENTIFIED BY 'secret'")
        filled = server.fill("app_web", "secret", further=3)
        server.connect("root", port=port, host="127.0.0.1")

Debian's package brings it; its own service is never used. MariaDB raises max_connections to 10 where less is asked for,
and keeps one slot beyond it for users with CONNECTION ADMIN; `extra_port` lets a test look inside when all are taken.
"""

from __future__ import annotations

import shutil
from typing import ClassVar

from tests.lab.install import mariadb_server
from tests.lab.mysql import MySQL
from tests.lab.server import START_TIMEOUT_S, ServerFailedError, absent


def require() -> str:
    """The server's program, or a skip that says why; a failure where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    found = mariadb_server()
    if found is None:
        absent("MariaDB is not installed: run python -m tests.lab.install")
    return found


class MariaDB(MySQL):
    """One server, as `MySQL`; `log_warnings` of 4 has it write all it can about connections."""

    NAME: ClassVar[str] = "MariaDB"
    DEFAULTS: ClassVar[dict[str, object]] = {**MySQL.DEFAULTS, "log_warnings": 4}

    def _initialise(self) -> None:
        options = ["--no-defaults", f"--datadir={self.data}", "--basedir=/usr", "--skip-test-db", "--skip-name-resolve"]
        program = shutil.which("mariadb-install-db") or "mariadb-install-db"
        process = self._popen([program, *options, "--auth-root-authentication-method=normal"], "install.out")
        if process.wait(START_TIMEOUT_S):
            raise ServerFailedError("mariadb-install-db failed:\n" + (self.base / "install.out").read_text())

    def _program(self) -> list[str]:
        return [require(), "--no-defaults", "--basedir=/usr"]

    def _environment(self) -> dict[str, str]:
        return {}
