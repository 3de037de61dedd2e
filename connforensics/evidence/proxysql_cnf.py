"""ProxySQL's configuration file: how many clients it takes, how many connections it makes to each server.

Obtained as `/etc/proxysql.cnf`, in the syntax of libconfig. Variables become a `setting` under the names they have inside
ProxySQL (`mysql-max_connections`, `admin-mysql_ifaces`), servers and users as in its admin tables
(`server.10/db1:3306.max_connections`, `user.app.max_connections`). The file counts at the first start only: after that
ProxySQL reads its own database. Passwords and credentials are not stored. https://proxysql.com/documentation/configuration-file/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, times
from connforensics.evidence.proxysql_admin import SECRET, SERVER_SETTINGS, USER_SETTINGS

GROUPS: Final[Mapping[str, str]] = {
    "admin_variables": "admin-",
    "mysql_variables": "mysql-",
    "pgsql_variables": "pgsql-",
}
"""Groups of variables, and what ProxySQL puts before their names."""

LISTS: Final = ("mysql_servers", "pgsql_servers", "mysql_users", "pgsql_users")

_GROUP = re.compile(
    rf"^\s*({'|'.join((*GROUPS, *LISTS))}|(?:mysql|pgsql)_query_rules|(?:mysql|pgsql)_replication_hostgroups)"
    r"\s*[:=](?:\s|(?:#|//)[^\n]*\n)*[({]",
    re.MULTILINE,
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.*+-]+|[=:;,(){}\[\]]')
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|#.*|//.*|/\*.*?\*/')

MOST_TOKENS: Final = 200_000
"""A file with more is no configuration file that somebody wrote."""


def certainty(head: Head) -> float:
    """Return how sure a head is a proxysql.cnf: by the names of its groups."""
    found = set(_GROUP.findall("\n".join(head.lines)))
    return 0.95 if len(found) > 1 else 0.7 if found else 0.0


@dataclass(slots=True)
class _Parser:
    """Where in the file the next word stands: groups open, and the entry of a list being read."""

    path: list[str] = field(default_factory=list)
    name: str = ""
    is_value: bool = False
    entry: list[tuple[int, str, str]] = field(default_factory=list)

    def take(self, line_no: int, word: str) -> Iterator[tuple[int, str, str]]:
        """Take one word; yield settings when they are whole: line, name, value."""
        if word in "{(":
            self.path.append(self.name)
            self.name, self.is_value = "", False
            if word == "{" and self._list():
                self.entry = []
        elif word in "})":
            if word == "}" and self._list():
                yield from self._whole()
            if self.path:
                self.path.pop()
            self.name, self.is_value = "", False
        elif word in "=:":
            self.is_value = True
        elif word in ";,":
            self.name, self.is_value = "", False
        elif word in "[]":
            return
        elif not self.is_value:
            self.name = word.strip('"')
        else:
            value = word[1:-1].replace('\\"', '"') if word.startswith('"') else word
            yield from self._told(line_no, value)
            self.is_value = False

    def _list(self) -> str:
        return next((name for name in self.path if name in LISTS), "")

    def _told(self, line_no: int, value: str) -> Iterator[tuple[int, str, str]]:
        if self._list():
            self.entry.append((line_no, self.name, value))
        elif not self.path:
            yield line_no, self.name, value
        elif self.path[-1] in GROUPS:
            yield line_no, f"{GROUPS[self.path[-1]]}{self.name}", value

    def _whole(self) -> Iterator[tuple[int, str, str]]:
        told = {name: value for _, name, value in self.entry}
        if "users" in self._list():
            known: tuple[str, ...] = USER_SETTINGS
            about = f"user.{told.get('username', '')}"
        else:
            host = told.get("address") or told.get("hostname", "")
            about = f"server.{told.get('hostgroup') or told.get('hostgroup_id', '0')}/{host}:{told.get('port', '3306')}"
            known = SERVER_SETTINGS
        for line_no, name, value in self.entry:
            if name in known:
                yield line_no, f"{about}.{name}", value
        self.entry = []


def read(reading: Reading) -> None:
    """Store each setting with the line that tells it."""
    ledger = reading.ledger
    parser = _Parser()
    rows: list[tuple[int, str, str]] = []
    is_comment = False
    tokens = 0
    for line_no, line in reading.lines():
        bare, is_comment = _uncommented(line, is_comment)
        found = _TOKEN.findall(bare)
        tokens += len(found)
        if tokens > MOST_TOKENS or _TOKEN.sub("", bare).strip():
            ledger.unknown += 1
            ledger.example(line_no, "(a line that is no setting; not shown, it may hold a password)")
            continue
        ledger.ignored += 1
        for word in found:
            rows += parser.take(line_no, word)
    rows = [row for row in rows if not re.search(SECRET, row[1])]
    understood = len({line_no for line_no, _, _ in rows})
    ledger.understood += understood
    ledger.ignored -= understood
    named = times.in_name(reading.head.name, reading.options.timezone)
    if rows:
        table = {
            "line_no": pa.array([line_no for line_no, _, _ in rows], pa.int64()),
            "name": pa.array([name for _, name, _ in rows], pa.string()),
            "value": pa.array([value for _, _, value in rows], pa.string()),
            "valid_at": pa.array([named] * len(rows), pa.timestamp("us")),
        }
        reading.insert("setting", pa.table(table))
        ledger.assume("this file counts at ProxySQL's first start only: after that it reads its own database")
    if named is not None:
        ledger.saw(named, named)
        ledger.assume(f"the settings' time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")


def _uncommented(line: str, is_comment: bool) -> tuple[str, bool]:
    """Return a line without its comments, and whether one goes on in the next."""
    if is_comment:
        _, ended, line = line.partition("*/")
        if not ended:
            return "", True
    bare = _COMMENT.sub(lambda found: found[1] or "", line)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", bare)
    if "/*" in outside:
        return bare[: bare.rindex("/*")], True
    return bare, False


FORMAT = Format(
    name="proxysql_cnf",
    engine="proxysql",
    tables=("setting",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '# the file of this node\ndatadir="/var/lib/proxysql"\n\nadmin_variables=\n{\n\tadmin_credentials="admin:admin"\n'
            '#\tmysql_ifaces="127.0.0.1:6032"\n}\n\nmysql_variables=\n{\n\tthreads=4\n\tmax_connections=2048\n'
            '\tmonitor_password="monitor" // do not tell\n\tserver_version="8.0.30"\n}\n\n'
            'mysql_servers =\n(\n\t{ address="db1" , port=3306 , hostgroup=10, max_connections=200 },\n'
            '\t{\n\t\taddress = "db2"\n\t\thostgroup = 20\n\t\tmax_connections = 100 /* for now */\n\t}\n)\n'
            'mysql_users:\n(\n\t{ username = "app" , password = "secret" , default_hostgroup = 10 , max_connections = 1000 }\n)\n',
            {
                "setting": (
                    {"line_no": 2, "engine": "proxysql", "name": "datadir", "value": "/var/lib/proxysql"},
                    {"line_no": 12, "name": "mysql-threads", "value": "4"},
                    {"line_no": 13, "name": "mysql-max_connections", "value": "2048"},
                    {"line_no": 15, "name": "mysql-server_version", "value": "8.0.30"},
                    {"line_no": 20, "name": "server.10/db1:3306.max_connections", "value": "200"},
                    {"line_no": 24, "name": "server.20/db2:3306.max_connections", "value": "100"},
                    {"line_no": 29, "name": "user.app.default_hostgroup", "value": "10"},
                    {"line_no": 29, "name": "user.app.max_connections", "value": "1000"},
                )
            },
            name="proxysql.cnf",
        ),
    ),
)  # fmt: skip
