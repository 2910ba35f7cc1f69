import math

from spawnpool.metrics import METRICS
from spawnpool.testing import example_result, fail
from spawnpool.values import PairedValues, Values, metric_values


def test_the_values_of_many_trials_are_those_of_each() -> None:
    trials = example_result()["trials"]
    trials[1]["server"]["perf"] = trials[2]["load"]["latency_us"] = None  # above leaves
    values = metric_values(METRICS, trials)
    assert set(values) == {metric.path for metric in METRICS}
    for metric in METRICS:
        for told, trial in zip(values[metric.path], trials, strict=True):
            value = metric.value(trial)
            assert math.isnan(told) if value is None else told == value, metric.path
    assert math.isnan(values["load.latency_us.p99"][2])
    assert not math.isnan(values["load.latency_us.p99"][1])
    assert [len(column) for column in metric_values(METRICS[:1], []).values()] == [0]


def test_a_pair_is_of_one_round_and_measured_on_both_sides() -> None:
    one, other = example_result()["trials"][:8:2], example_result()["trials"][1:9:2]
    for index, (a, b) in enumerate(zip(one, other)):
        a["load"]["throughput_rps"], b["load"]["throughput_rps"] = 10 + index, 20 + index
    fail(one[1], "error-share", "too many errors")
    other[2]["load"]["throughput_rps"] = None
    (throughput,) = (metric for metric in METRICS if metric.path == "load.throughput_rps")
    # The rounds of the other come in another order, and one of them is of no trial of the first.
    base = Values({(0, 0): one[0], (0, 1): one[1], (1, 0): one[2], (1, 1): one[3]}, [throughput])
    of_other = {(9, 0): other[0], (1, 1): other[3], (1, 0): other[2], (0, 0): other[1]}
    assert list(base.measured(throughput)) == [10, 12, 13]
    paired = [list(side) for side in PairedValues(base, Values(of_other)).of(throughput)]
    assert paired == [[10, 13], [21, 23]]
    assert [len(side) for side in PairedValues(base, Values({})).of(throughput)] == [0, 0]
