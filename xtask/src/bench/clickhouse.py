"""Runs ClickHouse's engine for the benchmark of logs: a query a line on stdin, its cost and answer a line on stdout."""

import json
import resource
import sys
import time

import chdb
from chdb import session


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


engine = session.Session(sys.argv[1])
engine_version = str(engine.query("SELECT version()", "TabSeparated")).strip()
print(json.dumps({"version": f"chdb {chdb.__version__}, ClickHouse {engine_version}"}), flush=True)
for line in sys.stdin:
    cpu, wall = cpu_seconds(), time.perf_counter()
    try:
        answer = {"rows": str(engine.query(json.loads(line), "TabSeparated"))}
    except Exception as error:  # what the engine refuses is told, and ends the run on the other side
        answer = {"error": str(error)}
    answer["wall_ms"] = (time.perf_counter() - wall) * 1e3
    answer["cpu_ms"] = (cpu_seconds() - cpu) * 1e3
    answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(answer), flush=True)
