"""What the error log of MySQL, MariaDB and Percona Server says about connections, versions 5.0 to 9 and 5.5 to 11.

A message is what stands after the level: `[MY-010914] [Server] ` since MySQL 8.0, then the text. Texts come first and
numbers after them, so that a text the server translates (`lc_messages`) is still typed by its number; for versions
without numbers the translations of the texts that matter are here, as the servers' own errmsg-utf8.txt has them.
https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
https://mariadb.com/kb/en/mariadb-error-code-reference/
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_NUMBER = r"^(?:\[(?P<error_code>MY-\d+)\] \[\w*\] )?"
"""What MySQL 8.0 and newer write before the text."""

_ANY = r"^(?:\[MY-\d+\] \[\w*\] )?"
"""The same where the number says less than the client's error number, which the entry gives."""

_WHOSE = (
    r"Aborted connection (?:0|(?P<backend_id>\d+)|\w+) to db: '(?:unconnected|(?P<database_name>.*?))'"
    r" user: '(?:(?P<detail>unauthenticated)|(?P<user_name>.*?))'"
    r"(?: host: [`'](?:connecting host|(?P<client_host>.*?))')?[^(]*"
)
"""Session, database, user and host of an aborted connection; 5.0 has no host, a proxied one has `real ip` after it."""

_QUOTED = (
    r"(?P<backend_id>\d+)[^']*''?(?P<database_name>[^']*)'[^']*'(?P<user_name>[^']*)'"
    r"(?:[^'(]*(?:'host' )?'(?P<client_host>[^']*)')?[^(]*"
)
"""The same in any language: a number, then three quoted names."""

_ACCOUNT = r"'(?P<user_name>.*?)'@'(?P<client_host>.*?)'"


def _aborted(text: str, reason: str, level: str = "") -> Message:
    """Return the entry of a connection that was aborted for a reason the server writes in English."""
    return Message(
        kind="session_aborted",
        sample=f"{level}Aborted connection 34 to db: 'shop' user: 'app_web' host: '127.0.0.1' ({text})",
        has=text,
        pattern=f"{_NUMBER}{_WHOSE}\\({text}",
        reason=reason,
    )


def _aborted_abroad(sample: str, reason: str, *texts: str) -> Message:
    """Return the entry of the same reason in the servers' other languages."""
    either = "|".join(text.replace("(", "\\(").replace(")", "\\)") for text in texts)
    return Message(
        kind="session_aborted",
        sample=sample,
        has=texts,
        pattern=f"^[^'(]*?{_QUOTED}\\('?(?:{either})",
        reason=reason,
    )


