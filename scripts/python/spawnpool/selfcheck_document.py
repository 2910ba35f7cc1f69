"""The file in which a machine's calibration lies, and what `compare` says of it.

results/calibration.schema.json defines it."""
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spawnpool.between import SAME_MACHINE
from spawnpool.documents import Json, read_json
from spawnpool.errors import UsageError
from spawnpool.history import suite_hash
from spawnpool.metrics import METRICS
from spawnpool.operating import Condition, evaluate_set
from spawnpool.paths import RESULTS
from spawnpool.schema import Schema
from spawnpool.statistics import POWER

CALIBRATION = RESULTS / "calibration.json"
CALIBRATION_VERSION = 1


def calibration(results: Mapping[Condition, Sequence[tuple[Path, Json]]]) -> Json:
    """The calibration that these results make, one at least of each condition, with their summaries.
    UsageError where they are of several machines, builds or suites."""
    runs = [run for of_one in results.values() for run in of_one]
    (first_path, first), contexts = runs[0], [result["context"] for _, result in runs]
    for path, result in runs:
        for key in (*SAME_MACHINE, "binaries"):
            if result["context"][key] != first["context"][key]:
                raise UsageError(
                    f"{first_path} and {path} do not belong together: '{key}' differs; "
                    "begin a new calibration with another --out"
                )
    for of_one in results.values():
        if len({(suite_hash(it["suite"]), it["suite"]["blocks"]) for _, it in of_one}) > 1:
            raise UsageError(
                f"{of_one[0][0].parent} has runs of several suites: begin a new calibration with "
                "another --out"
            )
    context = first["context"]
    return {
        "schema_version": CALIBRATION_VERSION,
        "date": max(it["date"] for it in contexts),
        "machine": {key: context[key] for key in SAME_MACHINE},
        "binaries": context["binaries"],
        "sets": [evaluate_set(condition, of_one) for condition, of_one in results.items()],
        "unmeasured": {k: why for k, why in context["unmeasured"].items() if k in SAME_MACHINE},
    }


def read_calibration(path: Path) -> Json:
    """UsageError when the file is no calibration."""
    document: Json = read_json(path)
    wrong = Schema.read(RESULTS / "calibration.schema.json").complaint(document)
    if wrong is not None:
        raise UsageError(
            f"{path} is no calibration: {wrong}; remove it, or make it anew by 'spawnpool selfcheck'"
        )
    return document


def citation(path: Path, context: Json) -> Iterator[str]:
    """What a calibration tells a reader of a result with this context: nothing where there is none."""
    if not path.exists():
        return
    told = read_calibration(path)
    for key, value in told["machine"].items():
        if value != context[key]:
            yield (
                f"{path.name} is of another machine ({key} is {value} there, {context[key]} here), so what "
                "verdicts are worth on this one is not known: run 'scripts/spawnpool selfcheck' on it"
            )
            return
    for entry in told["sets"]:
        if not entry["load"] and entry["effect_percent"] != 0:
            yield f"this machine, {told['date'][:10]}, {_seen(entry)}"


def _seen(entry: Json) -> str:
    """A set in a sentence."""
    apart, labels = entry["told_apart"], {metric.path: metric.label for metric in METRICS}
    noisy = [metric for metric in entry["metrics"] if metric["gate"] == "noisy"]
    if entry["effect_percent"]:
        found = [
            f"{labels[it['metric']]} {it['regressed']['k']} of {it['regressed']['n']}"
            for it in noisy
            if (it["regressed"]["share"] or 0) >= POWER
        ]
        words = "; ".join(found) or "nothing in 4 of 5 cases"
        return f"{entry['effect_percent']} % put in, found: {words}"
    least = []
    for metric in noisy:
        known = [it["least_effect"] for it in metric["places"] if it["least_effect"] is not None]
        if known:
            ends = " to ".join(
                f"{100 * end:.3g}" for end in dict.fromkeys((min(known), max(known)))
            )
            least.append(f"{labels[metric['metric']]} {ends} %")
    return (
        f"{entry['suite']['name']} with {entry['pairs']} pairs: {apart['k']} false alarms in "
        f"{apart['n']} comparisons of equal targets; would find: "
        + ("; ".join(least) or "nothing, with so few pairs")
    )
