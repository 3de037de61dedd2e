"""What Amazon RDS Proxy says in its CloudWatch log, with `DebugLogging` ("enhanced logging") on or off.

AWS calls these texts subject to change; errors come from its list of what a client may be told.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message


def _silent(sample: str, *has: str) -> Message:
    """Return an entry of a text that tells nothing about connections."""
    return Message(kind=None, sample=sample, has=has or (sample,))


CATALOGUE: Final = (
    Message(
        kind="connection_received",
        sample="A new client connected from 10.0.0.9:47246.",
        has="A new client connected from ",
        pattern=r"A new client connected from (?P<client_host>\S+):(?P<client_port>\d+)",
    ),
    Message(
        kind="pooler_client_closed",
        sample="The client connection closed. Reason: The client requested that the connection close.",
        has="The client connection closed",
        pattern=r"The client connection closed\.?(?: Reason: (?P<reason>.*?)\.?)?$",
    ),
    Message(
        kind="pooler_server_closed",
        sample="The database connection closed. Reason: The proxy closed it because it was idle.",
        has="The database connection closed",
        pattern=r"The database connection closed\.?(?: Reason: (?P<reason>.*?)\.?)?$",
    ),
    Message(
        kind="pooler_server_opened",
        sample="A TCP connection was established from the proxy at 10.0.1.7:30112 to the database at 10.0.0.2:5432.",
        has="A TCP connection was established from the proxy",
        pattern=r"from the proxy at (?P<client_host>\S+):(?P<client_port>\d+) to the database at (?P<detail>\S+?)\.?$",
    ),
    Message(
        kind="session_pinned",
        sample="The client session was pinned to the database connection [dbConnection=1953961465] for the remainder of the session. "
        "The proxy can't reuse this connection until the session ends. Reason: SQL changed session settings that the proxy doesn't track.",
        has="The client session was pinned to the database connection",
        pattern=r"pinned to the database connection (?:\[(?P<detail>.*?)\])?.*?Reason: (?P<reason>.*?)(?:\. |\.?$)",
    ),
    Message(
        kind="pool_timeout",
        sample="Timed-out waiting to acquire database connection.",
        has=("Timed-out waiting to acquire database connection", "Timed out waiting to acquire database connection"),
        reason="connection_borrow_timeout",
        error_code="9501",
    ),
    Message(
        kind="refused_full",
        sample="The maximum number of client connections to the proxy exceeded 1000.",
        has=("The maximum number of client connections to the proxy exceeded", "Number simultaneous connections exceeded"),
        reason="client connections",
    ),
    Message(
        kind="refused_full",
        sample="Rate of connection to proxy exceeded 1500.",
        has=("Rate of connection to proxy exceeded", "Connections rate limit exceeded", "because of too many competing requests",
             "IAM authentication rate limit exceeded"),
        reason="rate",
    ),
    Message(
        kind="client_refused",
        sample="Request returned an error: remaining connection slots are reserved for roles with the SUPERUSER attribute.",
        has=("remaining connection slots are reserved", "sorry, too many clients already", "Too many connections",
             "too many connections for "),
        pattern=r"(?P<reason>remaining connection slots are reserved.*?|sorry, too many clients already|Too many connections|too many connections for .*?)\.?$",
    ),
    Message(
        kind="auth_failed",
        sample="The password that was provided for the role app_web is wrong.",
        has=("The password that was provided for the role ", "has no credentials for the role ", "IAM authentication failed for ",
             "authentication failed for user", "Credentials couldn't be retrieved", "supports only IAM"),
        pattern=r"(?P<reason>password that was provided|has no credentials|IAM authentication failed|authentication failed|Credentials couldn't be retrieved|supports only IAM)"
        r"(?:.*? for (?:the )?(?:role|user) [\"']?(?P<user_name>[\w.@-]+))?",
    ),
    Message(
        kind="bad_startup",
        sample="This RDS Proxy requires TLS connections.",
        has=("requires TLS connections", "is allowed only with SSL connections", "Feature not supported: RDS Proxy"),
        pattern=r"^(?P<reason>.*?)\.?$",
    ),
    Message(
        kind="unknown_target",
        sample='Request returned an error: database "shp" does not exist.',
        has="does not exist",
        pattern=r"(?P<reason>(?:database|role) .*? does not exist)",
    ),
    Message(
        kind="client_error",
        sample="The proxy couldn't connect to the database. Reason: Connection refused.",
        has=("couldn't connect to the database", "can't connect to the database", "A new database connection couldn't be",
             "connection to the database failed", "The database is unavailable"),
        pattern=r"^(?P<detail>.*?)(?:\. Reason: (?P<reason>.*?)\.?)?$",
    ),
    _silent(
        "If this prepared statement runs, the client session will be pinned to the database connection. Reason: x.",
        "the client session will be pinned",
    ),
    _silent("The database connection was released to the connection pool.", "The database connection was released"),
    _silent("The client session borrowed a database connection from the connection pool.", "borrowed"),
    _silent("A TLS handshake was completed with the client.", "TLS handshake", "TLS connection"),
    _silent("The client authenticated.", "authenticated", "The database connection was authenticated"),
    _silent("The database connection's session state was reset.", "session state was", "was initialized"),
)  # fmt: skip
