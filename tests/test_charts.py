"""Charts are judged by what they encode: fields, domains, colours, gaps; never by stored JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import vl_convert

from connforensics import charts, colours
from connforensics.case import Window
from connforensics.errors import UsageError
from connforensics.time_axis import TimeAxis

NOON = datetime(2026, 11, 20, 12)
AXIS = TimeAxis(NOON, NOON + timedelta(hours=1))


def times(*minutes: float) -> list[datetime]:
    return [NOON + timedelta(minutes=minute) for minute in minutes]


def states(minutes: list[float] | None = None, server: str = "primary") -> pd.DataFrame:
    rows = [
        (at, server, state, count)
        for at in times(*(minutes or [0, 1, 2, 3]))
        for state, count in (("active", 4), ("idle", 10))
    ]
    return pd.DataFrame(rows, columns=["bucket_at", "server", "state", "sessions"])


def saturation(usable: float | None = 97, basis: str = "setting") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "bucket_at": times(0, 1, 2, 3),
            "server": "primary",
            "in_use": [14, 14, 14, 14],
            "usable": [usable] * 4,
            "limit_basis": basis,
        }
    ).astype({"usable": "float64"})


BLIND = pd.DataFrame(
    {
        "evidence": ["snapshots", "snapshots"],
        "server": "primary",
        "since_at": times(10, 30),
        "until_at": times(20, 40),
        "seconds": [600.0, 600.0],
        "meaning": ["not watched", "saturated"],
    }
)
REFUSED = pd.DataFrame(
    {
        "bucket_at": times(30, 30, 31),
        "kind": ["refused_full", "refused_reserved", "refused_full"],
        "refusals": [3, 2, 1],
    }
)
CHURN = pd.DataFrame(
    {
        "bucket_at": times(0, 1, 2),
        "opened": [6, 7, 8],
        "opened_per_s": [0.1, 0.2, 0.3],
        "refused": [0, 0, 1],
        "baseline_per_s": [0.2] * 3,
        "workers": [8.0] * 3,
    }
)
COUNT = pd.DataFrame(
    {
        "bucket_at": times(0, 1),
        "server": "primary",
        "from_log": [3.0, 4.0],
        "from_snapshots": [3.0, 4.0],
        "difference": [0.0, 0.0],
    }
)
IDLE = pd.DataFrame(
    {
        "bucket_at": times(0, 1),
        "server": "primary",
        "sessions": [2, 3],
        "share": [0.1, 0.2],
        "oldest_s": [5.0, 9.0],
        "client": "web",
    }
)
HOLDERS = pd.DataFrame(
    {"bucket_at": times(0, 0, 1, 1), "client": ["web", "others"] * 2, "sessions": [5, 2, 6, 2], "share": [0.7, 0.3] * 2}
)
POOLS = pd.DataFrame(
    {
        "bucket_at": times(0, 1),
        "service": "web",
        "size": [5.0, 5.0],
        "checked_out": [4.0, 5.0],
        "idle": [1.0, 0.0],
        "max_size": [5.0, 5.0],
        "waiting": [0.0, 2.0],
        "timeouts": [0.0, 1.0],
        "acquire_ms": [1.0, 30.0],
    }
)
WHO = pd.DataFrame(
    {
        "kind": ["refused_full"],
        "reason": [None],
        "client": ["web"],
        "refusals": [5],
        "first_at": times(30),
        "last_at": times(31),
        "seen_in": ["server"],
        "citation": ["a.log:3"],
    }
)
HAPPENED = pd.DataFrame(
    {
        "event_at": times(1, 30),
        "what": ["ready", "full"],
        "kind": ["server_ready", "refused_full"],
        "server": ["primary", None],
        "citation": ["a.log:1", "a.log:3"],
    }
)


def drawn() -> dict[str, charts.Drawing]:
    return {
        "session_states": charts.session_states(states(), saturation(), BLIND, REFUSED, AXIS),
        "session_count": charts.session_count(COUNT, AXIS),
        "churn": charts.churn(CHURN, AXIS),
        "idle_in_transaction": charts.idle_in_transaction(IDLE, AXIS),
        "slot_holders": charts.slot_holders(HOLDERS, AXIS),
        "pool_wait": charts.pool_wait(POOLS, AXIS),
        "refusals": charts.refusals(WHO),
        "timeline": charts.timeline(HAPPENED, AXIS),
    }


def empty(df: pd.DataFrame) -> pd.DataFrame:
    return df.head(0)


def nothing_drawn() -> dict[str, charts.Drawing]:
    return {
        "session_states": charts.session_states(
            empty(states()), empty(saturation()), empty(BLIND), empty(REFUSED), AXIS
        ),
        "session_count": charts.session_count(empty(COUNT), AXIS),
        "churn": charts.churn(empty(CHURN), AXIS),
        "idle_in_transaction": charts.idle_in_transaction(empty(IDLE), AXIS),
        "slot_holders": charts.slot_holders(empty(HOLDERS), AXIS),
        "pool_wait": charts.pool_wait(empty(POOLS), AXIS),
        "refusals": charts.refusals(empty(WHO)),
        "timeline": charts.timeline(empty(HAPPENED), AXIS),
    }


def units(part: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [unit for key in ("vconcat", "layer") for child in part.get(key, []) for unit in units(child)]
    return inner or [part]


def of(chart: charts.Drawing) -> dict[str, Any]:
    return chart.to_dict()


def rows_of(chart: charts.Drawing, mark: str) -> list[dict[str, Any]]:
    spec = of(chart)
    unit = next(unit for unit in units(spec) if unit["mark"]["type"] == mark)
    return spec["datasets"][unit.get("data", spec.get("data"))["name"]]


@pytest.mark.parametrize("name", list(drawn()))
def test_every_chart_over_time_has_the_axis_of_the_page(name: str) -> None:
    domains = {
        unit["encoding"]["x"]["scale"]["domain"]["expr"]
        for unit in units(of(drawn()[name]))
        if unit["encoding"].get("x", {}).get("type") == "temporal"
    }
    noon_ms = 1_795_176_000_000
    assert domains == (set() if name == "refusals" else {f"[{noon_ms}, {noon_ms + 3_600_000}]"})


@pytest.mark.parametrize("name", list(drawn()))
def test_every_plot_is_equally_wide_and_begins_at_the_same_place(name: str) -> None:
    spec = of(drawn()[name])
    for panel in spec["vconcat"]:
        if name == "refusals":
            continue
        assert panel["width"] == charts.WIDTH
        extents = {
            unit["encoding"]["y"]["axis"]["minExtent"]
            for unit in units(panel)
            if "axis" in unit["encoding"].get("y", {})
        }
        assert extents == {charts.LEFT}


@pytest.mark.parametrize("name", list(drawn()))
def test_a_chart_compiles_without_a_warning(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    vl_convert.vegalite_to_vega(of(drawn()[name]), show_warnings=True)
    assert "WARN" not in capfd.readouterr().err


@pytest.mark.parametrize("name", list(nothing_drawn()))
def test_a_table_without_rows_becomes_a_panel_that_says_so(name: str) -> None:
    texts = [row["text"] for rows in of(nothing_drawn()[name])["datasets"].values() for row in rows]
    assert texts
    assert all(any(word in text.lower() for word in ("no ", "not ", "neither", "nothing")) for text in texts)


def test_one_colour_per_state_and_refusal_kind() -> None:
    scales = [
        unit["encoding"]["color"]["scale"]
        for unit in units(of(drawn()["session_states"]))
        if "scale" in unit["encoding"].get("color", {})
    ]
    told = {name: colour for scale in scales for name, colour in zip(scale["domain"], scale["range"], strict=True)}
    assert told == {
        "idle": colours.STATES["idle"].light,
        "active": colours.STATES["active"].light,
        "refused_full": colours.KINDS["refused_full"].light,
        "refused_reserved": colours.KINDS["refused_reserved"].light,
    }


def test_no_two_inks_share_a_light_value_or_a_name() -> None:
    assert len({ink.light for ink in colours.INKS}) == len({ink.name for ink in colours.INKS}) == len(colours.INKS)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("ink", "paper"), [(colours.TEXT, "#ffffff"), (colours.MUTED, "#ffffff")])
def test_text_can_be_read_on_light_and_dark(ink: colours.Ink, paper: str) -> None:
    for shown, ground in ((ink.light, paper), (ink.dark, "#12161b")):
        light, dark = sorted((luminance(shown), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_gap_in_the_samples_stays_empty() -> None:
    rows = rows_of(
        charts.session_states(states([0, 1, 2, 20, 21]), saturation(), empty(BLIND), empty(REFUSED), AXIS), "area"
    )
    start = AXIS.domain[0]
    after_gap_begins = [row for row in rows if start + 3 * 60_000 < row["bucket_at"] < start + 20 * 60_000]
    assert {row["sessions"] for row in after_gap_begins} == {0.0}
    held = [row["sessions"] for row in rows if row["bucket_at"] == start + 3 * 60_000]
    assert sorted(held) == [4.0, 10.0], "the last sample before the gap holds one interval"


def test_jitter_is_not_a_gap() -> None:
    rows = rows_of(
        charts.session_states(states([0, 1, 3, 4]), saturation(), empty(BLIND), empty(REFUSED), AXIS), "area"
    )
    assert all(row["sessions"] > 0 for row in rows if row["bucket_at"] < AXIS.domain[0] + 5 * 60_000)


def test_a_line_is_broken_where_nothing_was_sampled() -> None:
    df = pd.concat([CHURN, CHURN.tail(1)], ignore_index=True).assign(bucket_at=times(0, 1, 2, 30))
    rows = rows_of(charts.churn(df, AXIS), "line")
    opened = [row for row in rows if row["series"] == "opened per second"]
    minute = 60_000
    assert [
        (row["bucket_at"] - AXIS.domain[0], row["value"])
        for row in opened
        if row["bucket_at"] < AXIS.domain[0] + 29 * minute
    ] == [
        (0, 0.1),
        (minute, 0.2),
        (2 * minute, 0.3),
        (3 * minute, 0.3),
        (3 * minute + 1, None),
    ]


def test_blind_spots_are_shaded_and_told_apart_from_saturation() -> None:
    shade = next(unit for unit in units(of(drawn()["session_states"])) if unit["encoding"].get("fill"))
    assert shade["encoding"]["fill"]["scale"]["domain"] == ["not watched", "saturated"]
    assert len(set(shade["encoding"]["fill"]["scale"]["range"])) == 2
    assert (shade["encoding"]["x"]["field"], shade["encoding"]["x2"]["field"]) == ("since_at", "until_at")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (saturation(), "dashed: 97 usable"),
        (saturation(basis="inferred from refusals"), "dashed: 97 usable (inferred from refusals)"),
        (saturation(usable=None, basis="unknown"), "the limit is not known"),
    ],
)
def test_the_limit_is_named_with_its_basis(table: pd.DataFrame, words: str) -> None:
    chart = charts.session_states(states(), table, empty(BLIND), empty(REFUSED), AXIS)
    assert of(chart)["vconcat"][0]["title"] == f"Sessions by state · {words}"
    assert any(unit["mark"].get("strokeDash") for unit in units(of(chart))) == ("dashed" in words)


def test_without_snapshots_the_log_tells_how_many_were_in_use() -> None:
    chart = charts.session_states(empty(states()), saturation(), empty(BLIND), empty(REFUSED), AXIS)
    assert "known from the log" in of(chart)["vconcat"][0]["title"]


def test_each_server_has_its_own_panel() -> None:
    two = pd.concat([states(), states(server="replica")])
    panels = of(charts.session_states(two, saturation(), empty(BLIND), REFUSED, AXIS))["vconcat"]
    assert [panel.get("title", "")[:35] for panel in panels[:2]] == [
        "Sessions by state on primary · dash",
        "Sessions by state on replica · the ",
    ]


def test_a_state_nobody_told_is_said_to_be_so() -> None:
    hidden = states().assign(state=[None] * 8)
    rows = rows_of(charts.session_states(hidden, saturation(), empty(BLIND), REFUSED, AXIS), "area")
    assert {row["state"] for row in rows} == {"not told"}


def test_tooltips_carry_exact_numbers_and_times_in_utc() -> None:
    catcher = next(
        unit for unit in units(of(drawn()["session_states"])) if str(unit.get("name", "")).startswith("hover")
    )
    titles = [entry["title"] for entry in catcher["encoding"]["tooltip"]]
    assert titles == ["UTC", "all", "active", "idle"]
    when = [step["calculate"] for step in catcher["transform"] if step.get("as") == "when"]
    assert when == ["utcFormat(datum.bucket_at, '%Y-%m-%d %H:%M:%S')"]


def test_times_move_by_the_zone_and_say_so() -> None:
    axis = TimeAxis(AXIS.start, AXIS.end, "Asia/Kolkata")
    assert axis.domain[0] - AXIS.domain[0] == 5.5 * 3_600_000
    assert axis.label == "Asia/Kolkata, UTC+05:30"


def test_an_open_window_is_closed_by_the_sources() -> None:
    coverage = pd.DataFrame(
        {"first_at": pd.to_datetime([NOON, None]), "last_at": pd.to_datetime([NOON + timedelta(hours=2), None])}
    )
    axis = TimeAxis.over(Window(until=NOON + timedelta(hours=1)), coverage)
    assert (axis.start, axis.end) == (NOON, NOON + timedelta(hours=1))


def test_an_unknown_zone_is_an_error_in_two_lines() -> None:
    with pytest.raises(UsageError, match=r"'Mars/Olympus' is not a time zone\n.*IANA"):
        TimeAxis.over(Window(), empty(pd.DataFrame({"first_at": times(0), "last_at": times(1)})), "Mars/Olympus")


def test_long_and_missing_names_do_not_break_a_chart() -> None:
    named = HOLDERS.assign(client=["x" * 5000, None] * 2)
    spec = of(charts.slot_holders(named, AXIS))
    assert len(json.dumps(spec)) < 20_000
    assert "not told" in json.dumps(spec)


def test_notebooks_get_data_that_jupyterlab_can_draw() -> None:
    bundle, _ = charts._as_mime(of(drawn()["churn"]))
    assert bundle[charts.MIME]["$schema"].endswith("/vega-lite/v5.json")
    assert set(bundle) == {charts.MIME, "text/plain"}


def test_a_level_the_log_keeps_is_drawn_through_and_samples_are_not() -> None:
    df = pd.DataFrame(
        {
            "bucket_at": times(0, 1, 2, 3, 20, 21, 22, 23),
            "server": "",
            "from_log": [3.0, None, 4.0, None, 5.0, None, None, 6.0],
            "from_snapshots": [None, 3.0, 4.0, 4.0, 5.0, 5.0, 5.0, None],
        }
    )
    rows = rows_of(charts.session_count(df, AXIS), "line")
    missing = {
        row["series"] for row in rows if row["value"] is None and row["bucket_at"] < AXIS.domain[0] + 20 * 60_000
    }
    assert missing == {"counted in snapshots"}


def test_rows_without_a_time_have_no_place_on_the_axis() -> None:
    undated = COUNT.assign(bucket_at=pd.to_datetime([None, None]))
    assert "not told" in json.dumps(of(charts.session_count(undated, AXIS)))


def test_a_gap_in_the_pools_numbers_does_not_blind_the_count_of_sessions() -> None:
    chart = charts.session_states(states(), saturation(), BLIND.assign(evidence="pools"), REFUSED, AXIS)
    assert not any(unit["encoding"].get("fill") for unit in units(of(chart)))
