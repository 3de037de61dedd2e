"""Node's pools on a real server: `pg` from npm in the lab directory.

    python -m tests.lab.node

`exhaust` runs a small program whose pool is too small for its callers, and returns its log (JSON lines, as pino writes
them, and the pool's own counts) and what the program itself counted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.lab.install import lab_dir

PACKAGES = ("pg@8",)
INSTALL_TIMEOUT_S = 180
RUN_TIMEOUT_S = 60

PROGRAM = r"""
const { Pool } = require('pg');
const [port, user, callers] = process.argv.slice(2);
const pool = new Pool({ host: '127.0.0.1', port: Number(port), user, database: 'postgres', max: 2, connectionTimeoutMillis: 700 });
const say = (level, msg, more) => console.log(JSON.stringify({ level, time: Date.now(), pid: process.pid, service: 'orders', msg, ...more }));
pool.on('error', (error) => say(50, 'pool', { err: { message: error.message, stack: error.stack, code: error.code } }));
const counts = { timeouts: 0, refusals: 0 };
const order = async () => {
  try {
    const client = await pool.connect();
    await new Promise((done) => setTimeout(done, 1500));
    client.release();
  } catch (error) {
    if (error.code === '53300') counts.refusals += 1; else counts.timeouts += 1;
    say(50, 'no order', { err: { type: error.constructor.name, message: error.message, stack: error.stack, code: error.code } });
  }
};
(async () => {
  const orders = Array.from({ length: Number(callers) }, order);
  setTimeout(() => say(30, 'pool', { totalCount: pool.totalCount, idleCount: pool.idleCount, waitingCount: pool.waitingCount }), 300);
  await Promise.all(orders);
  await pool.end();
  console.error(JSON.stringify(counts));
})();
"""


def modules() -> Path | None:
    """The folder with the packages, installed when they are absent; None where that cannot be done."""
    place = lab_dir() / "node"
    if (place / "node_modules" / "pg").exists():
        return place
    if shutil.which("npm") is None:
        return None
    place.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix", str(place)]
    done = subprocess.run([*command, *PACKAGES], check=False, capture_output=True, timeout=INSTALL_TIMEOUT_S)
    return place if done.returncode == 0 else None


def require() -> Path:
    """The folder with the packages, or a skip that says why."""
    import pytest

    place = modules() if shutil.which("node") else None
    if place is None:
        pytest.skip("node-postgres is not in the lab: run python -m tests.lab.node")
    return place


def exhaust(port: int, *, user: str = "postgres", callers: int = 5) -> tuple[str, dict[str, int]]:
    """Five callers on a pool of two; returns the log and the counts of those who gave up and those who were refused."""
    place = require()
    program = place / "exhaust.js"
    program.write_text(PROGRAM)
    done = subprocess.run(
        ["node", str(program), str(port), user, str(callers)],
        check=True,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    return done.stdout, json.loads(done.stderr.strip().splitlines()[-1])


if __name__ == "__main__":
    print(modules() or "MISSING: npm could not install the packages")