_REFUSED = (
    Message(
        kind="refused_full",
        sample="Aborted connection 0 to db: 'unconnected' user: 'unauthenticated' host: 'connecting host' (Too many connections)",
        has="(Too many connections",
        pattern=f"{_ANY}Aborted connection (?:0|(?P<backend_id>\\d+)) .*host: '(?:connecting host|(?P<client_host>.*?))'",
        error_code="1040",
    ),
    Message(
        kind="refused_full",
        sample="[MY-000000] [Server] Too many connections",
        has="Too many connections",
        pattern=f"{_ANY}(?:\\S+: )?Too many connections\\.?$",
        error_code="1040",
    ),
    Message(
        kind="refused_full",
        sample="Zu viele Verbindungen",
        has=(
            "Zu viele Verbindungen",
            "Trop de connexions",
            "Demasiadas conexiones",
            "Excesso de conexões",
            "Troppe connessioni",
            "Te veel verbindingen",
            "Слишком много соединений",
            "Забагато з'єднань",
            "接続が多すぎます",
            "太多连接",
            "너무 많은 연결",
            "För många anslutningar",
            "Příliš mnoho spojení",
        ),
        error_code="1040",
    ),
    Message(
        kind="refused_quota",
        sample="User 'app_orders' has exceeded the 'max_user_connections' resource (current value: 2)",
        has="has exceeded the 'max_user_connections' resource",
        pattern=r"User '(?P<user_name>.*?)' has exceeded .*\(current value: (?P<detail>\d+)\)",
        reason="user",
        error_code="1226",
    ),
    Message(
        kind="refused_quota",
        sample="User 'app_orders' has exceeded the 'max_connections_per_hour' resource (current value: 100)",
        has="has exceeded the 'max_connections_per_hour' resource",
        pattern=r"User '(?P<user_name>.*?)' has exceeded .*\(current value: (?P<detail>\d+)\)",
        reason="user_per_hour",
        error_code="1226",
    ),
    Message(
        kind="refused_quota",
        sample="User app_orders already has more than 'max_user_connections' active connections",
        has="already has more than 'max_user_connections' active connections",
        pattern=r"User (?P<user_name>\S+) already has more than",
        reason="user",
        error_code="1203",
    ),
    Message(
        kind="refused_rule",
        sample="Host '10.0.0.7' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'",
        has="is blocked because of many connection errors",
        pattern=r"Host '(?P<client_host>.*?)' is blocked",
        reason="host_blocked",
        error_code="1129",
    ),
    Message(
        kind="refused_rule",
        sample="Host '10.0.0.7' is not allowed to connect to this MariaDB server",
        has="is not allowed to connect to this",
        pattern=r"Host '(?P<client_host>.*?)' is not allowed to connect",
        reason="host_not_allowed",
        error_code="1130",
    ),
    Message(
        kind="refused_rule",
        sample="Connections using insecure transport are prohibited while --require_secure_transport=ON.",
        has="Connections using insecure transport are prohibited",
        reason="insecure_transport",
        error_code="3159",
    ),
    Message(
        kind="refused_rule",
        sample="Proxy header is not accepted from 10.0.0.7",
        has="Proxy header is not accepted from",
        pattern=r"accepted from (?P<client_host>\S+)",
        reason="proxy_header",
    ),
    Message(
        kind="refused_rule",
        sample="User is blocked because of too many credential errors; unblock with 'ALTER USER / FLUSH PRIVILEGES'",
        has="User is blocked because of too many credential errors",
        reason="user_blocked",
        error_code="4151",
    ),
    Message(
        kind="refused_state",
        sample="Aborted connection 0 to db: 'unconnected' user: 'unauthenticated' host: 'connecting host' (Server shutdown in progress)",
        has="(Server shutdown in progress",
        pattern=f"{_ANY}Aborted connection 0 to db",
        reason="stopping",
        error_code="1053",
    ),
    Message(
        kind="fork_failed",
        sample="[MY-010249] [Server] Can't create thread to handle new connection(errno= 11)",
        has=("Can't create thread to handle new connection(errno", "Can't create thread to handle request"),
        pattern=_NUMBER + r"(?:\S+: )?Can't create thread to handle .*?(?:errno=? |error )(?P<detail>\d+)",
        reason="thread",
    ),
    Message(
        kind="fork_failed",
        sample="Error log throttle:         36 'Can't create thread to handle new connection' error(s) suppressed",
        has="'Can't create thread to handle new connection'",
        pattern=r"throttle: +(?P<detail>\d+) ",
        reason="thread_throttled",
    ),
    Message(
        kind="fork_failed",
        sample="Can't create a new thread (errno 11); if you are not out of available memory, you can consult the manual for a possible OS-dependent bug",
        has="Can't create a new thread (errno",
        pattern=r"\(errno (?P<detail>\d+)",
        reason="thread",
        error_code="1135",
    ),
    Message(
        kind="fork_failed",
        sample="Can't create threads in threadpool (errno=11).",
        has="Can't create threads in threadpool",
        pattern=r"\(errno=(?P<detail>\d+)",
        reason="thread",
    ),
    Message(
        kind="fork_failed",
        sample="Threadpool could not create additional thread to handle queries, because the number of allowed threads was reached. Increasing 'thread_pool_max_threads' parameter can help in this situation.",
        has="Threadpool could not create additional thread",
        reason="thread_pool_full",
    ),
    Message(
        kind="fork_failed",
        sample="[MY-010283] [Server] Error in accept: Too many open files",
        has="Error in accept",
        pattern=_NUMBER + r"(?:\S+: )?Error in accept(?:: (?P<detail>.*))?$",
        reason="accept",
    ),
)

