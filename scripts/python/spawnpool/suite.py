"""Suites: what to measure, as data. Shipped ones lie in scripts/suites/."""
import os
import shutil
from pathlib import Path

from spawnpool.documents import Json, read_json
from spawnpool.errors import UsageError, unknown
from spawnpool.load import contradiction, load_of, timeout_contradiction
from spawnpool.metrics import gates
from spawnpool.options import RunOptions
from spawnpool.overrides import with_settings
from spawnpool.paths import SUITES, bin_dir, known_suites
from spawnpool.plan import PlannedTrial
from spawnpool.schema import Schema


def load_suite(name_or_path: str) -> Json:
    """Reads and checks a suite, given by a shipped name or the path of a JSON file."""
    path = Path(name_or_path)
    if name_or_path in known_suites():
        path = SUITES / f"{name_or_path}.json"
    elif path.suffix != ".json" and not path.is_file():
        error = unknown("suite", name_or_path, known_suites())
        raise UsageError(f"{error} (or give the path of a JSON file)")
    suite = read_json(path)
    _check(suite, str(path))
    checked: Json = suite
    return checked


def _contradiction(suite: Json) -> str | None:
    """What a schema cannot say about a suite."""
    names = {target["name"] for target in suite["targets"]}
    for kind in ("targets", "scenarios"):
        seen: set[str] = set()
        for index, item in enumerate(suite[kind]):
            if item["name"] in seen:
                return f"{kind}[{index}].name: '{item['name']}' is there already: names are unique"
            seen.add(item["name"])
    for index, target in enumerate(suite["targets"]):
        if "command" in target:
            placeholder = any("{port}" in word for word in target["command"])
            ways = placeholder + ("port" in target) + bool(target.get("ready_line"))
            if ways != 1:
                return (
                    f"targets[{index}]: say how its port is known, by one of 'port', "
                    "'ready_line': true or '{port}' in an argument of the command"
                )
        other = target.get("against")
        if other is not None and (other == target["name"] or other not in names):
            return f"targets[{index}].against: '{other}' is no other target"
    for index, scenario in enumerate(suite["scenarios"]):
        if suite["driver"] == "wrk" and scenario["request"]["method"] == "HEAD":
            return f"scenarios[{index}].request.method: the driver wrk cannot read answers to HEAD"
        for place, point in enumerate(scenario["points"]):
            load = load_of(scenario, point)
            wrong = contradiction(load, suite["driver"], suite["duration"])
            if wrong is not None:
                return f"scenarios[{index}].points[{place}].{wrong}"
    try:
        gates(suite)
    except UsageError as error:
        return f"metrics: {error}"
    return timeout_contradiction(suite["timeout"], suite["driver"])


def override(suite: Json, options: RunOptions) -> Json:
    """The suite with what the command line changes: values, targets (in the order named: the first is
    the base), blocks and driver, budget, most blocks. UsageError where that cannot be."""
    changed = with_settings(suite, options.settings)
    _check(changed, f"--set {', '.join(it.partition('=')[0] for it in options.settings)}")
    if options.targets is not None:
        by_name = {target["name"]: target for target in changed["targets"]}
        for name in options.targets:
            if name not in by_name:
                raise unknown("target", name, by_name)
        if len(set(options.targets)) != len(options.targets):
            raise UsageError(f"--targets names one twice: {','.join(options.targets)}")
        changed["targets"] = [by_name[name] for name in options.targets]
    for key in ("blocks", "driver", "budget", "until_resolved"):
        value = getattr(options, key)
        if value is not None:
            changed[key] = value
            _check(changed, f"--{key.replace('_', '-')} {value}")
    return changed


def _check(suite: Json, source: str) -> None:
    wrong = Schema.read(SUITES / "schema.json").complaint(suite)
    wrong = wrong or _contradiction(suite)
    if wrong is not None:
        raise UsageError(f"{source}: {wrong}")


def available(suite: Json) -> Json:
    """The suite without the optional targets that this machine lacks; these, with the reason, are
    listed under its key `skipped`. UsageError when no target is left."""
    targets, skipped = [], []
    for target in suite["targets"]:
        missing = missing_part(target) if "optional" in target else None
        if missing is None:
            targets.append(target)
        else:
            reason = f"{missing} is missing: install {target['optional']} and build again"
            skipped.append({"target": target["name"], "reason": reason})
    if not targets:
        raise UsageError(f"no target can run: {skipped[0]['reason']}")
    return {**suite, "targets": targets, "skipped": skipped}


def missing_part(target: Json) -> str | None:
    """What the target's command needs and is not there."""
    words = target_command(target)
    if shutil.which(words[0]) is None:
        return words[0]
    built = [word for word in words if word.startswith(f"{bin_dir()}/")]
    return next((word for word in built if not os.access(word, os.X_OK)), None)


def target_command(target: Json) -> list[str]:
    """The words of a target's `command`, with the place of the build's programs."""
    return [word.replace("{bin}", str(bin_dir())) for word in target["command"]]


def trial_spec(suite: Json, planned: PlannedTrial, seed: int) -> Json:
    """The input of spawnpool-trial for one planned trial, whose rate is known."""
    (target,) = (item for item in suite["targets"] if item["name"] == planned.target)
    (scenario,) = (item for item in suite["scenarios"] if item["name"] == planned.scenario)
    if "command" in target:
        target = {**target, "command": target_command(target)}
    if "path" in target:
        scenario = {**scenario, "request": {**scenario["request"], "path": target["path"]}}
    not_for_trials = {"optional", "against", "revision", "path"}
    here_only = {"points", "limits", "rate_fraction"}  # what a trial does not know
    spec = {
        "target": {key: value for key, value in target.items() if key not in not_for_trials},
        "scenario": {key: value for key, value in scenario.items() if key not in here_only},
        "point": {key: value for key, value in planned.point.items() if key != "rate_fraction"},
        "block": planned.block,
        "position": planned.position,
        "seed": seed,
    }
    for key in ("driver", "warmup", "duration", "timeout", "accounting", "limits", "cpus"):
        if key in suite:
            spec[key] = suite[key]
    spec["limits"] = {**suite["limits"], **scenario.get("limits", {})}
    first = planned.block == 0 and planned.position < len(suite["targets"])
    if (
        suite["accounting"] and not first
    ):  # what is counted is the same each time, and takes seconds
        spec["accounting"] = {**suite["accounting"], "syscalls": False, "instructions": False}
    return spec
