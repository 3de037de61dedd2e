"""The house shapes: one function per chart, from the DataFrame of an analysis to an Altair chart.

Every chart over time takes the same `TimeAxis`, so that the charts of a page stand under each other minute by minute.
A level is drawn as steps that hold one sample interval and stop: nothing is interpolated, and a stretch without
samples stays empty. A table without rows becomes a panel that says what was not recorded. Tooltips carry exact numbers.

Times reach Vega as milliseconds on a UTC scale, already moved by the fixed offset of the axis: what a reader sees does
not depend on the reader's own zone, and a change to or from summer time cannot fold two hours onto each other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import altair as alt
import pandas as pd

from connforensics import colours
from connforensics.time_axis import TimeAxis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DASHED: Final = (6, 3)
SOLID: Final = (64, 0)

Drawing = alt.Chart | alt.LayerChart | alt.VConcatChart

MIME: Final = "application/vnd.vegalite.v5+json"
"""What JupyterLab 4.6 can draw; Altair's own type for Vega-Lite 6 it cannot."""

WIDTH: Final = 720
"""Width of a plot in pixels where nothing else is asked for."""

LEFT: Final = 44
"""Pixels kept for the labels of every vertical axis, so that plots begin at the same place."""

GAP_STEPS: Final = 3.0
"""A stretch without samples longer than this many sample intervals is a gap; shorter ones are jitter."""

TEXT_LENGTH: Final = 120
"""Characters of a text that reach a chart."""

HEADROOM: Final = 1.08
"""A line's plot ends this much above its highest value, so that a line along the top is not cut in half."""

WATCHERS: Final = ("snapshots", "log")
"""The evidence that counts sessions; a gap in other series does not blind the chart of sessions."""

MAX_SERVERS: Final = 3
MAX_SERVICES: Final = 6
MAX_CLIENTS: Final = 15
MAX_LANES: Final = 14

HOVER: Final = "hover"
"""Layers of this name catch the pointer and draw nothing; a static copy does without them."""

CONFIG: Final[dict[str, Any]] = {
    "font": "sans-serif",
    "background": "white",
    "padding": {"left": 2, "right": 14, "top": 4, "bottom": 4},
    "view": {"stroke": None, "continuousWidth": WIDTH},
    "axis": {
        "labelColor": colours.MUTED.light,
        "titleColor": colours.MUTED.light,
        "domainColor": colours.MUTED.light,
        "tickColor": colours.MUTED.light,
        "gridColor": colours.GRID.light,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelFlush": False,
    },
    "axisY": {"domain": False, "ticks": False, "labelPadding": 6, "title": None, "tickCount": 5},
    "axisX": {"grid": False, "labelOverlap": "greedy", "labelSeparation": 8, "titleAnchor": "end"},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": colours.TEXT.light,
        "labelFontSize": 12,
        "labelLimit": 190,
        "symbolSize": 90,
        "columnPadding": 16,
        "offset": 6,
    },
    "title": {
        "anchor": "start",
        "frame": "group",
        "color": colours.TEXT.light,
        "fontSize": 12,
        "fontWeight": 600,
        "offset": 8,
        "limit": WIDTH,
    },
    "concat": {"spacing": 14},
}


@dataclass(frozen=True, slots=True)
class Line:
    """How one column of a table is drawn: the word for it, its ink, its dashes and width in pixels.

    `is_ledger` marks a level that is known between its rows, because every change of it has a row.
    """

    label: str
    ink: colours.Ink
    dash: tuple[int, int] = SOLID
    width: float = 1.75
    is_ledger: bool = False


def use_in_notebooks() -> None:
    """Show charts as one data-only MIME entry: JupyterLab draws it, the report finds it."""
    alt.renderers.register("connforensics", _as_mime)
    alt.renderers.enable("connforensics")


