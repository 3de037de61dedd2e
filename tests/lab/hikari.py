"""HikariCP on a real server: Debian's jars, unpacked into the lab directory without installing anything.

    python -m tests.lab.hikari

`exhaust` runs a small Java program whose pool is too small for its callers, and returns its log as slf4j writes it and
what the program itself counted. Java and apt-get must be there already.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.install import lab_dir

PACKAGES = ("libhikaricp-java", "libpostgresql-jdbc-java", "libslf4j-java")
JARS = ("HikariCP.jar", "postgresql.jar", "slf4j-api.jar")
DOWNLOAD_TIMEOUT_S = 120
RUN_TIMEOUT_S = 90

PROGRAM = r"""
import com.zaxxer.hikari.*;
import java.sql.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;

public class Exhaust {
  public static void main(String[] arguments) throws Exception {
    int callers = Integer.parseInt(arguments[1]);
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(arguments[0]);
    config.setPoolName("orders-pool");
    config.setMaximumPoolSize(2);
    config.setConnectionTimeout(1000);
    config.setLeakDetectionThreshold(2000);
    config.setInitializationFailTimeout(-1);
    AtomicInteger timeouts = new AtomicInteger();
    try (HikariDataSource pool = new HikariDataSource(config)) {
      ExecutorService threads = Executors.newFixedThreadPool(callers);
      for (int caller = 0; caller < callers; caller++) {
        threads.submit(() -> {
          try (Connection connection = pool.getConnection()) {
            Thread.sleep(3000);
          } catch (Exception error) {
            timeouts.incrementAndGet();
            org.slf4j.LoggerFactory.getLogger(Exhaust.class).error("no order", error);
          }
        });
        Thread.sleep(50);
      }
      threads.shutdown();
      threads.awaitTermination(20, TimeUnit.SECONDS);
    }
    System.out.println("timeouts=" + timeouts.get());
  }
}
"""


def jars() -> list[Path]:
    """The jars of the lab, fetched when they are absent; empty where that cannot be done."""
    place = lab_dir() / "hikari"
    found = [place / "usr" / "share" / "java" / jar for jar in (*JARS, "slf4j-simple.jar", "slf4j-jdk14.jar")]
    if all(jar.exists() for jar in found):
        return found
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        for before in ([], ["apt-get", "update", "-q"]):
            if before:
                subprocess.run(before, check=False, capture_output=True, timeout=DOWNLOAD_TIMEOUT_S)
            fetched = subprocess.run(
                ["apt-get", "download", "-q", *PACKAGES],
                cwd=scratch,
                check=False,
                capture_output=True,
                timeout=DOWNLOAD_TIMEOUT_S,
            )
            if fetched.returncode == 0:
                break
        else:
            return []
        place.mkdir(parents=True, exist_ok=True)
        for package in sorted(Path(scratch).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(place)], check=True, timeout=60)
    return [jar for jar in found if jar.exists()]


def require() -> list[Path]:
    """The jars, or a skip that says why."""
    import pytest

    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    found = jars()
    if not found:
        pytest.skip("HikariCP's jars are not in the lab: run python -m tests.lab.hikari")
    return found


def exhaust(port: int, *, user: str = "postgres", callers: int = 5, layout: str = "simple") -> tuple[str, int]:
    """Five callers on a pool of two; returns the log and how many callers gave up."""
    classpath = ":".join(
        str(jar) for jar in require() if "slf4j-" not in jar.name or jar.stem.endswith(("api", layout))
    )
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "Exhaust.java"
        program.write_text(PROGRAM)
        done = subprocess.run(
            [
                "java",
                "-XX:TieredStopAtLevel=1",
                "-Xmx128m",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=debug",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
                "-Dorg.slf4j.simpleLogger.log.org.postgresql=warn",
                "-Dcom.zaxxer.hikari.housekeeping.periodMs=500",
                "-Duser.timezone=UTC",
                "-cp",
                classpath,
                str(program),
                f"jdbc:postgresql://127.0.0.1:{port}/postgres?user={user}&sslmode=disable",
                str(callers),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
    counted = re.search(r"timeouts=(\d+)", done.stdout)
    assert counted is not None, done.stdout + done.stderr
    return done.stderr, int(counted[1])


if __name__ == "__main__":
    print("\n".join(map(str, jars())) or "MISSING: apt-get could not fetch the packages")
