"""Node's pools on real servers: `pg` and `mysql2` from npm in the lab directory.

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

PACKAGES = ("pg@8", "mysql2@3")
INSTALL_TIMEOUT_S = 180
RUN_TIMEOUT_S = 60

PG = r"""
const { Pool } = require('pg');
const [port, user, callers] = process.argv.slice(2);
const pool = new Pool({ host: '127.0.0.1', port: Number(port), user, database: 'postgres', max: 2, connectionTimeoutMillis: 700 });
pool.on('error', (error) => say(50, 'pool', { err: told(error) }));
const taken = () => pool.connect();
const isRefused = (error) => error.code === '53300';
const count = () => ({ totalCount: pool.totalCount, idleCount: pool.idleCount, waitingCount: pool.waitingCount });
"""

MYSQL2 = r"""
const [port, user, callers] = process.argv.slice(2);
const pool = require('mysql2/promise').createPool({ host: '127.0.0.1', port: Number(port), user, connectionLimit: 2, queueLimit: 1 });
const taken = () => pool.getConnection();
const isRefused = (error) => [1040, 1203, 1226].includes(error.errno);
const inner = pool.pool;
const count = () => ({ totalCount: inner._allConnections.length, idleCount: inner._freeConnections.length,
  waitingCount: inner._connectionQueue.length });
"""

CALLERS = r"""
const say = (level, msg, more) => console.log(JSON.stringify({ level, time: Date.now(), pid: process.pid, service: 'orders', msg, ...more }));
const told = (error) => ({ type: error.constructor.name, message: error.message, stack: error.stack, code: error.code });
const counts = { timeouts: 0, refusals: 0 };
const order = async () => {
  try {
    const client = await taken();
    await new Promise((done) => setTimeout(done, 1500));
    client.release();
  } catch (error) {
    if (isRefused(error)) counts.refusals += 1; else counts.timeouts += 1;
    say(50, 'no order', { err: told(error) });
  }
};
(async () => {
  const orders = Array.from({ length: Number(callers) }, order);
  setTimeout(() => say(30, 'pool', count()), 300);
  await Promise.all(orders);
  await pool.end();
  console.error(JSON.stringify(counts));
})();
"""

PROGRAMS = {"pg": PG + CALLERS, "mysql2": MYSQL2 + CALLERS}


def modules() -> Path | None:
    """The folder with the packages, installed when they are absent; None where that cannot be done."""
    place = lab_dir() / "node"
    if all((place / "node_modules" / name).exists() for name in PROGRAMS):
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
        pytest.skip("node-postgres and mysql2 are not in the lab: run python -m tests.lab.node")
    return place


def exhaust(port: int, *, user: str = "postgres", callers: int = 5, library: str = "pg") -> tuple[str, dict[str, int]]:
    """Five callers on a pool of two; returns the log and the counts of those who gave up and those who were refused.

    A pool of `pg` lets a caller wait for 0.7 s; one of `mysql2` lets one caller wait and turns the others away.
    """
    place = require()
    program = place / f"exhaust-{library}.js"
    program.write_text(PROGRAMS[library])
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