def session_states(
    df: pd.DataFrame,
    limit_df: pd.DataFrame,
    blind_df: pd.DataFrame,
    refusals_df: pd.DataFrame,
    axis: TimeAxis,
) -> Drawing:
    """Draw sessions by state against the usable limit, what nobody watched, and the refusals below, per server.

    Takes the tables of `session_states`, `saturation`, `blind_spots` and `refusals_over_time`. Without snapshots the
    sessions in use, known from the log, are drawn instead.
    """
    states, limit_df, refusals_df = _dated(df), _dated(limit_df), _dated(refusals_df)
    states = states[["bucket_at", "server", "state", "sessions"]]
    title = "Sessions by state"
    is_ledger = states.empty
    if states.empty:
        known = limit_df[limit_df["in_use"].notna()]
        states = known[["bucket_at", "server", "in_use"]].rename(columns={"in_use": "sessions"}).assign(state="in use")
        title = "Sessions in use (known from the log; no snapshot tells their states)"
    if states.empty:
        return _bound(
            _not_recorded("Sessions: neither snapshots nor a log of connections in this window"),
            _refusal_bars(refusals_df, axis),
        )
    inks = colours.of_names(states["state"].fillna("not told"), colours.STATES)
    panels: list[Any] = []
    below = axis if refusals_df.empty else axis.above
    servers = _first_of(states["server"], MAX_SERVERS)
    for server in servers:
        of_server = states[_is(states["server"], server)]
        limit = limit_df[_is(limit_df["server"], server)]
        blind = blind_df[blind_df["evidence"].isin(WATCHERS)]
        blind = blind[_is(blind["server"], server) | blind["server"].isna()]
        name = f"{title}{_on(server, servers)} · {_limit_words(limit)}"
        areas = _stacked_steps(
            of_server.assign(state=of_server["state"].fillna("not told")),
            "state",
            "sessions",
            inks,
            below,
            is_ledger=is_ledger,
        )
        layers = [*_shading(blind, below), *areas[:1], *_limit(limit, below), *areas[1:]]
        panels.append(_titled(layers, name, 240))
    return _bound(*panels, _refusal_bars(refusals_df, axis))


def churn(df: pd.DataFrame, axis: TimeAxis) -> Drawing:
    """Draw sessions opened per second and their baseline over the worker count. Takes the table of `churn`."""
    df = _dated(df)
    if df.empty:
        return _bound(_not_recorded("Creation rate: no log line or snapshot tells of new sessions"))
    is_counted = df["workers"].notna().any()
    rate = _lines(
        df,
        {
            "opened_per_s": Line("opened per second", colours.OPENED),
            "baseline_per_s": Line("baseline", colours.BASELINE, dash=DASHED),
        },
        "Sessions opened per second",
        axis.above if is_counted else axis,
        is_count=False,
        also={"opened": "opened in the bucket", "refused": "refused in the bucket"},
    )
    if not is_counted:
        return _bound(rate, _not_recorded("Worker count: not recorded"))
    return _bound(rate, _lines(df, {"workers": Line("workers", colours.WORKERS)}, "Workers", axis, height=80))


def session_count(df: pd.DataFrame, axis: TimeAxis) -> Drawing:
    """Draw open sessions as rebuilt from the log beside those in snapshots. Takes the table of `session_count`."""
    df = _dated(df)
    if df.empty:
        return _bound(_not_recorded("Open sessions: not told by any log or snapshot"))
    shapes = {
        "from_log": Line("rebuilt from the log", colours.FROM_LOG, width=4, is_ledger=True),
        "from_snapshots": Line("counted in snapshots", colours.FROM_SNAPSHOTS),
    }
    servers = _first_of(df["server"], MAX_SERVERS)
    return _bound(
        *(
            _lines(
                df[_is(df["server"], server)],
                shapes,
                f"Open sessions{_on(server, servers)}",
                axis,
                height=130,
            )
            for server in servers
        )
    )


def idle_in_transaction(df: pd.DataFrame, axis: TimeAxis) -> Drawing:
    """Draw sessions idle in transaction and the age of the oldest. Takes the table of `idle_in_transaction`."""
    df = _dated(df)
    if df.empty:
        return _bound(_not_recorded("Idle in transaction: no snapshot in this window"))
    panels: list[Any] = []
    servers = _first_of(df["server"], MAX_SERVERS)
    for server in servers:
        of_server = df[_is(df["server"], server)]
        where = _on(server, servers)
        sessions = {"sessions": Line("sessions", colours.STATES["idle in transaction"])}
        also = {"share": "share of all sessions", "client": "most by"}
        panels.append(_lines(of_server, sessions, f"Sessions idle in transaction{where}", axis, height=120, also=also))
        if of_server["oldest_s"].notna().any():
            oldest = {"oldest_s": Line("seconds", colours.AGE)}
            panels.append(
                _lines(of_server, oldest, f"Age of the oldest open transaction, seconds{where}", axis, height=80)
            )
    return _bound(*panels)