_DENIED = (
    Message(
        kind="auth_failed",
        sample="[MY-010927] [Server] Access denied for user 'app_web'@'10.0.0.7'. Account is locked.",
        has="Account is locked",
        pattern=f"{_NUMBER}(?:\\S+: )?Access denied for user {_ACCOUNT}",
        reason="account_locked",
    ),
    Message(
        kind="auth_failed",
        sample="Access denied for user 'app_web'@'10.0.0.7' to database 'shop'",
        has="Access denied for user",
        pattern=f"{_NUMBER}(?:\\S+: )?Access denied for user {_ACCOUNT} to database '(?P<database_name>.*?)'",
        reason="database",
    ),
    Message(
        kind="auth_failed",
        sample="[MY-010926] [Server] Access denied for user 'app_web'@'10.0.0.7' (using password: YES)",
        has="Access denied for user",
        pattern=f"{_NUMBER}(?:\\S+: )?Access denied for user {_ACCOUNT}",
        reason="password",
    ),
    Message(
        kind="auth_failed",
        sample="Benutzer 'app_web'@'10.0.0.7' hat keine Zugriffsberechtigung (verwendetes Passwort: YES)",
        has=(
            "hat keine Zugriffsberechtigung (", "Accès refusé pour l'utilisateur", "Acceso denegado para usuario",
            "Acceso negado para usuario", "Acesso negado para o usuário", "Accesso non consentito per l'utente",
            "Toegang geweigerd voor gebruiker", "Доступ закрыт для пользователя", "Доступ заборонено для користувача",
            " を拒否します", "のアクセスは拒否されました", "用户无权访问 (", "사용자는 접근이 거부", "är ej berättigad att logga in",
        ),
        pattern=_ACCOUNT,
        reason="password",
    ),
    Message(
        kind="auth_failed",
        sample="Plugin caching_sha2_password reported: 'Authentication requires secure connection.'",
        has="Authentication requires secure connection",
        reason="secure_connection_required",
    ),
    Message(
        kind="auth_failed",
        sample="Your password has expired. To log in you must change it using a client that supports expired passwords.",
        has="Your password has expired",
        reason="password_expired",
        error_code="1862",
    ),
    Message(
        kind="auth_failed",
        sample="Connection using old (pre-4.1.1) authentication protocol refused (client option 'secure_auth' enabled)",
        has="authentication protocol refused",
        reason="method",
        error_code="2049",
    ),
    Message(
        kind="bad_startup",
        sample="[Server] Bad handshake",
        has="Bad handshake",
        reason="handshake",
        error_code="1043",
    ),
)  # fmt: skip

