"""A service on the stage that is a Java program with a HikariCP pool: Shop.java, its books, its pool's numbers, its log."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.hikari import jars
from tests.lab.journal import refusal_kind

if TYPE_CHECKING:
    from tests.lab.service import Instance

PROGRAM = Path(__file__).with_name("Shop.java")
LOOK_EVERY_S = 0.2
STOP_TIMEOUT_S = 5.0


def run(instance: Instance, pools: Path, log: Path | None) -> None:
    """Run the program until the instance is stopped, and then end it as a killed container is ended."""
    java = shutil.which("java")
    found = [jar for jar in jars() if jar.name != "slf4j-jdk14.jar"]
    if java is None or not found:
        raise FileNotFoundError("Java or HikariCP's jars are missing: run python -m tests.lab.hikari")
    service, door = instance.service, instance.door
    told = f"user={door.user}&ApplicationName={door.application}&sslmode=disable&gssEncMode=disable&connectTimeout=5"
    url = f"jdbc:postgresql://{door.host}:{door.port}/{door.database}?{told}"
    command = [
        java,
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Xmx96m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        "-Dorg.slf4j.simpleLogger.log.com.zaxxer.hikari=debug",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        "-Dcom.zaxxer.hikari.housekeeping.periodMs=10000",
        "-Duser.timezone=UTC",
        "-cp",
        ":".join(map(str, found)),
        str(PROGRAM),
        url,
        f"{service.name}-pool",
        str(service.size),
        str(int(service.checkout_timeout_s * 1000)),
        str(service.rate),
        str(service.duration_ms),
    ]
    with (log or Path("/dev/null")).open("ab") as written:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True)
    threading.Thread(target=_keep_books, args=(instance, process, pools), daemon=True).start()
    turned = (0.0, 1.0)
    while not instance.stop.wait(LOOK_EVERY_S):
        dials = (instance.dials.leak, instance.dials.rate)
        if dials != turned and process.stdin is not None:
            turned = dials
            process.stdin.write(f"leak {dials[0]}\nrate {dials[1] * service.rate}\n")
            process.stdin.flush()
    process.kill()
    process.wait(STOP_TIMEOUT_S)


def _keep_books(instance: Instance, process: subprocess.Popen[str], pools: Path) -> None:
    from tests.lab.service import append_row, utc

    for line in process.stdout or ():
        what, first, *rest = line.strip().split(" ", 2)
        if what == "pool":
            size, active, idle, waiting, timeouts = rest[0].split()
            if pools.exists():
                numbers = (first, size, active, idle, 0, waiting, timeouts)
                append_row(pools, (utc(time.time()), instance.service.name, instance.name, "main", *numbers))
        elif what == "refused":
            says = rest[0] if rest else ""
            instance.journal.write(what, kind=refusal_kind(says), says=says)
        elif int(first):
            instance.journal.write(what, pid=int(first))
        else:
            instance.journal.write(what)
