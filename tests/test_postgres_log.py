"""A PostgreSQL stderr log becomes events, and every line is accounted for."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.case import create_or_open
from connforensics.evidence import Head, Reading, ReadOptions, Sample, postgres_log
from connforensics.evidence.containers import unpack
from connforensics.evidence.messages import postgres as messages
from connforensics.evidence.postgres_log_samples import SAMPLES

CORPUS = Path(os.environ.get("CONNFORENSICS_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


def read(path: Path, folder: Path, options: ReadOptions | None = None) -> tuple[Reading, list[dict[str, object]]]:
    """Read one file as this format into a fresh case; return the reading and its events."""
    con = create_or_open(folder / "case.duckdb")
    try:
        unpacked = unpack(path)
        lines: list[str] = []
        for table in Reading(con, 0, unpack(path), Head(()), ReadOptions()).slices():
            lines = table["text"].slice(0, 2000).to_pylist()
            break
        reading = Reading(con, 1, unpacked, Head(tuple(lines)), options or ReadOptions(), engine="postgres")
        postgres_log.read(reading)
        found = con.execute("SELECT * FROM event ORDER BY line_no")
        names = [column[0] for column in found.description]
        return reading, [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    finally:
        con.close()


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "server.log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_samples(number: int, tmp_path: Path) -> None:
    sample: Sample = SAMPLES[number]
    reading, events = read(written(tmp_path, sample.text), tmp_path, sample.options)
    expected = sample.rows["event"]
    assert [(event["line_no"], event["kind"]) for event in events] == [
        (row["line_no"], row["kind"]) for row in expected
    ]
    for event, row in zip(events, expected, strict=True):
        for name, value in row.items():
            got = event[name]
            assert (str(got) if isinstance(got, datetime) else got) == (
                value if name != "event_at" or value is None else str(datetime.fromisoformat(str(value)))
            ), (name, event["text"])
    assert reading.ledger.unknown == 0
    assert postgres_log.certainty(Head(tuple(sample.text.splitlines()))) >= 0.3


# The corpus.

COUNTED: Mapping[str, str] = {
    "received": "kind = 'connection_received'",
    "authorized": "kind = 'connection_authorized'",
    "disconnections": "kind = 'connection_closed'",
    "fatal": "severity IN ('FATAL')",
    "too_many_clients": "kind = 'refused_full'",
    "slots_reserved": "kind = 'refused_reserved'",
    "no_pg_hba": "kind = 'refused_rule' AND reason = 'no_pg_hba_entry'",
    "auth_failed": "kind = 'auth_failed' AND reason <> 'no_user'",
    "startup_or_shutdown_refused": "kind = 'refused_state'",
    "client_lost": "kind = 'client_lost'",
    "ssl_accept_failed": "kind = 'bad_startup' AND reason = 'ssl'",
    "unsupported_protocol": "kind = 'bad_startup' AND reason = 'protocol'",
    "bad_startup_packet": "kind = 'bad_startup' AND reason IN ('incomplete', 'invalid_length')",
    "ready_to_accept": "kind = 'server_ready'",
}


def manifest() -> list[dict[str, str]]:
    if not CORPUS.exists():
        return []
    with (CORPUS / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        logs = [row for row in csv.DictReader(file, delimiter="\t") if row["format"] == "pg_log_stderr"]
    return [row for row in logs if "anonymize" not in row["file"]]  # a csvlog that was filed among them


def truths(row: Mapping[str, str]) -> dict[str, str]:
    return dict(part.strip().split("=", 1) for part in row["ground_truth"].split(";") if "=" in part)


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real logs")
@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["file"].rsplit("/", 1)[-1])
def test_real_logs_give_the_counts_of_their_manifest(row: dict[str, str], tmp_path: Path) -> None:
    reading, _ = read(CORPUS / row["file"], tmp_path)
    truth = truths(row)
    con = duckdb.connect(str(tmp_path / "case.duckdb"), read_only=True)
    for name, condition in COUNTED.items():
        [(count,)] = con.execute(f"SELECT count(*) FROM event WHERE {condition}").fetchall()
        expected = int(truth.get(name, 0))
        if name == "auth_failed" and name not in truth:
            continue
        assert count == expected, name
    severities = dict(part.split(":") for part in truth.get("severities", "").split(",") if ":" in part)
    [(fatal,)] = con.execute("SELECT count(*) FROM event WHERE severity IN ('FATAL', 'PANIC')").fetchall()
    assert fatal == sum(int(severities.get(name, 0)) for name in ("FATAL", "PANIC", "致命错误"))
    con.close()
    ledger = reading.ledger
    assert ledger.lines == ledger.understood + ledger.ignored + ledger.unknown
    if "raw_bytes" in row and row["lines"]:
        assert ledger.lines in (int(row["lines"]), int(row["lines"]) + 1)


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real logs")
def test_first_and_last_times_are_those_of_the_lines(tmp_path: Path) -> None:
    """Of all lines, not of events: this log holds hardly any event."""
    name = "pg_log_stderr/bucardo__tail_n_mail__testlog7.txt"
    reading, _ = read(CORPUS / name, tmp_path)
    assert reading.ledger.first_at == datetime(2019, 5, 3, 14, 12, 8, 939000)
    assert reading.ledger.last_at == datetime(2019, 5, 3, 14, 12, 29, 889000)


# Laws.


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    b"2026-03-02 08:00:00.000 UTC [31] LOG:  connection received: host=10.0.0.5 port=41234",
                    b"\tcontinued",
                    b"",
                    b"2026-03-02 08:00:00.000 UTC [31] DETAIL:  Process holding the lock: 1.",
                    b"LOLOG:  [AFB 1LOLOG: ",
                    b"2026-13-45 99:00:00.000 UTC [31] FATAL:  sorry, too many clients already",
                    b"2026-03-02 08:00:00.000 UTC [99999999999999999999] FATAL:  x",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_arbitrary_bytes_raise_nothing_and_add_up(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("law")
    reading, events = read(written(folder, b"\n".join(lines)), folder)
    ledger = reading.ledger
    assert ledger.lines == ledger.understood + ledger.ignored + ledger.unknown
    assert len(events) <= ledger.understood
    assert len({event["line_no"] for event in events}) == len(events)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_numbers_are_those_of_the_file(tmp_path: Path, end: bytes) -> None:
    rows = [
        f"2026-03-02 08:00:00.{n % 1000:03d} UTC [{n + 1}] LOG:  connection received: host=10.0.0.5 port={n % 60000}".encode()
        for n in range(30_000)
    ]
    rows[7] += b" \xff\xfe"
    rows.insert(100, b"\tLOG:  connection received: host=1.2.3.4 port=1")
    _, events = read(written(tmp_path, end.join(rows)), tmp_path)
    assert len(events) == 30_000
    assert [event["line_no"] for event in events] == [n + 1 if n < 100 else n + 2 for n in range(30_000)]
    assert all(event["backend_id"] == (n + 1) for n, event in enumerate(events))


def test_a_statement_that_quotes_a_log_is_no_event(tmp_path: Path) -> None:
    text = (
        "2026-03-02 08:00:00.000 UTC [31] LOG:  statement: INSERT INTO note VALUES ('\n"
        "\t2026-03-02 08:00:00.000 UTC [32] FATAL:  sorry, too many clients already\n"
        "\t')\n"
        '2026-03-02 08:00:01.000 UTC [31] ERROR:  role "x" does not exist\n'
    )
    reading, events = read(written(tmp_path, text), tmp_path)
    assert events == []
    assert reading.ledger.ignored == 4


def test_names_with_blanks(tmp_path: Path) -> None:
    text = (
        "2026-03-02 08:00:00.000 UTC [31] LOG:  connection authorized: user=my app database=my shop application_name=a b SSL enabled (protocol=TLSv1.3, cipher=X, bits=256)\n"
        "2026-03-02 08:00:01.000 UTC [31] LOG:  disconnection: session time: 0:00:01.000 user=my app database=my shop host=::1 port=5\n"
        "2026-03-02 08:00:02.000 UTC [32] LOG:  connection authorized: user=app database=my shop\n"
    )
    _, events = read(written(tmp_path, text), tmp_path)
    assert [(e["user_name"], e["database_name"], e["application_name"]) for e in events] == [
        ("my app", "my shop", "a b"),
        ("my app", "my shop", None),
        ("app", "my shop", None),
    ]
    assert events[1]["client_host"] == "::1"


def test_a_prefix_that_changes_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    before = "".join(
        f"2026-03-02 08:00:{n % 60:02d}.000 UTC [{n}] LOG:  connection received: host=10.0.0.5 port={n}\n"
        for n in range(1, 3000)
    )
    after = "".join(
        f"2026-03-02 09:00:{n % 60:02d} UTC [{n}]: [1-1] user=app,db=shop,app=web,client=10.0.0.5 FATAL:  sorry, too many clients already\n"
        for n in range(1, 50)
    )
    reading, events = read(written(tmp_path, before + after), tmp_path)
    assert len(events) == 2999 + 49
    assert events[-1]["user_name"] == "app"
    assert reading.ledger.unknown == 0


def test_a_declared_prefix_and_zone_are_believed(tmp_path: Path) -> None:
    text = "app|shop 2026-07-02 08:00:00 FATAL:  sorry, too many clients already\n"
    _, [event] = read(
        written(tmp_path, text), tmp_path, ReadOptions(log_line_prefix="%u|%d %t ", timezone="Europe/Berlin")
    )
    assert (event["user_name"], event["database_name"], event["event_at"]) == ("app", "shop", datetime(2026, 7, 2, 6))


@pytest.mark.parametrize(
    ("zone", "utc_hour", "assumed"),
    [
        ("UTC", 8, False),
        ("CEST", 6, False),
        ("+0530", 2, False),
        ("-03", 11, False),
        ("CST", 14, True),
        ("XYZ", 8, True),
    ],
)
def test_zones(tmp_path: Path, zone: str, utc_hour: int, assumed: bool) -> None:
    text = f"2026-07-02 08:00:00 {zone} [31] FATAL:  sorry, too many clients already\n" * 2
    reading, events = read(written(tmp_path, text), tmp_path)
    assert events[0]["event_at"].hour == utc_hour  # type: ignore[attr-defined]
    assert any(zone in text for text in reading.ledger.assumptions) == assumed


@pytest.mark.parametrize("language", sorted({each.language for each in messages.translations()}))
def test_every_language_says_its_refusals(language: str, tmp_path: Path) -> None:
    texts = {each.english: each for each in messages.translations() if each.language == language}
    full = texts["sorry, too many clients already"].opening
    label = next((own for lang, english, own in messages._texts() if lang == language and english == "FATAL"), "FATAL")
    log = next((own for lang, english, own in messages._texts() if lang == language and english == "LOG"), "LOG")
    text = f"2026-03-02 08:00:00.000 UTC [31] {label}:  {full}\n2026-03-02 08:00:00.000 UTC [1] {log}:  whatever\n"
    _, events = read(written(tmp_path, text), tmp_path)
    assert [(event["kind"], event["severity"]) for event in events] == [("refused_full", "FATAL")]


FOREIGN = {
    "csvlog": '2026-03-02 08:00:00.000 UTC,"app","shop",31,"10.0.0.5:41400",6b010b19.1f,2,"initializing",2026-03-02 08:00:00 UTC,,0,FATAL,53300,"sorry, too many clients already",,,,,,,,,"","client backend",,0\n',
    "jsonlog": '{"timestamp":"2026-03-02 08:00:00.000 UTC","pid":31,"error_severity":"FATAL","message":"FATAL:  sorry, too many clients already"}\n',
    "pgbouncer": "2026-11-21 03:16:22.508 UTC [7925] LOG C-0x55: shop/app@10.0.0.5:41234 login attempt: db=shop user=app tls=no\n",
    "mysql": "2026-11-21 03:12:20 4711 [Warning] Aborted connection 12 to db: 'shop' user: 'app' host: 'h' (Got timeout reading communication packets)\n",
    "java": "2026-11-21 03:12:20.123 ERROR 1 --- [main] o.h.e.jdbc.spi.SqlExceptionHelper : FATAL:  sorry, too many clients already\nCaused by: org.postgresql.util.PSQLException: FATAL: sorry, too many clients already\n\tat org.postgresql.Driver.connect(Driver.java:1)\n",
    "python": '2026-11-21 03:12:20,123 ERROR pool: connection to server at "10.0.0.5", port 5432 failed: FATAL:  sorry, too many clients already\n',
    "psql": 'ERROR:  relation "x" does not exist\nLINE 1: select 1 from x\n',
    "junk": "\x00\x01\x02 hello\nworld: yes\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_programs_logs_are_not_claimed(name: str) -> None:
    assert postgres_log.certainty(Head(tuple((FOREIGN[name] * 20).splitlines()))) == 0.0


def test_every_opening_is_long_enough_to_be_looked_up() -> None:
    assert all(len(opening) == messages.OPENING_CHARACTERS for opening in messages.openings())


def test_every_sample_of_the_catalogue_is_typed_as_it_says() -> None:
    con = duckdb.connect()
    con.execute("CREATE TABLE sample (place INTEGER, message VARCHAR, severity VARCHAR)")
    con.executemany(
        "INSERT INTO sample VALUES (?, ?, ?)",
        [(place, entry.message, entry.severity) for place, entry in enumerate(messages.CATALOGUE)],
    )
    number = messages.number_sql("message", "severity", "CAST(NULL AS VARCHAR)")
    typed = con.execute(
        f"SELECT {messages.kind_sql('number')}, {messages.reason_sql('number')} "
        f"FROM (SELECT place, {number} AS number FROM sample) ORDER BY place"
    ).fetchall()
    assert typed == [(entry.kind, entry.reason) for entry in messages.CATALOGUE]


def test_a_french_disconnection_spans_two_lines(tmp_path: Path) -> None:
    text = (
        "2026-03-02 08:00:00.000 UTC [31] LOG:  déconnexion : durée de la session : 0:00:01.500\n"
        "\tutilisateur=app base de données=shop hôte=10.0.0.5 port=41234\n"
        "2026-03-02 08:00:02.000 UTC [32] LOG:  connexion reçue : hôte=10.0.0.5 port=41235\n"
    )
    _, events = read(written(tmp_path, text), tmp_path)
    assert [(event["kind"], event["duration_ms"], event["client_port"]) for event in events] == [
        ("connection_closed", 1500.0, None),
        ("connection_received", None, 41235),
    ]


def test_an_absurd_process_id_is_no_error(tmp_path: Path) -> None:
    text = "2026-03-02 08:00:00.000 UTC [31] FATAL:  x\n" * 30
    text += "2026-03-02 08:00:00.000 UTC [99999999999999999999] FATAL:  y\n"
    _, events = read(written(tmp_path, text), tmp_path)
    assert [event["backend_id"] for event in events] == [31] * 30 + [None]


def test_a_program_with_blanks_beside_a_user(tmp_path: Path) -> None:
    """A blank ends the program's name in `%a %u@%d`, unless the user would then hold one."""
    rows = [
        f"2026-03-02 08:00:{n % 60:02d}.000 UTC [{n}] {program} app@shop LOG:  disconnection: session time: 0:00:01.000"
        f" user=app database=shop host=10.0.0.5 port={n}\n"
        for n, program in enumerate(["web", "report worker", "PostgreSQL JDBC Driver", "a b c d e f"] * 20, 1)
    ]
    _, events = read(written(tmp_path, "".join(rows)), tmp_path, ReadOptions(log_line_prefix="%m [%p] %a %u@%d "))
    assert {(event["user_name"], event["application_name"]) for event in events} == {
        ("app", "web"),
        ("app", "report worker"),
        ("app", "PostgreSQL JDBC Driver"),
        ("app", "a b c d e f"),
    }