_ABORTED = (
    _aborted("Got timeout reading communication packets", "read_timeout"),
    _aborted("Got an error reading communication packets", "read_error"),
    _aborted("Got timeout writing communication packets", "write_timeout", "[MY-010914] [Server] "),
    _aborted("Got an error writing communication packets", "write_error", "[MY-013130] [Server] "),
    _aborted("Got packets out of order", "packets_out_of_order"),
    _aborted("Got a packet bigger than 'max_allowed_packet' bytes", "packet_too_large"),
    _aborted("The client was disconnected by the server because of inactivity", "read_timeout", "[MY-010914] [Server] "),
    _aborted("This connection closed normally without authentication", "unauthenticated"),
    _aborted("KILLED", "killed"),
    _aborted("Connection was killed", "killed"),
    _aborted("CLOSE_CONNECTION", "closed_by_server"),
    _aborted("Server shutdown in progress", "shutdown"),
    _aborted_abroad(
        "Abbruch der Verbindung 34 zur Datenbank 'shop'. Benutzer: 'app_web', Host: '127.0.0.1' (Zeitüberschreitung beim Lesen eines Kommunikationspakets)",
        "read_timeout",
        "Zeitüberschreitung beim Lesen eines Kommunikationspakets", "Timeout en lecture des paquets",
        "Obtenido timeout leyendo paquetes", "Obteve expiração de tempo (timeout) na leitura",
        "Rilevato un timeout ricevendo i pacchetti", "Timeout bij het lezen van communicatiepakketten",
        "Получен таймаут ожидания пакета", "Отримано затримку читання", "パケットの受信でタイムアウト",
        "통신 패킷을 읽는 중 timeout", "读取通信数据包超时", "Fick 'timeout' vid läsning",
    ),
    _aborted_abroad(
        "Прервано соединение 34 к базе данных 'shop' пользователя 'app_web' с хоста '127.0.0.1' (Получена ошибка в процессе получения пакета через коммуникационный протокол )",
        "read_error",
        "Fehler beim Lesen eines Kommunikationspakets", "Erreur de lecture des paquets", "Obtenido un error leyendo paquetes",
        "Obteve um erro na leitura de pacotes", "Rilevato un errore ricevendo i pacchetti",
        "Fout bij het lezen van communicatiepakketten", "Получена ошибка в процессе получения пакета",
        "Отримано помилку читання", "パケットの受信でエラー", "통신 패킷을 읽는 중 오류", "读取通信数据包出错",
        "Fick ett fel vid läsning",
    ),
    _aborted_abroad(
        "接続 34 が中断されました。データベース: 'shop' ユーザー: 'app_web' ホスト: '127.0.0.1' (パケットの送信でタイムアウトが発生しました。)",
        "write_timeout",
        "Zeitüberschreitung beim Schreiben eines Kommunikationspakets", "Timeout d'écriture des paquets",
        "Obtenido timeout escribiendo paquetes", "Obteve expiração de tempo ('timeout') na escrita",
        "Rilevato un timeout inviando i pacchetti", "Timeout bij het schrijven van communicatiepakketten",
        "Получен таймаут в процессе передачи", "Отримано затримку запису", "パケットの送信でタイムアウト",
        "통신 패팃을 기록하는 중 timeout", "写入通信数据包超时", "Fick 'timeout' vid skrivning",
    ),
    _aborted_abroad(
        "Conexión abortada 34 para db: 'shop' usuario: 'app_web' (Obtenido un error de escribiendo paquetes de comunicación)",
        "write_error",
        "Fehler beim Schreiben eines Kommunikationspakets", "Erreur d'écriture des paquets",
        "Obtenido un error de escribiendo", "Obteve um erro na escrita de pacotes", "Rilevato un errore inviando i pacchetti",
        "Fout bij het schrijven van communicatiepakketten", "Получена ошибка при передаче пакета",
        "Отримано помилку запису", "パケットの送信でエラー", "통신 패킷을 기록하는 중 오류", "写入通信数据包出错",
        "Fick ett fel vid skrivning",
    ),
    Message(
        kind="session_aborted",
        sample="[MY-010914] [Server] Aborted connection 34 to db: 'shop' user: 'app_web' host: '10.0.0.7' (Unknown error).",
        has="Aborted connection ",
        pattern=(
            f"{_NUMBER}Aborted connection (?:0|(?P<backend_id>\\d+)|\\w+) to db: '(?:unconnected|(?P<database_name>.*?))'"
            r" user: '(?:unauthenticated|(?P<user_name>.*?))'"
            r"(?: host: [`'](?:connecting host|(?P<client_host>.*?))')?[^(]*\((?P<detail>.*?)\)?\.?$"
        ),
    ),
    Message(
        kind="session_terminated",
        sample="mysqld: Forcing close of thread 9  user: 'app_web'",
        has="Forcing close of thread",
        pattern=_NUMBER + r".*Forcing close of thread (?P<backend_id>\d+)\s+user: '(?P<user_name>.*?)'",
        reason="forced_close",
    ),
    Message(
        kind="session_terminated",
        sample="C:\\mysql\\bin\\mysqld.exe: Thread 9 zwangsweise beendet. Benutzer: 'app_web'",
        has=(
            "zwangsweise beendet. Benutzer", "Arrêt forcé de la tâche", "Forzando a cerrar el hilo", "Forzando a cerrar el thread",
            "Forçando finalização da 'thread'", "Forzata la chiusura del thread", "Afsluiten afgedwongen van thread",
            "Принудительно закрываем поток", "Прискорюю закриття гілки", "を強制終了します (ユーザー", "强行关闭线程",
            "의 강제 종료 user", "Stänger av tråd",
        ),
        pattern=r"[:：].*?(?P<backend_id>\d+).*'(?P<user_name>[^']*)'",
        reason="forced_close",
    ),
    Message(
        kind="session_terminated",
        sample="[MY-013730] [Server] 'wait_timeout' period of 10 seconds was exceeded for `rdsadmin`@`localhost`. The idle time since last command was too long.",
        has="_timeout' period of",
        pattern=_NUMBER + r"'(?P<detail>\w+_timeout)' period of \d+ seconds was exceeded for `(?P<user_name>.*?)`@`(?P<client_host>.*?)`",
        reason="idle_session_timeout",
        since="8.0.24",
    ),
    Message(
        kind="session_terminated",
        sample="mariadbd: Connection was killed",
        has="Connection was killed",
        reason="killed",
    ),
    Message(
        kind="session_terminated",
        sample="[MY-004082] [Server] Connection closed. Global connection memory limit 16777216 bytes exceeded. Consumed 16949968 bytes.",
        has="onnection memory limit",
        pattern=_NUMBER,
        reason="memory_limit",
        since="8.0.28",
    ),
    Message(
        kind="client_lost",
        sample="Got an error reading communication packets",
        has=("Got an error reading communication packets", "Got timeout reading communication packets"),
        pattern=_NUMBER,
        reason="receive",
    ),
    Message(
        kind="client_lost",
        sample="mysqld: Got an error writing communication packets",
        has=("Got an error writing communication packets", "Got timeout writing communication packets"),
        pattern=_NUMBER,
        reason="send",
    ),
    Message(
        kind="bad_startup",
        sample="mariadbd: Got packets out of order",
        has="Got packets out of order",
        pattern=_NUMBER,
        reason="protocol",
        error_code="1156",
    ),
    Message(
        kind="client_error",
        sample="mysqld: MySQL server has gone away",
        has="server has gone away",
        pattern=_NUMBER,
        reason="gone_away",
        error_code="2006",
    ),
    Message(
        kind="client_error",
        sample="Slave I/O: error reconnecting to master 'repl@10.0.0.1:3306' - retry-time: 60  retries: 86400, Error_code: 2013",
        has=(
            "connecting to master '", "connecting to source '", "Lost connection to MySQL server", "Lost connection to server",
        ),
        pattern=_NUMBER + r".*?(?:'(?P<detail>[^']*)'.*)?",
        reason="upstream",
    ),
)  # fmt: skip

