"""What PgBouncer says in its log, versions 1.5 to 1.25: `log_connections`, `log_disconnections`, `log_pooler_errors`.

`reason` is PgBouncer's own text where it gives one: why a connection was closed, what a client was told. A refusal for
want of a slot is written twice, when the client is told (`pooler_error`) and when it is let go (`pooler_client_closed`);
its reason ends in `(max_client_conn)`, `(max_db_client_connections)` or `(max_user_client_connections)`.
https://www.pgbouncer.org/config.html
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

CLIENT: Final = "client"
SERVER: Final = "server"
"""The frames of lines about a client's connection and about one to the server."""

_SERVER_SAYS: Final = r"^(?:server|S:) login failed: (?:FATAL|ERROR|PANIC|[^\s:]+):? +"
"""1.18 writes one of the two, by whether clients are waiting for the pool's first connection."""

_CLOSED: Final = r"^closing because: (?P<reason>.*?)(?: \(age=(?P<duration_s>\d+)s?\))?\s*$"


def _silent(sample: str, *has: str, pattern: str = "") -> Message:
    """Return an entry of a text that tells nothing about connections."""
    return Message(kind=None, sample=sample, has=has or (sample,), pattern=pattern)


def _command(sample: str, reason: str, *words: str) -> Message:
    """Return the entry of an administrator's command."""
    return Message(
        kind="setting_changed",
        sample=sample,
        has=" command issued",
        pattern=rf"^(?P<detail>(?:{'|'.join(words)})(?: '.*')? command issued)$",
        reason=reason,
    )


