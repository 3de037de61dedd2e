"""What ProxySQL says in its error log about clients, servers and its own life, versions 1.4 to 3.0.

The texts stand in ProxySQL's sources as `proxy_error`, `proxy_warning` and `proxy_info`; what MySQL or PostgreSQL told
ProxySQL is quoted in them with its error number.
https://proxysql.com/documentation/error-log/
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_QUERY: Final = r"(?:during|while running) query on \((?P<detail>[^)]*)\)"


def _silent(sample: str, *has: str) -> Message:
    """Return an entry of a text that tells nothing about connections."""
    return Message(kind=None, sample=sample, has=has or (sample,))


CATALOGUE: Final = (
    Message(
        kind="refused_full",
        sample="mysql-max_connections reached. Returning 'Too many connections'",
        has="-max_connections reached. Returning",
        pattern=r"^(?P<reason>\w+-max_connections) reached",
        error_code="1040",
    ),
    Message(
        kind="refused_quota",
        sample="User 'app_web' has exceeded the 'max_user_connections' resource (current value: 20)",
        has="has exceeded the 'max_user_connections' resource",
        pattern=r"User '(?P<user_name>.*?)' has exceeded the 'max_user_connections' resource(?: \((?P<detail>.*?)\))?",
        reason="user",
        error_code="1226",
    ),
    Message(
        kind="pool_timeout",
        sample="Max connect timeout reached while reaching hostgroup 10 after 10000ms",
        has="Max connect timeout reached while reaching hostgroup",
        pattern=r"Max connect timeout reached while reaching (?P<detail>hostgroup -?\d+) after (?P<duration_ms>\d+)ms",
        reason="connect_timeout_server_max",
        error_code="9001",
    ),
    Message(
        kind="client_error",
        sample="Hostgroup 10 has no servers available or max_connections reached for all servers! Checking servers shunned for more than 1 second",
        has="or max_connections reached for all servers",
        pattern=r"^(?P<detail>Hostgroup \d+) has no servers available",
        reason="max_connections reached for all servers",
    ),
    Message(
        kind="client_error",
        sample="Hostgroup 10 has no servers available! Checking servers shunned for more than 1 second",
        has="has no servers available",
        pattern=r"^(?P<detail>Hostgroup \d+) has no servers available",
        reason="no servers available",
    ),
    Message(
        kind="host_shunned",
        sample="Shunning server 10.0.0.2:3306 with 5 errors/sec. Shunning for 10 seconds",
        has="Shunning server ",
        pattern=r"Shunning server (?P<detail>\S+) (?:from HG \d+ )?with (?P<reason>\d+ errors/sec|replication lag of \d+ second)",
    ),
    Message(
        kind="host_shunned",
        sample="Server 10.0.0.2:3306 missed 3 heartbeats, shunning it and killing all the connections. Disabling other checks until the node comes back online.",
        has="heartbeats, shunning it and killing all the connections",
        pattern=r"Server (?P<detail>\S+) (?P<reason>missed \d+ heartbeats)",
    ),
    Message(
        kind="client_error",
        sample="Connect timeout on 10.0.0.2:3306 : exceeded by 1230us",
        has="Connect timeout on ",
        pattern=r"Connect timeout on (?P<detail>\S+) :",
        reason="connect timeout",
    ),
    # What the server behind told.
    Message(
        kind="client_refused",
        sample="Failed to mysql_real_connect() on 10:10.0.0.2:3306 , FD (Conn:34 , MyDS:34) , 1040: Too many connections.",
        has=("Too many connections", "too many clients already", "remaining connection slots are reserved",
             "has exceeded the 'max_", "already has more than 'max_user_connections'", "too many connections for "),
        pattern=r"(?:connect\(\) on (?P<detail>\S+)|query on \(|Monitor|Connect|connect).*?(?:, |: |\()?(?P<error_code>1040|1203|1226|53300)?[:,)]* *"
        r"(?P<reason>Too many connections|sorry, too many clients already|remaining connection slots are reserved"
        r"|User '?[^' ]*'? (?:has exceeded|already has more).*|too many connections for .*?)\.?$",
    ),
    Message(
        kind="auth_failed",
        sample="ProxySQL Error: Access denied for user 'app_web'@'10.0.0.9' (using password: YES)",
        has="Access denied for user '",
        pattern=r"Access denied for user '(?P<user_name>.*?)'@'(?P<client_host>.*?)'",
        reason="access denied",
        error_code="1045",
    ),
    Message(
        kind="client_error",
        sample="Failed to mysql_real_connect() on 10:10.0.0.2:3306 , FD (Conn:34 , MyDS:34) , 2003: Can't connect to MySQL server on '10.0.0.2' (111).",
        has=("Failed to mysql_real_connect() on ", "Failed to PQconnectStart() on ", "Connect failed: "),
        pattern=r"(?:connect\(\)|PQconnectStart\(\)) on (?P<detail>\S+) ,.*? , (?P<error_code>\w+): (?P<reason>.*?)\.?$",
    ),
    Message(
        kind="client_lost",
        sample="Detected a broken connection while running query on (10,10.0.0.2,3306,55) , FD (Conn:34 , MyDS:34) , user app_web , last_used 1ms ago : 2013, Lost connection to MySQL server during query",
        has=("Detected a broken connection ", "Detected an offline server during query"),
        pattern=rf"^(?P<reason>Detected (?:a broken connection|an offline server)) (?:{_QUERY}|during query:? *(?:on )?)?(?:.*: (?P<error_code>\d+), )?",
    ),
    Message(
        kind="client_error",
        sample="Error during query on (10,10.0.0.2,3306,121932): 1047, WSREP has not yet prepared node for application use",
        has="Error during query on (",
        pattern=rf"Error {_QUERY}.*?: (?P<error_code>\d+), (?P<reason>.*)$",
    ),
    Message(
        kind="pooler_client_closed",
        sample="Closing killed client connection 10.0.0.9:47246",
        has=("Closing killed client connection ", "Closing unhealthy client connection ", "Closing client connection "),
        pattern=r"Closing (?P<reason>killed |unhealthy |)client connection (?P<client_host>\S*?):(?P<client_port>\d+)",
    ),
    Message(
        kind="client_error",
        sample="Killing client connection 10.0.0.9:47246 because inactive for 28800000ms",
        has=("Killing client connection ", "Killing connection "),
        pattern=r"^(?P<detail>Killing .*?connection .*?) because (?P<reason>.*?)(?: for (?P<duration_ms>\d+)ms)?$",
    ),
    Message(
        kind="fork_failed",
        sample="accept() error: Too many open files",
        has="Too many open files",
        reason="too many open files",
    ),
    Message(
        kind="server_starting",
        sample="ProxySQL version 2.5.3-89-g86ce115",
        has="ProxySQL version ",
        pattern=r"^(?P<detail>ProxySQL version (?P<version>\d\S*))",
    ),
    Message(
        kind="server_stopping",
        sample="Received TERM signal: shutdown in progress...",
        has=("shutdown in progress", "Starting shutdown", "PROXYSQL SHUTDOWN command", "PROXYSQL KILL command", "Exiting ProxySQL"),
        pattern=r"^(?P<detail>.*)$",
    ),
    Message(
        kind="server_crashed",
        sample="ProxySQL crashed. Restarting!",
        has=("ProxySQL crashed", "ProxySQL exited with code", "ProxySQL child process"),
        pattern=r"^(?P<detail>.*)$",
    ),
    Message(
        kind="server_reloaded",
        sample="Received LOAD MYSQL SERVERS TO RUNTIME command",
        has=(" TO RUNTIME command", " TO RUN command", "PROXYSQL RESTART command", "PROXYSQL PAUSE command", "PROXYSQL RESUME command"),
        pattern=r"^Received (?P<detail>.*) command",
    ),
    Message(
        kind="setting_changed",
        sample="Changing max_connections for server 10:10.0.0.2:3306 (10.0.0.2:3306) from 1000 (1000) to 50",
        has="Changing max_connections for server ",
        pattern=r"^Changing (?P<detail>max_connections for server .*)$",
        reason="max_connections",
    ),
    Message(
        kind="setting_changed",
        sample='Changing status for server 10:10.0.0.2:3306 (10.0.0.2:3306) from 0 (0) to 3',
        has=("Changing status for server ", "Setting host "),
        pattern=r"^(?P<detail>Changing status for server .*|Setting host .*)$",
        reason="status",
    ),
    _silent("Creating new server in HG 0 : 127.0.0.1:3306 , gtid_port=0, weight=1, status=0", "Creating new server in HG "),
    _silent("Dumping current MySQL Servers structures for hostgroup ALL", "Dumping "),
    _silent("Checksum for table mysql_servers is 17518514293925156575", "Checksum for table ", "checksum"),
    _silent("Re-enabling server 10.0.0.2:3306 from HG 10 with replication lag of 0 second", "Re-enabling server "),
    _silent("Cluster: Fetching MySQL Servers from peer 10.0.0.7:6032 started", "Cluster: "),
    _silent('Impossible to set not existing variable ping_interval_server with value "10000".', "Impossible to set "),
    _silent("Purged 3 free connections from the connection pool", "free connections"),
)  # fmt: skip
