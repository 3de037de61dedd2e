"""No literal of a statement survives its normalisation, however it is written, quoted, cut or commented."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.record.texts import Dialect, keeper, normalise

DIALECTS: tuple[Dialect, ...] = ("postgres", "mysql")

SECRET = "zqxsecretqz"
"""Stands in each literal that is made up here, and in nothing else."""

INSIDE = st.text(alphabet="ab '\"\\$`-/*#;\n\t;?%é", max_size=8)


def standard(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


POSTGRES_LITERALS = (
    standard,
    lambda text: "E'" + escaped(text) + "'",
    lambda text: "$$" + text.replace("$", "") + "$$",
    lambda text: "$t1$" + text.replace("$", "") + "$t1$",
    lambda text: "U&" + standard(text),
    lambda text: "/* " + text.replace("*", "").replace("/", "") + " */",
    lambda text: "/* /* x */ " + text.replace("*", "").replace("/", "") + " */",
    lambda text: "-- " + text.replace("\n", " ") + "\n",
    # With standard_conforming_strings = off a plain string takes backslashes.
    lambda text: "'" + escaped(text) + "'",
)

MYSQL_LITERALS = (
    standard,
    lambda text: '"' + text.replace('"', '""') + '"',
    lambda text: "'" + escaped(text) + "'",
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"',
    lambda text: "_utf8mb4" + standard(text),
    lambda text: "/*! " + text.replace("*", "").replace("/", "") + " */",
    lambda text: "# " + text.replace("\n", " ") + "\n",
    lambda text: "-- " + text.replace("\n", " ") + "\n",
)


@st.composite
def statements(draw: st.DrawFn, dialect: Dialect) -> str:
    """SQL with literals that each hold the secret, in one session's way of reading backslashes or another's."""
    literals = POSTGRES_LITERALS if dialect == "postgres" else MYSQL_LITERALS
    code = st.sampled_from(
        [
            "SELECT ",
            "x = ",
            ", ",
            " AND y IN (",
            ") ",
            "t1.a$b",
            ' FROM "T" ' if dialect == "postgres" else " FROM `T` ",
            "\n",
        ]
    )
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        parts.append(draw(code) + " ")
        written = draw(st.sampled_from(literals))
        parts.append(written(draw(INSIDE) + SECRET + draw(INSIDE)))
        parts.append(" ")
    return "".join(parts)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_literal_survives(dialect: Dialect) -> None:
    @settings(max_examples=400, deadline=None)
    @given(statements(dialect))
    def holds(statement: str) -> None:
        assert SECRET not in normalise(statement, dialect)

    holds()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_part_of_a_literal_survives_a_cut(dialect: Dialect) -> None:
    """track_activity_query_size cuts anywhere; half a literal is as secret as the whole."""

    @settings(max_examples=200, deadline=None)
    @given(statements(dialect), st.data())
    def holds(statement: str, data: st.DataObject) -> None:
        kept = normalise(statement[: data.draw(st.integers(0, len(statement)))], dialect)
        assert not any(SECRET[:length] in kept for length in range(3, len(SECRET) + 1))

    holds()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_text_is_taken_and_a_normalised_one_stays(dialect: Dialect) -> None:
    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=200))
    def holds(text: str) -> None:
        once = normalise(text, dialect)
        assert not any(sign in once for sign in ("\n", "\t", "  "))
        assert len(once) <= 2000

    holds()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**12), st.floats(0.001, 1e9), st.sampled_from(DIALECTS))
def test_no_number_survives(whole: int, broken: float, dialect: Dialect) -> None:
    kept = normalise(f"SELECT a1 FROM t2 WHERE x={whole} AND y>{broken} AND z = -{whole}.5e-3 LIMIT {whole}", dialect)
    assert kept == "SELECT a1 FROM t2 WHERE x=? AND y>? AND z = -? LIMIT ?"


@pytest.mark.parametrize(
    ("dialect", "statement", "kept"),
    [
        ("postgres", "SELECT $1, a FROM t WHERE b = 'x'", "SELECT $1, a FROM t WHERE b = ?"),
        ("postgres", "select 1 from a where b in ( 1, 2 ,3)", "select ? from a where b in ( ?)"),
        ("postgres", "ALTER ROLE app PASSWORD 'hunter2'", "ALTER ROLE app PASSWORD ?"),
        ("postgres", "SET app.token = abc123def", "SET app.token = ?"),
        ("postgres", "set application_name to 'x'", "set application_name to ?"),
        ("postgres", "SELECT 'a' /* leave */ || \"Col\"", 'SELECT ? || "Col"'),
        ("postgres", "autovacuum: VACUUM public.orders", "autovacuum: VACUUM public.orders"),
        ("postgres", "<insufficient privilege>", "<insufficient privilege>"),
        ("postgres", "SELECT a$1$b FROM t$x", "SELECT a$1$b FROM t$x"),
        ("mysql", 'SELECT `order`.`x` FROM a WHERE b = "x" # why', "SELECT `order`.`x` FROM a WHERE b = ?"),
        ("mysql", "CREATE USER a@'%' IDENTIFIED BY 'pw'", "CREATE USER a@? IDENTIFIED BY ?"),
        ("mysql", "SET @@global.max_connections = 10", "SET @@global.max_connections = ?"),
        ("mysql", "select 0xFF, b'101', 1e5", "select ?"),
    ],
)
def test_the_shape_of_a_statement_stays(dialect: Dialect, statement: str, kept: str) -> None:
    assert normalise(statement, dialect) == kept


@pytest.mark.parametrize("dialect", ["postgres", "mysql"])
@pytest.mark.parametrize("literal", ["'{}'", "E'{}'", "x'{}'", "0x{}", '"{}"', "`{}`", "'{}"])
def test_a_picture_in_a_statement_costs_no_memory(dialect: Dialect, literal: str) -> None:
    """What a literal of a megabyte takes beside itself: 200 bytes for each character of it would be 200 MB."""
    statement = f"INSERT INTO t VALUES ({literal.format('ab' * 500_000)}"
    normalise("SELECT 1", dialect)
    tracemalloc.start()
    try:
        assert len(normalise(statement, dialect)) <= 2000
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < 20 << 20


def test_ways_to_keep_a_statement() -> None:
    statement = "SELECT 'x'"
    assert keeper("full", "postgres")(statement) == statement
    assert keeper("none", "postgres")(statement) is None
    assert keeper("normalised", "postgres")(statement) == "SELECT ?"
    assert keeper("normalised", "mysql")(None) is None