CATALOGUE: Final = (
    Message(
        kind="pooler_client_closed",
        sample="closing because: client close request (age=41s)",
        has="closing because: ",
        pattern=_CLOSED,
        frame=CLIENT,
    ),
    Message(
        kind="pooler_server_closed",
        sample="closing because: server lifetime over (age=3613s)",
        has="closing because: ",
        pattern=_CLOSED,
        frame=SERVER,
    ),
    Message(
        kind="pooler_login",
        sample="login attempt: db=shop user=app_web tls=no replication=no",
        has="login attempt: ",
        pattern=r"^login attempt: db=(?P<database_name>.*) user=(?P<user_name>.*?)"
        r"(?: tls=(?:no|(?P<detail>.*?)))?(?: replication=\S+)?$",
    ),
    Message(
        kind="pooler_error",
        sample="pooler error: no more connections allowed (max_client_conn)",
        has=("pooler error: ", "Pooler Error: "),
        pattern=r"^[Pp]ooler [Ee]rror: (?P<reason>.*?)\s*$",
    ),
    Message(
        kind="pooler_server_opened",
        sample="new connection to server (from 10.0.0.9:40112)",
        has="new connection to server",
        pattern=r"^new connection to server(?: \(from (?:unix.*|\[?(?P<client_host>.*?)\]?:(?P<client_port>\d+))\))?$",
    ),
    _silent(
        "stats: 921 xacts/s, 1992 queries/s, in 249055 B/s, out 4230871 B/s, xact 13340 us, query 191 us, wait 0 us",
        "stats: ",
        "Stats: ",
        pattern=r"^[Ss]tats: \d",
    ),
    Message(
        kind="auth_failed",
        sample="login failed: db=shop user=intruder",
        has="login failed: db=",
        pattern=r"^login failed: db=(?P<database_name>.*?)(?: user=(?P<user_name>.*))?$",
        reason="login failed",
    ),
    # What the server told the pooler: the pooler is its client here.
    Message(
        kind="client_refused",
        sample="server login failed: FATAL sorry, too many clients already",
        has="sorry, too many clients already",
        pattern=_SERVER_SAYS,
        reason="sorry, too many clients already",
        sqlstate="53300",
    ),
    Message(
        kind="client_refused",
        sample="S: login failed: FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute",
        has="remaining connection slots are reserved",
        pattern=_SERVER_SAYS + r"(?P<reason>remaining connection slots are reserved.*)",
        sqlstate="53300",
    ),
    Message(
        kind="client_refused",
        sample='server login failed: FATAL too many connections for role "app_web"',
        has="too many connections for ",
        pattern=_SERVER_SAYS + r"(?P<reason>too many connections for .*)",
        sqlstate="53300",
    ),
    Message(
        kind="auth_failed",
        sample='server login failed: FATAL password authentication failed for user "app_web"',
        has=(" authentication failed for user",),
        pattern=_SERVER_SAYS + r'(?P<reason>\w+ authentication failed) for user "(?P<user_name>.*?)"',
    ),
    Message(
        kind="refused_rule",
        sample='server login failed: FATAL no pg_hba.conf entry for host "10.0.0.9", user "app", database "shop", no encryption',
        has="no pg_hba.conf entry",
        pattern=_SERVER_SAYS + r'(?P<reason>no pg_hba\.conf entry).*?user "(?P<user_name>.*?)", database "(?P<database_name>.*?)"',
    ),
    Message(
        kind="unknown_target",
        sample='server login failed: FATAL database "shp" does not exist',
        has="does not exist",
        pattern=_SERVER_SAYS + r"(?P<reason>(?:database|role) .*does not exist)",
    ),
    Message(
        kind="client_error",
        sample="server login failed: FATAL the database system is starting up",
        has=("server login failed: ", "S: login failed"),
        pattern=r"^(?:server|S:) login failed:? *(?P<reason>.*)$",
    ),
    Message(
        kind="auth_failed",
        sample="cannot do SCRAM authentication: wrong password type",
        has=("cannot do SCRAM authentication", "cannot do MD5 authentication"),
        pattern=r"^(?P<reason>cannot do \w+ authentication.*)$",
    ),
    Message(
        kind="auth_failed",
        sample="pam_authenticate() failed: Authentication failure",
        has=("pam_authenticate() failed", "pam_acct_mgmt() failed"),
        pattern=r"^(?P<reason>pam_\w+\(\) failed): *(?P<detail>.*)$",
    ),
    Message(
        kind="client_error",
        sample="S: error while executing exec_on_query: ERROR: permission denied for schema audit",
        has="error while executing ",
        pattern=r"^(?:S: )?(?P<reason>error while executing \w+): *(?P<detail>.*)$",
    ),
    Message(
        kind="client_error",
        sample="DNS lookup failed: db-primary.internal: result=0",
        has=("DNS lookup failed", "DNS lookup error"),
        pattern=r"^(?P<reason>DNS lookup (?:failed|error)): *(?P<detail>.*)$",
    ),
    Message(
        kind="client_error",
        sample="sbuf_connect failed: Connection refused",
        has=("sbuf_connect failed: ", "pending error: ", "could not connect to server: "),
        pattern=r"^(?:sbuf_after_connect_check: )?(?P<reason>sbuf_connect failed|pending error|could not connect to server): *(?P<detail>.*)$",
    ),
    Message(
        kind="client_error",
        sample="TLS connect error: certificate verification failed: unable to get local issuer certificate",
        has="TLS connect error: ",
        pattern=r"^(?P<reason>TLS connect error): *(?P<detail>.*)$",
    ),
    Message(
        kind="bad_startup",
        sample="TLS handshake error: handshake failed: error:1408F10B:SSL routines:ssl3_get_record:wrong version number",
        has=("TLS handshake error: ", "TLS accept error: "),
        pattern=r"^(?P<reason>TLS (?:handshake|accept) error): *(?P<detail>.*)$",
    ),
    Message(
        kind="bad_startup",
        sample="unsupported startup parameter: extra_float_digits=2",
        has=("unsupported startup parameter", "Unsupported startup parameter"),
        pattern=r"(?i)^(?P<reason>unsupported startup parameter)[^:]*:? *(?P<detail>.*)$",
    ),
    Message(
        kind="bad_startup",
        sample="unknown pkt from client: 1195725856/0x47455420",
        has=("unknown pkt from client", "bad packet header", "old V2 protocol not supported", "received unencrypted data after"),
        pattern=r"^(?P<reason>unknown pkt from client|bad packet header|old V2 protocol not supported|received unencrypted data after \w+):?(?P<detail>.*)$",
    ),
    Message(
        kind="fork_failed",
        sample="accept() failed: Too many open files",
        has="accept() failed: ",
        pattern=r"^(?P<reason>accept\(\) failed): *(?P<detail>.*)$",
    ),
    Message(
        kind="pool_connection_added",
        sample="taking connection from reserve_pool",
        has="taking connection from reserve_pool",
        reason="reserve_pool",
    ),
    Message(
        kind="server_ready",
        sample="process up: PgBouncer 1.24.1, libevent 2.1.12-stable (epoll), adns: c-ares 1.27.0, tls: OpenSSL 3.0.16 11 Feb 2025",
        has="process up: ",
        pattern=r"^process up: (?P<detail>(?:\S+ )?(?P<version>\d+(?:\.\d+)*[^\s,>]*))",
    ),
    Message(
        kind="server_stopping",
        sample="got SIGTERM, fast exit",
        has=("got SIGTERM", "got SIGINT", "Got SIGTERM", "Got SIGINT", "got SIGQUIT"),
        pattern=r"^[Gg]ot (?P<reason>SIG\w+).*?, (?P<detail>.*)$",
    ),
    Message(
        kind="server_stopping",
        sample="SHUTDOWN command issued",
        has="SHUTDOWN command issued",
        reason="SHUTDOWN",
    ),
    Message(
        kind="server_stopping",
        sample="server connections dropped, exiting",
        has=("connections dropped, exiting", "takeover was in progress, going down", "suspend was in progress, going down"),
        pattern=r"^(?P<detail>.*(?:exiting|going down.*))$",
        reason="exit",
    ),
    Message(
        kind="server_stopping",
        sample="could not find user 'pgbouncer' to switch to",
        has=("could not find user '", "cannot load config file", "Cannot load config file", "another instance running",
             "should not run as root", "socket is in use, cannot continue", "nowhere to listen on", "event_loop failed",
             "in function ", "unable to open configuration file"),
        pattern=r"^(?P<detail>could not find user .*|[Cc]annot load config file.*|.*another instance running.*|.*should not run as root.*"
        r"|.*socket is in use, cannot continue.*|nowhere to listen on.*|event_loop failed.*|@\S+ in function .*|unable to open configuration file.*)$",
        reason="fatal",
    ),
    Message(
        kind="server_reloaded",
        sample="got SIGHUP, re-reading config",
        has=("got SIGHUP", "Got SIGHUP", "RELOAD command issued"),
        pattern=r"^(?P<detail>[Gg]ot SIGHUP.*|RELOAD command issued)$",
    ),
    _command("PAUSE 'shop' command issued", "pause", "PAUSE", "SUSPEND", "WAIT_CLOSE"),
    _command("RESUME command issued", "resume", "RESUME"),
    _command("KILL 'shop' command issued", "kill", "KILL", "KILL_CLIENT", "DISABLE"),
    _command("RECONNECT command issued", "reconnect", "RECONNECT", "ENABLE"),
    Message(
        kind="setting_changed",
        sample="got SIGUSR1, pausing all activity",
        has=("got SIGUSR", "Got SIGUSR"),
        pattern=r"^(?P<detail>[Gg]ot SIGUSR.*)$",
        reason="signal",
    ),
    # Nothing about connections, or what another line of the same event says better.
    _silent(
        "kernel file descriptor limit: 1024 (hard: 524288); max_client_conn: 100, max expected fd use: 172",
        "kernel file descriptor limit: ",
        "File descriptor limit: ",
    ),
    _silent("listening on 0.0.0.0:6432", "listening on "),
    _silent("registered new auto-database: db=shop", "registered new auto-database"),
    _silent("dropping database 'old' as it does not exist anymore or inactive auto-database", "dropping database '"),
    _silent("got packet 'E' from server when not linked", "from server when not linked"),
    _silent("SSL established: TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=prime256v1", "SSL established: "),
    _silent("stale pidfile, removing", "pidfile"),
    _silent("pgbouncer access from unix socket", "pgbouncer access from unix socket"),
    _silent("TLS setup failed, still using old configuration", "still using old configuration", "keeping old configuration"),
    # Written with `verbose` alone.
    _silent("launching new connection to server", "launching new connection"),
    _silent("launch_new_connection: pool full (20 >= 20)", "launch_new_connection: "),
    _silent("failed to launch new connection", "failed to launch new connection"),
    _silent("P: got connection: 10.0.0.9:40112 -> 10.0.0.2:6432", "P: got connection: "),
    _silent("S: SASL cont", "S: ", "C: ", "P: ", pattern=r"^[SCP]: "),
    _silent("finish_client_login: no welcome message, pause", "finish_client_login: "),
    _silent("release_server: new state=12", "release_server: "),
    _silent("client disconnect before everything was sent to the server", "client disconnect before everything was sent"),
    _silent("cancel request for idle client", "cancel request"),
    _silent("sbuf_queue_once: event_add failed: No such file or directory", "sbuf_", "resync(", "tls_write", "tls_read", "tune_accept", "TCP_DEFER_ACCEPT"),
    _silent("resetting: DISCARD ALL", "resetting: "),
    _silent("using application_name: app_web - 10.0.0.9:40112", "using application_name: "),
    _silent("got admin query: SHOW CLIENTS", "got admin query: "),
    _silent('SCRAM server-first-message = "r=..."', "SCRAM "),
    _silent("loading auth_file: \"/etc/pgbouncer/userlist.txt\"", "auth_file"),
    _silent("unix socket: /var/run/postgresql/.s.PGSQL.5432", "unix socket: ", "inet socket: ", "inet6 socket: ", "dns socket: "),
    _silent("send_one_fd: partial sendmsg", "send_one_fd: ", "sending socket list: "),
)  # fmt: skip