_NAMES = (
    Message(
        kind="name_resolution_slow",
        sample="[MY-010055] [Server] IP address '10.0.0.7' could not be resolved: Name or service not known",
        has=("IP address '", "Host name '"),
        pattern=_NUMBER + r"(?:IP address|Host name) '(?P<client_host>.*?)' could not be resolved(?:: (?P<detail>.*))?",
        reason="failed",
    ),
    Message(
        kind="name_resolution_slow",
        sample="IP address '10.0.0.7' has been resolved to the host name '10-0-0-7.example.net', which resembles IPv4-address itself.",
        has="has been resolved to the host name",
        pattern=_NUMBER + r"IP address '(?P<client_host>.*?)' has been resolved to the host name '(?P<detail>.*?)'",
        reason="mismatch",
    ),
    Message(
        kind="name_resolution_slow",
        sample="Hostname 'db.example.net' does not resolve to '10.0.0.7'.",
        has="does not resolve to '",
        pattern=_NUMBER + r"Hostname '(?P<detail>.*?)' does not resolve to '(?P<client_host>.*?)'",
        reason="mismatch",
    ),
    Message(
        kind="name_resolution_slow",
        sample="Can't get hostname for your address",
        has="Can't get hostname for your address",
        reason="failed",
        error_code="1042",
    ),
)

_LIMITS = (
    Message(
        kind="setting_changed",
        sample="[MY-010141] [Server] Changed limits: max_connections: 214 (requested 500)",
        has="Changed limits: max_connections",
        pattern=_NUMBER + r".*Changed limits: (?P<detail>max_connections: \d+(?: \((?:requested|was) \d+\))?)",
        reason="max_connections",
    ),
    Message(
        kind="setting_changed",
        sample="Changed limits: max_open_files: 1024  max_connections: 214 (was 500)  table_cache: 400 (was 2000)",
        has="Changed limits: max_open_files",
        pattern=_NUMBER + r".*Changed limits: .*(?P<detail>max_connections: \d+(?: \(was \d+\))?)",
        reason="max_connections",
    ),
    Message(
        kind="setting_changed",
        sample="[MY-010139] [Server] Changed limits: max_open_files: 1024 (requested 8161)",
        has="Changed limits: ",
        pattern=_NUMBER + r".*Changed limits: (?P<detail>\w+: \d+(?: \(requested \d+\))?)",
        reason="other_limit",
    ),
    Message(
        kind="setting_changed",
        sample="[MY-010140] [Server] Could not increase number of max_open_files to more than 1024 (request: 8161)",
        has="Could not increase number of max_open_files",
        pattern=_NUMBER
        + r".*Could not increase number of (?P<detail>max_open_files to more than \w+ \(request: \d+\))",
        reason="max_open_files",
    ),
    Message(
        kind="setting_changed",
        sample="option 'max_connections': unsigned value 3 adjusted to 10",
        has="option 'max_connections': ",
        pattern=_NUMBER + r".*option 'max_connections': (?P<detail>(?:un)?signed value -?\d+ adjusted to \d+)",
        reason="max_connections",
    ),
)

