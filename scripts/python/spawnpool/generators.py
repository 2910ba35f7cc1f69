"""Load generators run by hand, outside of a trial: spawnpool-load and wrk."""
import json
import subprocess
from typing import Optional

from spawnpool import paths
from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.local_server import pinned

GRACE_S = 60.0  # beyond a window, for a generator to end by itself
INVALID_MEASUREMENT = 3  # exit status; the report is there all the same

# wrk's own words are rounded; its script interface is not. Latencies in µs, as it has them.
_WRK_SCRIPT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"duration_us":%d,"errors":%d,"latency_us":' ..
    '{"p50":%d,"p90":%d,"p99":%d,"p99_9":%d,"max":%d}}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency:percentile(99.9), latency.max))
end
"""


def load_command(url: str, *options: object, cpu: Optional[int] = None) -> list[str]:
    """spawnpool-load with its report on stdout, on one CPU if that is given."""
    command = [str(paths.binary("spawnpool-load")), url, *map(str, options)]
    return command + (["--cpus", str(cpu)] if cpu is not None else []) + ["--json", "-", "--quiet"]


def run_load(url: str, *options: object, cpu: Optional[int] = None, within_s: float = 120) -> Json:
    """The report of spawnpool-load. UsageError when there is none, or it takes `within_s` seconds."""
    command = load_command(url, *options, cpu=cpu)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"does not end within {within_s:.0f} s: {' '.join(command)}") from error
    if done.returncode not in (0, INVALID_MEASUREMENT):
        raise UsageError(f"exit {done.returncode} of {' '.join(command)}: {done.stderr.strip()}")
    report: Json = json.loads(done.stdout)
    return report


def run_wrk(url: str, connections: int, duration_s: int, cpu: int, timeout_s: int = 5) -> Json:
    """wrk with one thread on one CPU: requests, duration_us, errors, throughput_rps, latency_us."""
    # Latencies beyond the timeout are dropped by wrk, hence it is generous.
    command = [*pinned(cpu), "wrk", "-t1", f"-c{connections}", f"-d{duration_s}s"]
    command += [f"--timeout={timeout_s}s", "-s/dev/stdin", url]
    done = subprocess.run(
        command, input=_WRK_SCRIPT, capture_output=True, text=True, timeout=duration_s + GRACE_S
    )
    if done.returncode != 0:
        raise UsageError(f"exit {done.returncode} of {' '.join(command)}: {done.stderr.strip()}")
    report: Json = json.loads(done.stdout.strip().splitlines()[-1])
    report["throughput_rps"] = report["requests"] / report["duration_us"] * 1e6
    return report
