"""What a caller names a server by, and why a password is no part of it.

A command line is read by every user of the machine (`ps`), stays in the shell's history and in systemd's unit files.
So a target with a password in it is refused; the drivers' own ways remain: ~/.pgpass, a service file or PGPASSWORD for
PostgreSQL and PgBouncer, an option file (`--defaults-file`, ~/.my.cnf) or MYSQL_PWD for MySQL, MariaDB and ProxySQL,
~/.netrc or PROMETHEUS_TOKEN for Prometheus. The same holds for the file that `record many` takes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from connforensics.errors import UsageError

Kind = Literal["postgres", "mysql", "pgbouncer", "proxysql", "prometheus"]

RECORDED: Final[tuple[Kind, ...]] = ("postgres", "mysql", "pgbouncer", "proxysql")
"""Kinds that are watched live; Prometheus is asked about the past."""

WAYS: Final[dict[Kind, str]] = {
    "postgres": "Put it into ~/.pgpass, a service file or PGPASSWORD and leave it out of TARGET.",
    "pgbouncer": "Put it into ~/.pgpass, a service file or PGPASSWORD and leave it out of TARGET.",
    "mysql": "Put it into an option file (--defaults-file, ~/.my.cnf) or MYSQL_PWD and leave it out of TARGET.",
    "proxysql": "Put it into an option file (--defaults-file, ~/.my.cnf) or MYSQL_PWD and leave it out of TARGET.",
    "prometheus": "Put it into ~/.netrc or PROMETHEUS_TOKEN and leave it out of TARGET.",
}

PORTS: Final[dict[Kind, int]] = {
    "postgres": 5432,
    "mysql": 3306,
    "pgbouncer": 6432,
    "proxysql": 6032,
    "prometheus": 9090,
}

MYSQL_PARAMETERS: Final = frozenset(
    ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity", "ssl_disabled", "unix_socket", "extra_port",
     "user", "host", "port", "database")
)  # fmt: skip

SECRETS: Final = ("password", "sslpassword", "oauth_client_secret")
HAS_PASSWORD: Final = "TARGET has a password in it, which every user of this machine can read in ps"  # noqa: S105 - it says so

_SECRET: Final = re.compile(r"(?i)(?<![a-z])(password|passwd|pwd|sslpassword|ssl_key_password|oauth_client_secret)\s*=")


@dataclass(frozen=True, slots=True)
class Address:
    """One server to record: its kind, the driver's way to name it, the name of its folder.

    `server` is the name its rows bear in a case: only where the caller gave one, or several servers are recorded.
    """

    kind: Kind
    target: str
    name: str
    server: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)


def parse(kind: Kind, target: str, name: str = "") -> Address:
    """Return the address that `target` writes.

    Raises UsageError when a password is in it (the message does not repeat it) or it cannot be read.
    """
    if name and not re.fullmatch(r"[\w.-]{1,100}", name):
        raise UsageError(f"--name {name!r}: not a name", "Letters, digits, dot, dash and underscore: primary, db-1.")
    _refuse_secrets(kind, target)
    if kind in ("mysql", "proxysql"):
        parameters = _mysql_parameters(kind, target)
    elif kind == "prometheus":
        parameters = _prometheus_parameters(target)
    else:
        parameters = _conninfo_parameters(kind, target)
    if any(name in parameters for name in SECRETS):
        raise UsageError(HAS_PASSWORD, WAYS[kind])
    place = (
        parameters.get("service") or f"{parameters.get('host') or 'localhost'}-{parameters.get('port') or PORTS[kind]}"
    )
    folder = re.sub(r"[^\w.-]+", "_", name or f"{kind}-{place}").strip("_.") or kind
    return Address(kind, target, folder, name or None, parameters)


def distinct(addresses: Sequence[Address]) -> list[Address]:
    """Return addresses whose folders differ; where several database servers are among them, each has its name in the case.

    Raises UsageError when two have the same name.
    """
    servers = [address for address in addresses if address.kind in ("postgres", "mysql")]
    names = [address.name for address in addresses]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise UsageError(
            f"two targets are called {doubled}", "Give each a name of its own in a file: connforensics record many."
        )
    if len(servers) < 2:
        return list(addresses)
    return [replace(address, server=address.server or address.name) for address in addresses]


def from_file(path: Path) -> list[Address]:
    """Return the addresses of a TOML file: `[[target]]` tables with kind, address and, if wanted, name.

    Raises UsageError.
    """
    example = '[[target]] kind = "postgres", address = "host=db1 user=monitor", name = "primary"'
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "Name a TOML file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise UsageError(f"{path}: not TOML", f"It holds tables such as: {example}") from None
    tables = told.get("target")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{path}: no [[target]] in it", f"It holds tables such as: {example}")
    found = []
    for number, table in enumerate(tables, 1):
        kind, target, name = table.get("kind"), table.get("address"), table.get("name", "")
        unknown = sorted(set(table) - {"kind", "address", "name"})
        if unknown:
            hint = (
                "Passwords have no place in it."
                if _SECRET.search(f"{unknown[0]}=")
                else f"It holds tables such as: {example}"
            )
            raise UsageError(f"{path}: target {number} has {unknown[0]!r}, which is not known", hint)
        if kind not in RECORDED or not isinstance(target, str) or not isinstance(name, str):
            raise UsageError(
                f"{path}: target {number} is not whole", f"kind is one of {', '.join(RECORDED)}: {example}"
            )
        found.append(parse(kind, target, name))
    return distinct(found)


def _refuse_secrets(kind: Kind, target: str) -> None:
    has_secret = _SECRET.search(target) is not None
    if "://" in target:
        try:
            parts = urlsplit(target)
            has_secret = has_secret or parts.password is not None
        except ValueError:
            has_secret = True
    elif kind in ("mysql", "proxysql"):
        has_secret = has_secret or ":" in target.rpartition("@")[0]
    if has_secret:
        raise UsageError(HAS_PASSWORD, WAYS[kind])


def _conninfo_parameters(kind: Kind, target: str) -> dict[str, str]:
    import psycopg

    try:
        return {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(target).items()}
    except psycopg.ProgrammingError:
        raise UsageError(
            f"TARGET of {kind} is not a connection string",
            "For example 'host=db1 user=monitor dbname=postgres' or 'postgresql://monitor@db1/postgres?sslmode=require'.",
        ) from None


def _mysql_parameters(kind: Kind, target: str) -> dict[str, str]:
    url = urlsplit(target if "://" in target else f"//{target}")
    try:
        port = url.port
    except ValueError:
        raise UsageError(f"TARGET of {kind}: the port is no number", "For example monitor@db1:3306.") from None
    parameters = dict(parse_qsl(url.query))
    unknown = sorted(set(parameters) - MYSQL_PARAMETERS)
    if unknown:
        raise UsageError(
            f"TARGET of {kind}: unknown parameter {unknown[0]!r}", f"One of {', '.join(sorted(MYSQL_PARAMETERS))}."
        )
    for name in ("port", "extra_port"):
        if name in parameters and not parameters[name].isdecimal():
            raise UsageError(f"TARGET of {kind}: {name} is no number", "For example monitor@db1:3306.")
    if url.username:
        parameters["user"] = unquote(url.username)
    if url.hostname:
        parameters["host"] = url.hostname
    if port:
        parameters["port"] = str(port)
    return parameters


def _prometheus_parameters(target: str) -> dict[str, str]:
    url = urlsplit(target)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError("TARGET of prometheus is not an http(s) address", "For example http://prometheus:9090.")
    port = url.port or (443 if url.scheme == "https" else 80)
    return {"host": url.hostname, "port": str(port)}