_LIFE = (
    Message(
        kind=None,
        sample="Version: '10.1.8-MariaDB'  socket: ''  port: 3306  mariadb.org binary distribution",
        has="Version: '",
        pattern=r"^Version: '(?P<version>[^']+)'",
    ),
    Message(
        kind="server_starting",
        sample="[MY-010116] [Server] /usr/sbin/mysqld (mysqld 8.0.36) starting as process 1",
        has="starting as process",
        pattern=_NUMBER + r".*\(\w+ (?P<version>\S+)\) starting as process (?P<detail>\d+)",
    ),
    Message(
        kind="server_starting",
        sample="Starting MariaDB 10.11.19-MariaDB-0+deb12u1-log source revision 5843d847 server_uid wi5YmGccEdD7c+3QyE2J3uM= as process 30401",
        has="Starting MariaDB ",
        pattern=r"^Starting MariaDB (?P<version>\S+) .*as process (?P<detail>\d+)",
        since="10.11",
    ),
    Message(
        kind="server_starting",
        sample="[MY-013169] [Server] /usr/sbin/mysqld (mysqld 8.0.36) initializing of server in progress as process 45",
        has="initializing of server in progress",
        pattern=_NUMBER + r".*\(\w+ (?P<version>\S+)\) initializing of server in progress as process (?P<detail>\d+)",
        reason="initializing",
    ),
    Message(
        kind="server_crashed",
        sample="InnoDB: Starting crash recovery from checkpoint LSN=18951016",
        has=(
            "Starting crash recovery from checkpoint", "Database was not shut down normally", "Database was not shutdown normally",
        ),
        pattern=_NUMBER,
        reason="recovering",
    ),
    Message(
        kind="server_ready",
        sample="[MY-011323] [Server] X Plugin ready for connections. Bind-address: '::' port: 33060, socket: /var/run/mysqld/mysqlx.sock",
        has="X Plugin ready for connections",
        pattern=_NUMBER,
        reason="x_plugin",
    ),
    Message(
        kind="server_ready",
        sample="[MY-013292] [Server] Admin interface ready for connections, address: '127.0.0.1'  port: 33062",
        has="Admin interface ready for connections",
        pattern=_NUMBER,
        reason="admin_interface",
        since="8.0.14",
    ),
    Message(
        kind="server_ready",
        sample="WSREP: Synchronized with group, ready for connections",
        has="Synchronized with group, ready for connections",
        pattern=_NUMBER,
        reason="galera",
    ),
    Message(
        kind="server_ready",
        sample="[MY-010931] [Server] /usr/sbin/mysqld: ready for connections. Version: '8.0.36'  socket: '/var/run/mysqld/mysqld.sock'  port: 3306  MySQL Community Server - GPL.",
        has="ready for connections",
        pattern=_NUMBER + r".*ready for connections\. Version: '(?P<version>[^']+)'",
    ),
    Message(
        kind="server_ready",
        sample="/usr/sbin/mysqld: ready for connections.",
        has=("ready for connections", "bereit für Verbindungen"),
        pattern=_NUMBER,
    ),
    Message(
        kind="server_stopping",
        sample="[MY-013172] [Server] Received SHUTDOWN from user root. Shutting down mysqld (Version: 8.0.36).",
        has="Received SHUTDOWN from user",
        pattern=_NUMBER + r"Received SHUTDOWN from user (?P<user_name>.*?)\. ",
        reason="requested",
    ),
    Message(
        kind="server_stopping",
        sample="mysqld (initiated by: root[root] @ localhost []): Normal shutdown",
        has="Normal shutdown",
        pattern=_NUMBER + r".*?(?:\(initiated by: (?P<detail>.*?)\))?: Normal shutdown",
        reason="normal",
    ),
    Message(
        kind="server_stopping",
        sample="C:\\mysql\\bin\\mysqld.exe: Normal heruntergefahren",
        has=(
            "Normal heruntergefahren", "Arrêt normal du serveur", "Apagado normal", "Apagado de forma normal", "'Shutdown' normal",
            "Shutdown normale", "Normaal afgesloten", "Корректная остановка", "Нормальне завершення", "通常シャットダウン",
            "正常关闭", "정상적인 shutdown",
        ),
        reason="normal",
    ),
    Message(
        kind="server_stopping",
        sample="InnoDB: Shutdown completed; log sequence number 4487871127",
        has="Shutdown completed; log sequence number",
        pattern=_NUMBER,
        reason="storage_complete",
    ),
    Message(
        kind="server_stopping",
        sample="[MY-010910] [Server] /usr/sbin/mysqld: Shutdown complete (mysqld 8.0.36)  MySQL Community Server - GPL.",
        has="Shutdown complete",
        pattern=_NUMBER + r".*: Shutdown complete",
        reason="complete",
    ),
    Message(
        kind="server_stopping",
        sample="C:\\mysql\\bin\\mysqld.exe: Herunterfahren beendet",
        has=(
            "Herunterfahren beendet", "Herunterfahren erledigt", "Arrêt du serveur terminé", "Apagado completado",
            "Apagado completo", "'Shutdown' completo", "Shutdown completato", "Afsluiten afgerond", "Остановка завершена",
            "Роботу завершено", "シャットダウン完了", "关闭完成", "Shutdown 이 완료됨",
        ),
        reason="complete",
    ),
    Message(
        kind="server_crashed",
        sample="mysqld got signal 11 ;",
        has=("mysqld got signal", "mariadbd got signal", "mysqld got exception", "mariadbd got exception"),
        pattern=r"(?:mysqld|mariadbd) got (?P<detail>signal \d+|exception 0x[0-9a-fA-F]+)",
        reason="signal",
    ),
    Message(
        kind="server_crashed",
        sample="We intentionally crash the server because it appears to be hung.",
        has="intentionally crash the server",
        reason="semaphore_wait",
    ),
    Message(
        kind="server_crashed",
        sample="mysqld_safe Number of processes running now: 0",
        has="mysqld_safe Number of processes running now",
        reason="process_gone",
    ),
    Message(
        kind="server_crashed",
        sample="[MY-010119] [Server] Aborting",
        has="Aborting",
        pattern=_NUMBER + r"(?:\S+: )?Aborting$",
        reason="start_failed",
    ),
    Message(
        kind="server_crashed",
        sample="[MY-010262] [Server] Can't start server: Bind on TCP/IP port: Address already in use",
        has=("Can't start server: Bind on", "Can't start server : Bind on"),
        pattern=_NUMBER + r"(?:\S+: )?Can't start server ?: (?P<detail>Bind on .*)$",
        reason="bind_failed",
    ),
)  # fmt: skip

