"""What strangers say to a port: guessed passwords, foreign protocols, broken greetings.

A knock takes the address it comes from and returns the kind of event that the server's log has for it, as far as the
stranger can tell, or "" where the server is silent about it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import socket
import struct
from collections.abc import Callable, Iterator

import pymysql

from tests.lab.driver import MYSQL_KINDS, Door

Knock = Callable[[str], str]

TIMEOUT_S = 3


def knocks(door: Door, chance: random.Random) -> Iterator[Knock]:
    """Knocks without end, in a fixed order."""
    kinds = ON_POSTGRES if door.engine == "postgres" else ON_MYSQL
    return (functools.partial(kind, door, chance) for kind in itertools.cycle(kinds))


def _dial(door: Door, source: str) -> socket.socket:
    return socket.create_connection((door.host, door.port), TIMEOUT_S, (source, 0))


def _drain(wire: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(OSError):
        wire.settimeout(2)
        while more := wire.recv(4096):
            said += more
    return said


# PostgreSQL


def _startup(user: str, database: str) -> bytes:
    body = struct.pack("!I", 196608) + b"".join(
        word.encode() + b"\0" for word in ("user", user, "database", database, "")
    )
    return struct.pack("!I", len(body) + 4) + body


def _guess_password(door: Door, chance: random.Random, source: str) -> str:
    """Log in with a guessed name and password; what the server answered, as an event kind."""
    with _dial(door, source) as wire:
        wire.sendall(_startup(chance.choice(("postgres", "admin", "root", "shop")), "postgres"))
        answer = wire.recv(4096)
        if answer[:1] == b"R" and struct.unpack("!I", answer[5:9])[0] == 3:
            guess = b"123456\0"
            wire.sendall(b"p" + struct.pack("!I", len(guess) + 4) + guess)
            answer = wire.recv(4096)
    if b"no pg_hba.conf entry" in answer:
        return "refused_rule"
    if b"C28P01" in answer or b"C28000" in answer:
        return "auth_failed"
    return "lost_at_start"


def _speak(words: bytes, door: Door, chance: random.Random, source: str) -> str:
    with _dial(door, source) as wire:
        wire.sendall(words)
        _drain(wire)
    return "bad_startup"


HTTP = b"GET / HTTP/1.1\r\nHost: db\r\n\r\n"
PROTOCOL_1 = struct.pack("!I", 296) + struct.pack("!HH", 1, 0) + b"\0" * 288
NOISE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

ON_POSTGRES = (
    _guess_password,
    functools.partial(_speak, HTTP),
    _guess_password,
    _guess_password,
    functools.partial(_speak, PROTOCOL_1),
    _guess_password,
    functools.partial(_speak, NOISE),
)


# MariaDB and MySQL


def _guess_mysql_password(door: Door, chance: random.Random, source: str) -> str:
    user = chance.choice(("root", "admin", "test", "backup"))
    try:
        pymysql.connect(
            host=door.host, port=door.port, user=user, password="123456", bind_address=source, ssl_disabled=True
        ).close()
    except pymysql.err.OperationalError as error:
        return MYSQL_KINDS.get(error.args[0], "lost_at_start")
    return ""


def _leave_after_greeting(door: Door, chance: random.Random, source: str) -> str:
    """A port scanner reads the version and goes without logging in."""
    with _dial(door, source) as wire:
        wire.recv(4096)
    return ""


def _speak_after_greeting(words: bytes, door: Door, chance: random.Random, source: str) -> str:
    with _dial(door, source) as wire:
        wire.recv(4096)
        wire.sendall(words)
        _drain(wire)
    return ""


ON_MYSQL = (
    _guess_mysql_password,
    _leave_after_greeting,
    _guess_mysql_password,
    functools.partial(_speak_after_greeting, HTTP),
    _guess_mysql_password,
    functools.partial(_speak_after_greeting, NOISE),
)