def slot_holders(df: pd.DataFrame, axis: TimeAxis) -> Drawing:
    """Draw who held the slots: sessions by client, stacked. Takes the table of `slot_holders`."""
    df = _dated(df)
    if df.empty:
        return _bound(_not_recorded("Slot holders: no snapshot tells whose sessions they were"))
    named = df[["bucket_at", "client", "sessions"]].assign(client=df["client"].fillna("not told"))
    largest_first = named.sort_values("sessions", ascending=False)["client"]
    inks = colours.of_names(largest_first, {"others": colours.OTHER, "not told": colours.STATES["not told"]})
    layers = _stacked_steps(named, "client", "sessions", inks, axis)
    return _bound(_titled(layers, "Sessions by client", 220))


def pool_wait(df: pd.DataFrame, axis: TimeAxis) -> Drawing:
    """Draw each pool: lent out, at rest, its maximum, and the callers who wait. Takes the table of `pool_wait`."""
    df = _dated(df)
    if df.empty:
        return _bound(_not_recorded("Pools: no pool's numbers in this window"))
    shapes = {
        "checked_out": Line("checked out", colours.CHECKED_OUT),
        "idle": Line("idle in the pool", colours.POOL_IDLE),
        "max_size": Line("maximum", colours.POOL_SIZE, dash=DASHED),
        "waiting": Line("callers waiting", colours.WAITING),
    }
    also = {"size": "size", "timeouts": "gave up", "acquire_ms": "time to get one, ms"}
    busiest = df.sort_values(["waiting", "checked_out"], ascending=False)["service"]
    panels = [
        _lines(df[_is(df["service"], service)], shapes, f"Pool of {_clip(service)}", axis, height=110, also=also)
        for service in _first_of(busiest, MAX_SERVICES)
    ]
    return _bound(*panels)


def refusals(df: pd.DataFrame) -> Drawing:
    """Draw who was refused, how often and by what: bars by client. Takes the table of `refusals`."""
    if df.empty:
        return _bound(_not_recorded("No refusal in the evidence of this window"))
    told = df[["kind", "client", "refusals", "seen_in"]].assign(client=df["client"].fillna("not told").map(_clip))
    most_first = _first_of(told.sort_values("refusals", ascending=False)["client"], MAX_CLIENTS)
    told = told[told["client"].isin(most_first)]
    inks = colours.of_names(told["kind"], colours.KINDS)
    bars = (
        alt.Chart(told)
        .mark_bar(cornerRadius=2)
        .encode(
            x=alt.X(
                "sum(refusals):Q", axis=alt.Axis(title="refusals", tickMinStep=1, tickCount=6, format=",d", grid=True)
            ),
            y=alt.Y("client:N", sort=most_first, axis=alt.Axis(minExtent=130, maxExtent=130, labelLimit=124)),
            color=_colour("kind", inks),
            tooltip=[
                alt.Tooltip("client:N", title="client"),
                alt.Tooltip("kind:N", title="kind"),
                alt.Tooltip("sum(refusals):Q", title="refusals", format=",d"),
                alt.Tooltip("seen_in:N", title="seen in"),
            ],
        )
        .properties(width=WIDTH - 86, height=alt.Step(24))
    )
    return _bound(bars)