_LOCKS = (
    Message(
        kind="deadlock",
        sample="InnoDB: Transactions deadlock detected, dumping detailed information.",
        has=("deadlock detected, dumping detailed information", "Transactions deadlock detected"),
        pattern=_NUMBER,
    ),
    Message(
        kind="deadlock",
        sample="mariadbd: Deadlock found when trying to get lock; try restarting transaction",
        has="Deadlock found when trying to get lock",
        pattern=_NUMBER,
        error_code="1213",
    ),
    Message(
        kind="lock_wait",
        sample="mariadbd: Lock wait timeout exceeded; try restarting transaction",
        has="Lock wait timeout exceeded",
        pattern=_NUMBER,
        reason="timeout",
        error_code="1205",
    ),
    Message(
        kind="lock_wait",
        sample="InnoDB: A long semaphore wait:",
        has=("A long semaphore wait:", "a long semaphore wait:"),
        pattern=_NUMBER,
        reason="semaphore",
    ),
)

_SILENT = tuple(
    Message(kind=None, sample=sample, has=has, pattern=pattern)
    for sample, has, pattern in (
        ("Channel mysql_main configured to support TLS. Encrypted connections are now supported for this channel.", "configured to support TLS", ""),
        ("Giving 2 client threads a chance to die gracefully", "client threads a chance to die gracefully", ""),
        ("Forcefully disconnecting 0 remaining clients", "Forcefully disconnecting", ""),
        ("Could not read packet: fd: 63  state: 1  read_length: 4  errno: 110  vio_errno: 1159  length: -1", ("Could not read packet: fd", "Could not write packet: fd"), ""),
        ("Connection ID (thread ID): 42", "Connection ID (thread ID)", ""),
        ("connection_count=151", "connection_count=", r"^connection_count=\d+$"),
        ("max_used_connections=152", "max_used_connections=", r"^max_used_connections=\d+$"),
        ("Connection attributes of length 512 were truncated", "Connection attributes of length", ""),
        ("init_connect variable is ignored for user: app host: h due to expired password.", "init_connect variable is ignored", ""),
        ("Client failed to provide its character set. 'latin1' will be used as client character set.", "failed to provide its character set", ""),
        ("Event Scheduler: Purging the queue. 0 events", "Event Scheduler: ", ""),
        ("WSREP: (6a1b, 'tcp://0.0.0.0:4567') connection established to 7c2d tcp://10.0.0.2:4567", ("WSREP: ", "[WSREP]", "[Galera]"), ""),
        ("[MY-011735] [Repl] Plugin group_replication reported: '[GCS] Connection to 10.0.0.2:33061 failed'", "Plugin group_replication reported", ""),
        ("Master connection name: 'node2'  Master_info_file: 'master-node2.info'  Relay_info_file: 'relay-log-node2.info'", "Master connection name: '", ""),
        ("Storing MySQL user name or password information in the master info repository is not secure and is therefore not recommended. Please consider using the USER and PASSWORD connection options for START SLAVE", "Storing MySQL user name or password information", ""),
        ("Gtid table is not ready to be used. Table 'mysql.gtid_executed' cannot be opened.", "Gtid table is not ready", ""),
        ("'user' entry 'root@localhost' ignored in --skip-name-resolve mode.", "ignored in --skip-name-resolve mode", ""),
        ("mysqld_safe Starting mysqld daemon with databases from /var/lib/mysql", "mysqld_safe Starting", ""),
        ("mysqld_safe mysqld from pid file /var/run/mysqld/mysqld.pid ended", "mysqld_safe mysqld from pid file", ""),
    )
)  # fmt: skip
"""Known texts about connections, clients or life that say nothing an analysis needs, or say again what another line did."""


