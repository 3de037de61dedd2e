"""What the smaller poolers say about clients and servers: Pgpool-II, PgCat, PgDog, Odyssey, Supavisor.

Each text is bound to the frame of the program that writes it. What is known best are refusals and clients that waited in
vain; the rest is what their logs tell of clients coming and going.
https://www.pgpool.net/docs/latest/en/html/runtime-config-logging.html
https://github.com/postgresml/pgcat
https://docs.pgdog.dev
https://github.com/yandex/odyssey/blob/master/documentation/configuration.md
https://supabase.github.io/supavisor/
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

PGPOOL: Final = "pgpool"
PGCAT: Final = "pgcat"
PGDOG: Final = "pgdog"
ODYSSEY: Final = "odyssey"
SUPAVISOR: Final = "supavisor"

_ADDRESS: Final = r"(?P<client_host>\[?[\w.:]*?\]?):(?P<client_port>\d+)"

CATALOGUE: Final = (
    # Pgpool-II: num_init_children is its limit, reserved_connections keeps some of it.
    Message("client_refused", "backend response with kind 'E' when expecting 'R': sorry, too many clients already (server)",
            ("remaining connection slots are reserved", "too many connections for role", "when expecting 'R': sorry"), frame=PGPOOL,
            pattern=r"(?P<reason>remaining connection slots.*|too many connections for role.*|sorry, too many clients.*)$", sqlstate="53300"),
    Message("refused_full", "Sorry, too many clients already", "orry, too many clients already", frame=PGPOOL,
            reason="num_init_children", sqlstate="53300"),
    Message("refused_full", "sorry, max_connections limit reached", ("max_connections limit", "connection limit exceeded"), frame=PGPOOL,
            reason="max_connections", sqlstate="53300"),
    Message("connection_received", "connecting host=10.0.0.9 port=47246", "connecting host=",
            r"connecting host=(?P<client_host>\S+)(?: port=(?P<client_port>\d+))?", frame=PGPOOL),
    Message("connection_closed", "frontend disconnection: session time: 0:00:04.250 user=app database=shop host=10.0.0.9 port=47246",
            "frontend disconnection: session time: ",
            r"session time: (?P<detail>\S+) user=(?P<user_name>.*?) database=(?P<database_name>.*?) host=(?P<client_host>\S+)(?: port=(?P<client_port>\d+))?$",
            frame=PGPOOL),
    Message("client_error", 'failed to create a backend 0 connection', ("failed to create a backend", "failed to connect to PostgreSQL server"),
            r"^(?P<reason>failed to (?:create a backend|connect to PostgreSQL server))(?P<detail>.*)$", frame=PGPOOL),
    Message("host_shunned", "failover: set new primary node: 1", ("failover: ", "starting degeneration", "degenerate backend request"),
            r"^(?P<detail>.*)$", frame=PGPOOL),
    Message("pooler_client_closed", "child connection forced to terminate due to client_idle_limit: 30 reached",
            ("forced to terminate due to", "client_idle_limit"), r"(?P<reason>client_idle_limit\w*|child_life_time|connection_life_time)", frame=PGPOOL),
    Message("server_ready", "pgpool-II successfully started. version 4.5.1 (hotooriboshi)", "successfully started. version ",
            r"(?P<detail>[Pp]gpool-II successfully started\. version (?P<version>\d[\d.]*))", frame=PGPOOL),
    Message("server_stopping", "received smart shutdown request", ("shutdown request", "terminating all child processes"),
            r"^(?P<detail>.*)$", frame=PGPOOL),
    Message("server_reloaded", "reload config files.", ("reload config files", "SIGHUP"), frame=PGPOOL),
    Message(None, "new connection received", "new connection received", frame=PGPOOL),
    Message(None, "child process with pid: 4242 exits with status 0", ("child process with pid", "forked new"), frame=PGPOOL),
    Message(None, "pool_reuse_block: blockid: 0", ("pool_reuse_block", "DB node id: ", "connection_cache"), frame=PGPOOL),
    # PgCat.
    Message("pool_timeout", 'Could not get connection from pool: { pool_name: "shop", username: "app", shard: Some(0), error: "AllServersDown" }',
            "Could not get connection from pool: {",
            r'pool_name: "(?P<database_name>[^"]*)", username: "(?P<user_name>[^"]*)".*error: "(?P<reason>[^"]*)"', frame=PGCAT),
    Message("pool_timeout", "could not get connection from the pool - AllServersDown",
            ("Could not get connection from pool", "could not get connection from the pool", "Error getting connection"),
            r"(?:pool|connection)(?: - |: )(?P<reason>\w*)", frame=PGCAT),
    Message("pooler_login", 'Client 10.0.0.9:47246 connected to pool "shop" (TLS: no)', ("connected to pool", " connected (plain)", " connected (TLS)"),
            rf"Client (?:{_ADDRESS}).*? connected", frame=PGCAT),
    Message("pooler_client_closed", "Client 10.0.0.9:47246 disconnected, session duration: 0d 00:00:04.250", " disconnected",
            rf"Client {_ADDRESS}.*? disconnected(?: with error (?P<reason>.*))?", frame=PGCAT),
    Message("client_error", "Client disconnected with error SocketError(\"Error reading code from socket\")", "disconnected with error",
            r"disconnected with error (?P<reason>.*)$", frame=PGCAT),
    Message("host_shunned", 'Banning instance [address: 10.0.0.2:5432][database: shop][user: app], reason: FailedCheckout', ("Banning ", "banned"),
            r"(?P<detail>Banning .*?)(?:, reason: (?P<reason>.*))?$", frame=PGCAT),
    Message("pooler_server_opened", 'Creating a new server connection Address { id: 0, host: "10.0.0.2", port: 5432 }', "Creating a new server connection",
            r"(?P<detail>Address .*)$", frame=PGCAT),
    Message("pooler_server_closed", 'Server connection closed Address { id: 0, host: "10.0.0.2" }, session duration: 0d 00:10:00', "connection closed",
            r"onnection closed (?P<detail>.*)$", frame=PGCAT),
    Message("client_refused", "Error connecting to server: sorry, too many clients already", ("too many clients already", "remaining connection slots are reserved"),
            r"(?P<reason>sorry, too many clients already|remaining connection slots are reserved.*)", frame=PGCAT, sqlstate="53300"),
    Message("server_ready", "Welcome to PgCat! Meow. (Version 1.2.0)", "Welcome to PgCat", r"\(Version (?P<version>[\d.]+)", frame=PGCAT),
    Message("server_stopping", "Got SIGTERM, closing with 4 clients active", ("Got SIGTERM", "Got SIGINT", "Shutting down"), r"^(?P<detail>.*)$", frame=PGCAT),
    Message("server_reloaded", "Reloading config", ("Reloading config", "Config changed"), frame=PGCAT),
    # PgDog.
    Message("pool_timeout", "checkout timeout [shop, 10.0.0.2:5432]", "checkout timeout", r"(?P<reason>(?:replica )?checkout timeout)(?P<detail>.*)$", frame=PGDOG),
    Message("host_shunned", "pool is banned [shop, 10.0.0.2:5432]", ("pool is banned", "banning ", "banned"), r"(?P<detail>.*)$", frame=PGDOG),
    Message("pooler_login", 'client "app" connected to database "shop" [10.0.0.9:47246]', ("connected to database", "client connected"),
            rf'client "(?P<user_name>.*?)" connected to database "(?P<database_name>.*?)".*?\[{_ADDRESS}\]', frame=PGDOG),
    Message("pooler_client_closed", "client disconnected [10.0.0.9:47246]", "client disconnected", rf"\[{_ADDRESS}\]", frame=PGDOG),
    Message("pooler_server_opened", "new server connection [10.0.0.2:5432]", "new server connection", r"\[(?P<detail>.*?)\]", frame=PGDOG),
    Message("pooler_server_closed", "closing server connection [10.0.0.2:5432], reason: idle", "closing server connection",
            r"\[(?P<detail>.*?)\](?:.*?reason: (?P<reason>.*))?", frame=PGDOG),
    Message("client_refused", "FATAL: 53300 sorry, too many clients already", ("too many clients already", "remaining connection slots are reserved"),
            r"(?P<reason>sorry, too many clients already|remaining connection slots are reserved.*)", frame=PGDOG, sqlstate="53300"),
    Message("server_ready", "PgDog v0.1.14 (main) is starting", "PgDog v", r"PgDog v(?P<version>[\d.]+)", frame=PGDOG),
    # Odyssey.
    Message("refused_full", "too many tcp connections (global client_max 100)", ("too many tcp connections", "route connection limit reached"),
            r"(?P<reason>too many tcp connections|route connection limit reached)", frame=ODYSSEY, sqlstate="53300"),
    Message("refused_quota", "too many active clients for user (pool_size for user shop.app reached 20)", "too many active clients for user",
            r"pool_size for user (?P<database_name>.*?)\.(?P<user_name>.*?) reached (?P<detail>\d+)", frame=ODYSSEY, reason="pool_size", sqlstate="53300"),
    Message("pool_timeout", "failed to get remote server connection", ("failed to get remote server connection", "server pool wait timed out", "pool timeout"),
            r"(?P<reason>failed to get remote server connection|server pool wait timed out|pool timeout)", frame=ODYSSEY),
    Message("pooler_login", "new client connection 10.0.0.9:47246", "new client connection", rf"new client connection {_ADDRESS}", frame=ODYSSEY),
    Message("pooler_client_closed", "client disconnected (route shop.app)", ("client disconnected", "client closed connection"),
            r"(?:route (?P<database_name>.*?)\.(?P<user_name>.*?)\))?", frame=ODYSSEY),
    Message("pooler_server_opened", "new server connection 10.0.0.2:5432", ("new server connection", "new connection to server"),
            r"(?:new server connection|new connection to server) (?P<detail>\S+)", frame=ODYSSEY),
    Message("pooler_server_closed", "closing idle server connection (300 secs)", ("closing idle server connection", "closing obsolete server connection"),
            r"closing (?P<reason>idle|obsolete) server connection", frame=ODYSSEY),
    Message("unknown_target", "route for 'shop.app' is not found, closing", "is not found, closing",
            r"route for '(?P<database_name>.*?)\.(?P<user_name>.*?)'", frame=ODYSSEY, reason="no route"),
    Message("auth_failed", "user 'shop.app' incorrect password from 10.0.0.9", ("incorrect password", "password authentication failed"),
            r"user '(?:(?P<database_name>.*?)\.)?(?P<user_name>.*?)'", frame=ODYSSEY, reason="password"),
    Message("client_refused", "FATAL 53300 sorry, too many clients already", ("too many clients already", "remaining connection slots are reserved"),
            r"(?P<reason>sorry, too many clients already|remaining connection slots are reserved.*)", frame=ODYSSEY, sqlstate="53300"),
    Message("server_starting", "Starting Odyssey (git: 3f2a1b release)", "tarting Odyssey", frame=ODYSSEY),
    Message("server_stopping", "SIGTERM received, shutting down", ("SIGTERM received", "SIGINT received", "SIGUSR2 received"), frame=ODYSSEY),
    Message("server_reloaded", "SIGHUP received", "SIGHUP received", frame=ODYSSEY),
    Message(None, "clients 4", ("clients ", "[shop.app]"), r"^(?:clients \d+|\[.*\] )|stats", frame=ODYSSEY),
    # Supavisor.
    Message("refused_full", "ClientHandler: (EMAXCONNSESSION) max clients reached in session mode - max clients are limited to pool_size: 15",
            ("max clients reached in session mode", "max clients reached - in Session mode"),
            r"(?i)max clients reached (?:- )?in session mode(?:.*?pool_size: (?P<detail>\d+))?", frame=SUPAVISOR, reason="session mode pool_size"),
    Message("refused_full", "ClientHandler: (EMAXCLIENTCONN) max client connections reached, limit: 200",
            ("max client connections reached", "Max client connections reached", "Max clients connections reached"),
            r"(?i)max clients? connections reached(?:, limit: (?P<detail>\d+))?", frame=SUPAVISOR, reason="max clients"),
    Message("pool_timeout", "ClientHandler: (ECHECKOUTTIMEOUT) unable to check out connection from the pool after 60000ms in transaction mode",
            ("unable to check out connection from the pool", "Unable to check out process from the pool"),
            r"after (?P<duration_ms>\d+)ms(?: in (?P<detail>\w+) mode)?", frame=SUPAVISOR, reason="checkout"),
    Message("pooler_login", "ClientHandler: Connection authenticated", ("Connection authenticated", "Authenticated successfully"), frame=SUPAVISOR),
    Message("auth_failed", "ClientHandler: Exchange error: Wrong password when method :auth_query", ("Exchange error", "Wrong password"),
            r"(?P<reason>Exchange error|Wrong password)", frame=SUPAVISOR),
    Message("unknown_target", "ClientHandler: User not found: :not_found", ("User not found", "Tenant or user not found", "not found"),
            r"(?i)(?P<reason>user not found|tenant or user not found|tenant/user .* not found)", frame=SUPAVISOR),
    Message("pooler_client_closed", "ClientHandler: socket closed with reason :tcp_closed", ("socket closed", "Terminate received from client"),
            r"ClientHandler: (?P<reason>socket closed.*|Terminate received from client)", frame=SUPAVISOR),
    Message("pooler_server_closed", "DbHandler: Connection closed when state was idle", "Connection closed when state was",
            r"(?P<reason>state was \S+)", frame=SUPAVISOR),
    Message("client_refused", 'DbHandler: Auth error response %{"C" => "53300", "M" => "sorry, too many clients already"}',
            ("too many clients already", "remaining connection slots are reserved"),
            r"(?P<reason>sorry, too many clients already|remaining connection slots are reserved[^\"]*)", frame=SUPAVISOR, sqlstate="53300"),
    Message("client_error", "DbHandler: Error connecting to server :econnrefused", ("Error connecting to server", "DbHandler: Error"),
            r"DbHandler: (?P<reason>Error.*)$", frame=SUPAVISOR),
    Message(None, "ClientHandler is: #PID<0.123.0>", ("ClientHandler is:", "ClientHandler: Client sent"), frame=SUPAVISOR),
)  # fmt: skip