def timeline(df: pd.DataFrame, axis: TimeAxis) -> Drawing:
    """Draw what happened and when, one row a kind. Takes the table of `timeline`."""
    if df.empty:
        return _bound(_not_recorded("Nothing in this window bears a time"))
    drawn = df[["event_at", "what", "kind", "server", "citation"]].assign(
        event_at=axis.shown(df["event_at"]),
        what=df["what"].map(_clip),
        kind=df["kind"].fillna("other"),
        occasion=df["kind"].fillna("other").map(_occasion),
        server=df["server"].astype("string").fillna("not told"),
        citation=df["citation"].map(_clip),
    )
    lanes = list(drawn.sort_values("event_at")["kind"].drop_duplicates().head(MAX_LANES))
    drawn = drawn[drawn["kind"].isin(lanes)]
    lane = alt.Y("kind:N", sort=lanes, axis=_y_axis(is_count=False, labels=False, grid=True))
    points = (
        alt.Chart(drawn)
        .mark_point(filled=True, size=80, opacity=0.9, clip=True)
        .encode(
            x=_x(axis, "event_at"),
            y=lane,
            color=_colour("occasion", colours.of_names(drawn["occasion"], colours.OCCASIONS)),
            tooltip=[
                alt.Tooltip("when:N", title=axis.label),
                alt.Tooltip("what:N", title="what"),
                alt.Tooltip("server:N", title="server"),
                alt.Tooltip("citation:N", title="from"),
            ],
        )
        .transform_calculate(when=_when("event_at"))
    )
    words = (
        alt.Chart(pd.DataFrame({"kind": lanes}))
        .mark_text(align="left", baseline="bottom", dy=-6, fontSize=10, color=colours.MUTED.light)
        .encode(x=alt.value(2), y=lane, text="kind:N")
    )
    return _bound(alt.layer(words, points).properties(width=WIDTH, height=alt.Step(30)))


def _shading(blind_df: pd.DataFrame, axis: TimeAxis) -> list[alt.Chart]:
    if blind_df.empty:
        return []
    start, end = axis.domain
    drawn = blind_df[["evidence", "since_at", "until_at", "seconds", "meaning"]].assign(
        since_at=axis.shown(blind_df["since_at"]).fillna(start).clip(start, end),
        until_at=axis.shown(blind_df["until_at"]).fillna(end).clip(start, end),
    )
    drawn = drawn[drawn["until_at"] > drawn["since_at"]].assign(middle=(drawn["since_at"] + drawn["until_at"]) / 2)
    inks = {"not watched": colours.UNWATCHED, "saturated": colours.SATURATED}
    shades = (
        alt.Chart(drawn)
        .mark_rect(opacity=0.75, clip=True)
        .encode(
            x=_x(axis, "since_at"),
            x2="until_at",
            fill=alt.Fill(
                "meaning:N",
                scale=_scale(inks),
                legend=alt.Legend(symbolStrokeColor=colours.MUTED.light, symbolStrokeWidth=0.5),
            ),
            tooltip=[
                alt.Tooltip("meaning:N", title="what"),
                alt.Tooltip("evidence:N", title="evidence"),
                alt.Tooltip("from:N", title="from"),
                alt.Tooltip("to:N", title="to"),
                alt.Tooltip("seconds:Q", title="seconds", format=",.0f"),
            ],
        )
        .transform_calculate(**{"from": _when("since_at"), "to": _when("until_at")})
    )
    labels = (
        alt.Chart(drawn[(drawn["until_at"] - drawn["since_at"]) > axis.span_ms / 12])
        .mark_text(baseline="top", dy=3, fontSize=10, clip=True)
        .encode(x=_x(axis, "middle"), y=alt.value(0), text="meaning:N", color=alt.value(colours.TEXT.light))
    )
    return [shades, labels]


def _limit(limit_df: pd.DataFrame, axis: TimeAxis) -> list[alt.Chart]:
    told = limit_df[limit_df["usable"].notna()][["bucket_at", "usable", "limit_basis"]]
    if told.empty:
        return []
    drawn = told.assign(bucket_at=axis.shown(told["bucket_at"])).sort_values("bucket_at")
    step = _step(drawn["bucket_at"], axis)
    line = (
        alt.Chart(_held(drawn, "usable", step, broken=True, is_ledger=True))
        .mark_line(
            interpolate="step-after", strokeDash=list(DASHED), strokeWidth=1.5, color=colours.LIMIT.light, clip=True
        )
        .encode(x=_x(axis, "bucket_at"), y="usable:Q")
    )
    return [line]


def _limit_words(limit_df: pd.DataFrame) -> str:
    told = limit_df[limit_df["usable"].notna()]
    if told.empty:
        return "the limit is not known"
    least, most = told["usable"].min(), told["usable"].max()
    bases = [basis for basis in told["limit_basis"].dropna().drop_duplicates() if basis != "setting"]
    slots = f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"
    return f"dashed: {slots} usable" + (f" ({', '.join(bases)})" if bases else "")


