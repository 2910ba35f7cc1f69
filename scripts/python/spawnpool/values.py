"""What trials have of metrics, as arrays: a run can have thousands of trials."""
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import numpy

from spawnpool.metrics import METRICS, Metric, Trial, leaf
from spawnpool.statistics import Array

Round = tuple[int, int]


class Values:
    """What the valid trials of a target have of some metrics."""

    def __init__(self, trials: Mapping[Round, Trial], metrics: Sequence[Metric] = METRICS) -> None:
        valid = sorted(key for key, trial in trials.items() if trial["status"] == "valid")
        self.rounds = {key: index for index, key in enumerate(valid)}
        self._columns = metric_values(metrics, [trials[key] for key in valid])

    def of(self, metric: Metric) -> Array:
        """Those of all trials, in the order of their rounds; NaN where a trial has none."""
        return self._columns[metric.path]

    def measured(self, metric: Metric) -> Array:
        """Those of the trials that have it."""
        values = self.of(metric)
        return values[~numpy.isnan(values)]


class PairedValues:
    """What two targets have in the rounds in which the trials of both are valid."""

    def __init__(self, base: Values, other: Values) -> None:
        self._base, self._other = base, other
        both = [key for key in base.rounds if key in other.rounds]
        self._in_base = numpy.array([base.rounds[key] for key in both], int)
        self._in_other = numpy.array([other.rounds[key] for key in both], int)

    def of(self, metric: Metric) -> tuple[Array, Array]:
        """The metric of the pairs that have it on both sides: that of the base, and of the other."""
        base = self._base.of(metric)[self._in_base]
        other = self._other.of(metric)[self._in_other]
        measured = ~(numpy.isnan(base) | numpy.isnan(other))
        return base[measured], other[measured]


def metric_values(metrics: Sequence[Metric], trials: Sequence[Trial]) -> dict[str, Array]:
    """By the path of each metric, its value in each trial; NaN where a trial has none.

    Trial by trial, since of thousands each has left the processor's cache when the next metric is looked
    for, and all leaves of one object at once: a fifth of the time of metric by metric."""
    derived = [metric for metric in metrics if metric.derive is not None]
    leaves: dict[str, list[str]] = {}
    for metric in metrics:
        if metric.derive is None:
            above, _, name = metric.path.rpartition(".")
            leaves.setdefault(above, []).append(name)
    columns = [f"{above}.{name}" for above, names in leaves.items() for name in names]
    columns += [metric.path for metric in derived]
    readers = [(above, _reader(names), [None] * len(names)) for above, names in leaves.items()]
    found: list[float | None] = []
    for trial in trials:
        for above, read, nothing in readers:
            value = leaf(trial, above)
            found += nothing if value is None else read(value)
        found += [metric.value(trial) for metric in derived]
    table = numpy.array(found, float).reshape(len(trials), len(columns))
    return dict(zip(columns, table.T))


def _reader(names: Sequence[str]) -> Callable[[Trial], Sequence[float | None]]:
    """Reads these members of an object."""
    if len(names) == 1:  # of one, itemgetter gives no tuple
        return lambda value: (value[names[0]],)
    return itemgetter(*names)
