"""PHP on a real server: what PDO says of a refusal, as the command line and php-fpm log it.

PHP keeps no pool. `refuse` runs a small script that connects once and is not caught, and returns what PHP logged. PHP with
PDO for PostgreSQL must be installed (Debian: php-cli, php-pgsql).
"""

from __future__ import annotations

import shutil
import subprocess

RUN_TIMEOUT_S = 30

PROGRAM = 'new PDO("pgsql:host=127.0.0.1;port=%d;dbname=postgres;user=%s");'


def require() -> str:
    """The program, or a skip that says why."""
    import pytest

    php = shutil.which("php")
    if php is None:
        pytest.skip("PHP is not installed")
    modules = subprocess.run([php, "-m"], check=True, capture_output=True, text=True, timeout=RUN_TIMEOUT_S).stdout
    if "pdo_pgsql" not in modules:
        pytest.skip("PHP has no PDO for PostgreSQL")
    return php


def refuse(port: int, *, user: str) -> str:
    """Connect once without catching; returns the error log, with the times PHP writes."""
    command = [require(), "-d", "display_errors=0", "-d", "log_errors=1", "-d", "date.timezone=UTC"]
    done = subprocess.run(
        [*command, "-d", "error_log=/dev/stderr", "-r", PROGRAM % (port, user)],
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    return done.stderr