def _refusal_bars(df: pd.DataFrame, axis: TimeAxis) -> Any:
    if df.empty:
        return _not_recorded("No refusal in the evidence of this window")
    drawn = df[["bucket_at", "kind", "refusals"]].assign(bucket_at=axis.shown(df["bucket_at"]))
    step = max(_step(drawn["bucket_at"], axis, shortest=True), axis.span_ms / WIDTH)
    inks = colours.of_names(drawn["kind"], colours.KINDS)
    bars = (
        alt.Chart(drawn.assign(bucket_end=drawn["bucket_at"] + step))
        .transform_stack(stack="refusals", as_=["from", "to"], groupby=["bucket_at"], sort=[alt.SortField("kind")])
        .transform_calculate(when=_when("bucket_at"))
        .mark_rect(clip=True, strokeWidth=0.5)
        .encode(
            x=_x(axis, "bucket_at"),
            x2="bucket_end",
            y=alt.Y("from:Q", axis=_y_axis(tickCount=3)),
            y2="to",
            color=_colour("kind", inks),
            stroke=alt.Stroke("kind:N", scale=_scale(inks), legend=None),
            tooltip=[
                alt.Tooltip("when:N", title=axis.label),
                alt.Tooltip("kind:N", title="kind"),
                alt.Tooltip("refusals:Q", title="refusals", format=",d"),
            ],
        )
    )
    return bars.properties(title="Refusals", width=WIDTH, height=70)


def _x(axis: TimeAxis, field: str) -> alt.X:
    """Encode a column of shown times on the shared axis."""
    return alt.X(
        f"{field}:T",
        scale=alt.Scale(type="utc", domain=alt.expr(f"[{axis.domain[0]:.0f}, {axis.domain[1]:.0f}]"), nice=False),
        axis=alt.Axis(
            title=None if axis.is_bare else f"{axis.start + axis.offset:%Y-%m-%d}, {axis.label}",
            labels=not axis.is_bare,
            labelExpr=axis.label_expression,
            tickCount=alt.expr("max(3, width / 90)"),
        ),
    )


def _stacked_steps(
    df: pd.DataFrame,
    series: str,
    value: str,
    inks: Mapping[str, colours.Ink],
    axis: TimeAxis,
    *,
    is_ledger: bool = False,
) -> list[alt.Chart]:
    """Return the areas, stacked in the order of `inks`, and the layer that catches the pointer."""
    order = {name: i for i, name in enumerate(inks)}
    drawn = df[["bucket_at", series, value]].assign(bucket_at=axis.shown(df["bucket_at"]), layer=df[series].map(order))
    drawn[series] = df[series].map(_clip)
    shown = {_clip(name): ink for name, ink in inks.items()}
    step = _step(drawn["bucket_at"], axis)
    areas = (
        alt.Chart(_held(drawn, value, step, broken=False, is_ledger=is_ledger))
        .mark_area(interpolate="step-after", clip=True)
        .encode(
            x=_x(axis, "bucket_at"),
            y=alt.Y(f"{value}:Q", stack="zero", axis=_y_axis()),
            color=_colour(series, shown),
            order=alt.Order("layer:Q"),
        )
    )
    numbers = {f"s{i}": _clip(name) for name, i in order.items()}
    total = " + ".join(f"datum.{key}" for key in numbers)
    hover = _catcher(
        alt.Chart(drawn.drop(columns=series))
        .transform_calculate(key="'s' + datum.layer")
        .transform_pivot("key", value=value, groupby=["bucket_at"])
        .transform_calculate(**{key: f"isValid(datum.{key}) ? datum.{key} : 0" for key in numbers})
        .transform_calculate(total=total),
        {"total": "all", **dict(reversed(numbers.items()))},
        step,
        axis,
    )
    return [areas, hover]


