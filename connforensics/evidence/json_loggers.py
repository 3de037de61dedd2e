"""What JSON loggers call the parts of a line: time, severity, message, service, process, thread.

pino and bunyan, winston, zap and zerolog, logback's and log4j's JSON layouts, the Elastic Common Schema, serilog, structlog
and python-json-logger, Monolog. A line that was cut off is no JSON any more: what still can be read is taken by its look.

https://getpino.io/#/docs/api, https://pkg.go.dev/go.uber.org/zap, https://www.elastic.co/docs/reference/ecs,
https://github.com/serilog/serilog-formatting-compact, https://logging.apache.org/log4j/2.x/manual/json-template-layout.html
"""

from __future__ import annotations

from typing import Final

from connforensics.schema import quoted

_TIME_KEYS: Final = (
    "$.time", "$.timestamp", '$."@timestamp"', "$.ts", "$.t", '$."@t"', "$.datetime", "$.datetime.date", "$.asctime",
    "$.date", "$.Timestamp", "$.Time", "$.eventTime", "$.timeMillis", "$.timestamp_ms", "$.log_time", "$.instant.epochSecond",
)  # fmt: skip
_LEVEL_KEYS: Final = (
    "$.level_name", "$.levelname", "$.level", "$.severity", '$."log.level"', "$.log.level", "$.lvl", '$."@l"', "$.Level",
    "$.loglevel", "$.log_level", "$.LogLevel",
)  # fmt: skip
_SERVICE_KEYS: Final = (
    '$."service.name"', "$.service.name", "$.service", "$.app", "$.application", "$.app_name", "$.appName",
    "$.application_name", "$.applicationName", "$.serviceName", "$.service_name", "$.Properties.Application",
)  # fmt: skip
_INSTANCE_KEYS: Final = ("$.pid", "$.process.pid", "$.process", "$.process_id", "$.PID", '$."process.pid"')
_THREAD_KEYS: Final = ("$.thread", "$.thread_name", "$.threadName", '$."process.thread.name"', "$.process.thread.name")
MESSAGE_KEYS: Final = ("msg", "message", "log", "event", "body", "@m", "@mt", "@message", "short_message", "MESSAGE")

_JSON_KEYS: Final = (*_TIME_KEYS, *_LEVEL_KEYS, *_SERVICE_KEYS, *_INSTANCE_KEYS, *_THREAD_KEYS)

CUT_TIME: Final = r'"@?(?:time|timestamp|ts|t|datetime)"\s*:\s*"?([\w.:+ -]+)'
_CUT_LEVEL: Final = r'"(?:level|severity|levelname)"\s*:\s*"?(\w+)'
"""Find them in a line of JSON that was cut off."""

NUMERIC_LEVELS: Final = {"10": "TRACE", "20": "DEBUG", "30": "INFO", "40": "WARN", "50": "ERROR", "60": "FATAL"}
"""pino and bunyan (https://getpino.io/#/docs/api?id=logger-level)."""


def decoded(source: str) -> str:
    """Return SQL that adds `json`, the values of all the keys a logger may use, to the lines of SQL `source`."""
    keys = ", ".join(map(quoted, _JSON_KEYS))
    return f"""
        SELECT *, json_extract_string(CASE WHEN json_valid(text) THEN text ELSE '{{}}' END, [{keys}]) AS json
        FROM ({source})
        """


def columns() -> dict[str, str]:
    """Return the columns of a JSON line: by the names loggers use, in a line cut off by what still can be read."""

    def first(keys: tuple[str, ...]) -> str:
        return f"coalesce({', '.join(f'json[{_JSON_KEYS.index(key) + 1}]' for key in keys)})"

    instance = first(_INSTANCE_KEYS)
    return {
        "message": "text",
        "stamp": f"coalesce({first(_TIME_KEYS)}, nullif(regexp_extract(text, {quoted(CUT_TIME)}, 1), ''))",
        "severity": f"coalesce({first(_LEVEL_KEYS)}, nullif(regexp_extract(text, {quoted(_CUT_LEVEL)}, 1), ''))",
        "application_name": first(_SERVICE_KEYS),
        "instance": f"CASE WHEN regexp_full_match({instance}, '\\d+') THEN {instance} END",
        "thread": first(_THREAD_KEYS),
    }