def _numbered(numbers: tuple[str, ...], kind: str, reason: str | None, pattern: str, sample: str) -> Message:
    """Return the entry of a message in a language of which only the number is known."""
    return Message(
        kind=kind,
        sample=f"[{numbers[0]}] [Server] {sample}",
        has=tuple(f"[{number}]" for number in numbers),
        pattern=r"^\[(?P<error_code>MY-\d+)\] \[\w*\] .*" + pattern,
        reason=reason,
    )


_NUMBERS = (
    _numbered(("MY-010914", "MY-013104", "MY-013130"), "session_aborted", None, r"?" + _QUOTED + r"\((?P<detail>.*?)\)", "Zrušeno spojení 34 do databáze: 'shop' uživatel: 'app_web' stroj: '10.0.0.7' (Chyba)"),
    _numbered(("MY-010925", "MY-010926", "MY-010927"), "auth_failed", "password", _ACCOUNT, "Přístup pro uživatele 'app_web'@'10.0.0.7' (s heslem YES)"),
    _numbered(("MY-010909",), "session_terminated", "forced_close", r": .*? (?P<backend_id>\d+).*'(?P<user_name>[^']*)'", "mysqld: násilné uzavření threadu 9 uživatele 'app_web'"),
    _numbered(("MY-010249",), "fork_failed", "thread", "", "Nemohu vytvořit nový thread (11)"),
    _numbered(("MY-010283",), "fork_failed", "accept", "", "Chyba"),
    _numbered(("MY-010931",), "server_ready", None, "", "mysqld: připraven"),
    _numbered(("MY-010116",), "server_starting", None, "", "mysqld spuštěn"),
    _numbered(("MY-013105",), "server_stopping", "normal", "", "mysqld: normální ukončení"),
    _numbered(("MY-013172",), "server_stopping", "requested", "", "Ukončení"),
    _numbered(("MY-010910",), "server_stopping", "complete", "", "mysqld: ukončení práce hotovo"),
    _numbered(("MY-010141",), "setting_changed", "max_connections", r"?(?P<detail>max_connections\D*\d+\D*\d+)", "Změněno: max_connections: 214 (500)"),
)  # fmt: skip

CATALOGUE: Final = (
    *_REFUSED, *_DENIED, *_ABORTED, *_NAMES, *_LIMITS, *_LIFE, *_LOCKS, *_SILENT, *_NUMBERS,
)  # fmt: skip
"""Every known message, the telling ones first."""