def _lines(
    df: pd.DataFrame,
    shapes: Mapping[str, Line],
    title: str,
    axis: TimeAxis,
    *,
    height: int = 150,
    is_count: bool = True,
    also: Mapping[str, str] | None = None,
) -> Any:
    """Return a panel of step lines, one per numeric column of `shapes` that holds a number; `also` joins the tooltip."""
    present = {name: shape for name, shape in shapes.items() if df[name].notna().any()}
    if not present:
        return _not_recorded(f"{title}: not recorded")
    more = {name: label for name, label in (also or {}).items() if df[name].notna().any()}
    numeric = [*present, *(name for name in more if pd.api.types.is_numeric_dtype(df[name]))]
    drawn = df[["bucket_at", *present, *more]].assign(
        bucket_at=axis.shown(df["bucket_at"]),
        **{name: df[name].map(_clip) for name in more if name not in numeric},
    )
    step = _step(drawn["bucket_at"], axis)
    long = pd.concat(
        [
            _series(drawn[["bucket_at", name]].rename(columns={name: "value"}), shape, axis)
            for name, shape in present.items()
        ]
    )
    top = max(float(long["value"].max()) * HEADROOM, 1.0 if is_count else 0.01)
    ticks = min(5, int(top)) if is_count else 5
    labels = [shape.label for shape in present.values()]
    width: dict[str, Any] = {"strokeWidth": alt.value(next(iter(present.values())).width)}
    if len(present) > 1:
        width = {
            "strokeDash": _by_label(alt.StrokeDash, labels, [list(shape.dash) for shape in present.values()]),
            "strokeWidth": _by_label(alt.StrokeWidth, labels, [shape.width for shape in present.values()]),
        }
    lines = (
        alt.Chart(long)
        .mark_line(interpolate="step-after", clip=True)
        .encode(
            x=_x(axis, "bucket_at"),
            y=alt.Y(
                "value:Q",
                axis=_y_axis(is_count=is_count, tickCount=ticks),
                scale=alt.Scale(domain=[0, top], nice=False),
            ),
            color=_colour("series", {shape.label: shape.ink for shape in present.values()}, symbol="stroke"),
            **width,
        )
    )
    hover = _catcher(
        alt.Chart(drawn), {**{name: shape.label for name, shape in present.items()}, **more}, step, axis, numeric
    )
    return _titled([lines, hover], title, height)


def _catcher(
    chart: alt.Chart,
    fields: Mapping[str, str],
    step: float,
    axis: TimeAxis,
    numeric: Iterable[str] | None = None,
) -> Any:
    """Return the layer that catches the pointer: one clear box per bucket, as high as the plot, with exact numbers."""
    numbers = set(fields if numeric is None else numeric)
    lit = alt.selection_point(name="lit", fields=["bucket_at"], on="pointerover", clear="pointerout", empty=False)
    return (
        chart.transform_calculate(bucket_end=f"datum.bucket_at + {step}", when=_when("bucket_at"))
        .mark_rect(color=colours.TEXT.light, clip=True)
        .encode(
            x=_x(axis, "bucket_at"),
            x2="bucket_end",
            opacity=alt.when(lit).then(alt.value(0.14)).otherwise(alt.value(0)),
            tooltip=[
                alt.Tooltip("when:N", title=axis.label),
                *(
                    alt.Tooltip(f"{name}:Q", title=label, format=",.10~g")
                    if name in numbers
                    else alt.Tooltip(f"{name}:N", title=label)
                    for name, label in fields.items()
                ),
            ],
        )
        .add_params(lit)
        .properties(name=HOVER)
    )


def _series(drawn: pd.DataFrame, shape: Line, axis: TimeAxis) -> pd.DataFrame:
    told = drawn[drawn["value"].notna()]
    step = _step(told["bucket_at"], axis)
    return _held(told, "value", step, broken=True, is_ledger=shape.is_ledger).assign(series=shape.label)


def _held(drawn: pd.DataFrame, value: str, step: float, *, broken: bool, is_ledger: bool = False) -> pd.DataFrame:
    """Return `drawn` with each run of samples closed one step after its last sample.

    A line is broken there (a missing value), an area of a stack ends (zero). Runs end where the next sample is more
    than `GAP_STEPS` steps away; those of a ledger only at its end.
    """
    times = drawn["bucket_at"].drop_duplicates().sort_values()
    distance = times.shift(-1) - times
    is_end = distance.isna() if is_ledger else distance.isna() | (distance > GAP_STEPS * step)
    ends = drawn[drawn["bucket_at"].isin(times[is_end])]
    held = ends.assign(bucket_at=ends["bucket_at"] + step)
    closing = held.assign(bucket_at=held["bucket_at"] + 1, **{value: None if broken else 0})
    closing = closing.astype({value: "float64"})
    return pd.concat([drawn.astype({value: "float64"}), held, closing]).sort_values("bucket_at", kind="stable")


