"""One colour for each state, kind and role, everywhere: charts, pages, light and dark.

The hues are those of Okabe and Ito (https://jfly.uni-koeln.de/color/) and of Paul Tol's muted scheme
(https://personal.sron.nl/~pault/), which stay apart under the common forms of colour blindness. Each ink has a
light and a dark value; a light value is used once only, so that a page can tell from it which ink was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Ink:
    """A colour: its name, its value on white paper and its value on a dark screen (`#rrggbb`)."""

    name: str
    light: str
    dark: str


TEXT: Final = Ink("text", "#1d2530", "#e6e9ee")
MUTED: Final = Ink("muted", "#5a6675", "#9aa6b5")
GRID: Final = Ink("grid", "#e4e8ed", "#2b333d")
LIMIT: Final = Ink("limit", "#11161d", "#f4f6f9")
UNWATCHED: Final = Ink("unwatched", "#c4cad2", "#515c69")
SATURATED: Final = Ink("saturated", "#f2b8ae", "#7a2e22")
OTHER: Final = Ink("other", "#9aa3ad", "#76818d")
OPENED: Final = Ink("opened", "#0b74b5", "#58b2ec")
BASELINE: Final = Ink("baseline", "#6b7785", "#8f9bab")
WORKERS: Final = Ink("workers", "#117f63", "#45c3a1")
AGE: Final = Ink("age", "#8a3d80", "#d08cc6")
FROM_LOG: Final = Ink("from-log", "#b45f06", "#f0a860")
FROM_SNAPSHOTS: Final = Ink("from-snapshots", "#1f78b4", "#6fbcf0")
CHECKED_OUT: Final = Ink("checked-out", "#cc6f00", "#f3a44a")
POOL_IDLE: Final = Ink("pool-idle", "#b4c2d0", "#4f6173")
POOL_SIZE: Final = Ink("pool-size", "#2a3340", "#d9dee5")
WAITING: Final = Ink("waiting", "#aa3377", "#ea83b8")

STATES: Final[Mapping[str, Ink]] = {
    "idle": Ink("state-idle", "#a9bccd", "#5b7186"),
    "active": Ink("state-active", "#0072b2", "#3f9fdc"),
    "idle in transaction": Ink("state-in-transaction", "#e69f00", "#f0b429"),
    "idle in transaction (aborted)": Ink("state-aborted", "#882255", "#d26aa0"),
    "fastpath function call": Ink("state-fastpath", "#44aa99", "#58c9b6"),
    "starting": Ink("state-starting", "#999933", "#c3c35a"),
    "in use": Ink("state-in-use", "#5289b5", "#5f9dcd"),
    "disabled": Ink("state-disabled", "#8d8d8d", "#7f7f7f"),
    "not told": Ink("state-not-told", "#cdd3da", "#454f5b"),
}
"""Session states in PostgreSQL's words, in the order in which they are stacked."""

KINDS: Final[Mapping[str, Ink]] = {
    "refused_full": Ink("kind-full", "#b2182b", "#f0626f"),
    "refused_reserved": Ink("kind-reserved", "#ef8a62", "#f5a27f"),
    "refused_quota": Ink("kind-quota", "#762a83", "#c583d3"),
    "refused_state": Ink("kind-state", "#7d8793", "#97a2af"),
    "refused_rule": Ink("kind-rule", "#997700", "#d6b13c"),
    "auth_failed": Ink("kind-auth", "#bb9955", "#d8ba7c"),
    "auth_timeout": Ink("kind-auth-timeout", "#ddaa33", "#e8c468"),
    "unknown_target": Ink("kind-target", "#9f9f5f", "#bdbd80"),
    "bad_startup": Ink("kind-startup", "#6f6f3f", "#a5a56c"),
    "fork_failed": Ink("kind-fork", "#4a1486", "#a37be0"),
    "pool_timeout": Ink("kind-pool-timeout", "#cc3377", "#f07fb0"),
    "pooler_error": Ink("kind-pooler", "#995599", "#cf90cf"),
    "client_refused": Ink("kind-client", "#f4c7ab", "#8f5a3c"),
    "client_error": Ink("kind-client-error", "#d9a38f", "#b57a63"),
}
"""Event kinds that mean somebody did not get a connection, the server's own first."""

OCCASIONS: Final[Mapping[str, Ink]] = {
    "refused": Ink("occasion-refused", "#b41f30", "#f06a76"),
    "slots": Ink("occasion-slots", "#0f766e", "#4fd1c5"),
    "server": Ink("occasion-server", "#22569b", "#6ea3ea"),
    "session": Ink("occasion-session", "#3a8a3a", "#74c774"),
    "pool": Ink("occasion-pool", "#c76a0a", "#f0a04e"),
    "annotation": Ink("occasion-annotation", "#6d4fa1", "#b094e6"),
    "other": Ink("occasion-other", "#6c7683", "#9ba6b4"),
}
"""Families of happenings on the timeline."""

CLIENTS: Final[tuple[Ink, ...]] = (
    Ink("client-1", "#cc6677", "#e58896"),
    Ink("client-2", "#332288", "#8f7fe8"),
    Ink("client-3", "#ddcc77", "#d3c05f"),
    Ink("client-4", "#117733", "#45b06b"),
    Ink("client-5", "#88ccee", "#79c3e8"),
    Ink("client-6", "#8f2a5c", "#d072a0"),
    Ink("client-7", "#48ab9a", "#5cc9b7"),
    Ink("client-8", "#99993d", "#c2c262"),
)
"""Clients of one chart, in order of their share; whoever comes after them is `OTHER`."""

INKS: Final[tuple[Ink, ...]] = (
    *(TEXT, MUTED, GRID, LIMIT, UNWATCHED, SATURATED, OTHER, OPENED, BASELINE, WORKERS, AGE, FROM_LOG),
    *(FROM_SNAPSHOTS, CHECKED_OUT, POOL_IDLE, POOL_SIZE, WAITING),
    *STATES.values(),
    *KINDS.values(),
    *OCCASIONS.values(),
    *CLIENTS,
)


def of_names(names: Iterable[str], known: Mapping[str, Ink]) -> dict[str, Ink]:
    """Return an ink for every name: its own where known (in the known order first), else one of `CLIENTS`, in turn.

    >>> [ink.name for ink in of_names(["resting", "active"], STATES).values()]
    ['state-active', 'client-1']
    """
    present = list(dict.fromkeys(names))
    strangers = [name for name in present if name not in known]
    inks = {name: ink for name, ink in known.items() if name in present}
    inks.update({name: CLIENTS[i] if i < len(CLIENTS) else OTHER for i, name in enumerate(strangers)})
    return inks