def _step(shown: pd.Series[Any], axis: TimeAxis, *, shortest: bool = False) -> float:
    """Return the usual distance of two samples in milliseconds: the median, or the shortest where rows are sparse."""
    distances = shown.drop_duplicates().sort_values().diff()
    usual = distances.min() if shortest else distances.median()
    return float(usual) if usual > 0 else axis.span_ms / 200


def _by_label(channel: Any, labels: Sequence[str], values: Sequence[Any]) -> Any:
    return channel(
        "series:O", scale=alt.Scale(domain=list(labels), range=list(values)), legend=_legend(labels, "stroke")
    )


def _colour(field: str, inks: Mapping[str, colours.Ink], *, symbol: str = "square") -> alt.Color:
    return alt.Color(
        f"{field}:N",
        scale=_scale(inks),
        legend=_legend(list(inks), symbol),
    )


def _scale(inks: Mapping[str, colours.Ink]) -> alt.Scale:
    return alt.Scale(domain=list(inks), range=[ink.light for ink in inks.values()])


def _legend(labels: Sequence[str], symbol: str) -> alt.Legend | None:
    if len(labels) < 2:
        return None
    return alt.Legend(symbolType=symbol, symbolStrokeWidth=0) if symbol == "square" else alt.Legend(symbolType=symbol)


def _y_axis(*, is_count: bool = True, **more: Any) -> alt.Axis:
    """Return a vertical axis whose plot begins where all plots do; an axis of counts labels whole numbers only."""
    if is_count:
        more["labelExpr"] = "floor(datum.value) == datum.value ? format(datum.value, ',') : ''"
    return alt.Axis(minExtent=LEFT, maxExtent=LEFT, title=None, **more)


def _titled(layers: Sequence[alt.Chart], title: str, height: int) -> Any:
    return alt.layer(*layers).properties(title=title, width=WIDTH, height=height)


def _dated(df: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows that bear no time: they are in the headline and have no place on an axis."""
    return df[df["bucket_at"].notna()]


def _on(server: object, servers: Sequence[Any]) -> str:
    return f" on {_clip(server) if server else 'the unnamed server'}" if len(servers) > 1 else ""


def _not_recorded(text: str) -> Any:
    """Return a panel that says what there is nothing of."""
    return (
        alt.Chart(pd.DataFrame({"text": [text]}))
        .mark_point(opacity=0)
        .encode(x=alt.value(0), y=alt.value(0))
        .properties(title=alt.Title(text, fontStyle="italic", fontWeight="normal"), width=WIDTH, height=10)
    )


def _bound(*panels: Any) -> alt.VConcatChart:
    """Return panels under each other, each with its own colours, dressed in the house style."""
    with warnings.catch_warnings():
        # One pointer for all panels is meant: the same bucket lights up in each of them.
        warnings.filterwarnings("ignore", message="Automatically deduplicated selection parameter")
        stacked = alt.vconcat(*panels)
    own: Any = stacked.resolve_scale(
        color="independent", fill="independent", strokeWidth="independent", strokeDash="independent"
    )
    return own.properties(config=CONFIG)  # type: ignore[no-any-return]


def _is(column: pd.Series[Any], name: object) -> pd.Series[Any]:
    return column.isna() if pd.isna(name) else column == name  # type: ignore[call-overload]


def _first_of(column: pd.Series[Any], most: int) -> Sequence[Any]:
    return list(column.drop_duplicates().head(most))


def _clip(text: object) -> str:
    if pd.isna(text):  # type: ignore[call-overload]
        return "not told"
    told = str(text)
    return told if len(told) <= TEXT_LENGTH else told[: TEXT_LENGTH - 1] + "…"


def _occasion(kind: str) -> str:
    families = {
        "refused": ("refused_", "auth_", "fork_", "bad_startup", "unknown_target", "client_"),
        "slots": ("peak", "saturation"),
        "server": ("server_", "setting_"),
        "session": ("session_", "mass_end", "lock_", "deadlock", "statement_"),
        "pool": ("pool", "host_shunned"),
        "annotation": ("annotation",),
    }
    return next((family for family, starts in families.items() if kind.startswith(starts)), "other")


def _when(field: str) -> str:
    return f"utcFormat(datum.{field}, '%Y-%m-%d %H:%M:%S')"


def _as_mime(spec: dict[str, Any], **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
    portable = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    return {MIME: portable, "text/plain": "chart"}, {}
