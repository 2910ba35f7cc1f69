import io

from spawnpool.micro import micro_medians
from spawnpool.summary import summarize
from spawnpool.table import comparisons, failures, notes, number, print_tables
from spawnpool.testing import example_result, fail


def _printed(result: dict[str, object]) -> str:
    text = io.StringIO()
    print_tables(result, text)
    return text.getvalue()


def test_numbers_keep_at_least_three_digits() -> None:
    shown = [number(v) for v in (51234.4, 312.44, 14.0, 18.618, 2.5, 0.01234, 0.0, 1e9, None)]
    assert shown == ["51,234", "312.4", "14", "18.62", "2.500", "0.0123", "0", "1,000,000,000", "–"]


def test_every_value_is_there_within_100_columns() -> None:
    result = example_result()
    text = _printed(result)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    for comparison in comparisons(result["summary"]):
        assert comparison.title in text
        for row in comparison.rows:
            line = next(
                line
                for line in text[text.index(comparison.title) :].splitlines()
                if row.metric in line
            )
            for cell in (row.base, row.other, row.ratio, row.interval, row.pairs):
                assert cell in line


def test_long_names_widen_the_table_rather_than_cut_a_number() -> None:
    result = example_result()
    for target in (t for entry in result["summary"] for t in entry["targets"]):
        target["target"] += "-" + "x" * 40
    for pair in (c for entry in result["summary"] for c in entry["comparisons"]):
        pair["base"] += "-" + "x" * 40
        pair["target"] += "-" + "x" * 40
    text = _printed(result)
    assert "…" not in text and "worker-pool-" + "x" * 40 in text


def test_one_target_is_shown_without_ratios() -> None:
    result = example_result()
    for entry in result["summary"]:
        entry["targets"].pop()
        entry["comparisons"].clear()
    text = _printed(result)
    assert "thread-per-connection" in text and "ratio  " not in text


def test_what_varies_or_is_unknown_is_said() -> None:
    result = example_result()
    metrics = result["summary"][0]["targets"][0]["metrics"]
    metrics["server.allocations.per_request"].update(varies=True, min=2, max=2.5)
    metrics["load.latency_us.p99"].update(median=None, reason="the driver lost it")
    text = _printed(result)
    assert "2 to 2.500 (!)" in text
    assert "(!) a counted metric that varies" in text
    assert "not known: load.latency_us.p99: the driver lost it" in text


def test_throughput_with_idle_cores_is_no_peak() -> None:
    result = example_result()
    assert "no peak" not in " ".join(notes(result))
    for trial in result["trials"]:
        if trial["scenario"] == "churn" and trial["target"] == "worker-pool":
            trial["machine"]["server_idle_share"] = 0.87
            trial["load"]["generator"]["busy_share"] = 0.11
    (line,) = (line for line in notes(result) if "no peak" in line)
    assert line.startswith(
        "churn, connections 16: the core of worker-pool was busy 13% of the time"
    )
    for trial in result["trials"]:
        trial["load"]["generator"]["busy_share"] = 0.95  # the generator was the limit
    assert "no peak" not in " ".join(notes(result))


def test_a_sweep_tells_its_saturation_and_asks_for_no_peak() -> None:
    result = example_result(suite_name="rate-sweep")
    for trial in result["trials"]:
        trial["machine"]["server_idle_share"] = 0.9
        trial["load"]["generator"]["busy_share"] = 0.1
    said = notes(result)
    assert not any("no peak" in line for line in said)
    (line,) = (line for line in said if "saturation in closed loop" in line)
    assert line.startswith("keep-alive, connections 64: saturation in closed loop, requests/s: ")
    text = _printed(result)
    assert "keep-alive, rate 10 %" in text and "offered rate, requests/s" in text


def test_a_metric_nobody_has_is_no_row_and_of_other_loads_no_note() -> None:
    result = example_result()
    for trial in result["trials"]:
        trial["server"]["allocations"]["per_request"] = None
        trial["unmeasured"]["server.allocations.per_request"] = "no accounting pass"
    result["summary"] = summarize(result["suite"], result["trials"])
    text = _printed(result)
    assert "allocations/request" not in text
    assert "not known: server.allocations.per_request: no accounting pass" in text
    assert "shutdown" not in text and "wait_us" not in text


def test_details_are_rows_of_their_own() -> None:
    result = example_result()
    (main, *_), (detail, *_) = (comparisons(result["summary"], d) for d in (False, True))
    assert main.title == detail.title
    labels = [row.metric for row in detail.rows]
    assert "allocated bytes/request ↓" in labels and "switches to wait/request ↓" in labels
    assert not set(labels) & {row.metric for row in main.rows}
    for trial in result["trials"]:
        trial["server"]["page_faults_per_request"] = None
        trial["unmeasured"]["server.page_faults_per_request"] = "not told"
    result["summary"] = summarize(result["suite"], result["trials"])
    assert "not told" not in _printed(result)  # it has no row there
    (detail, *_) = comparisons(result["summary"], True)
    assert "page faults/request ↓" not in [row.metric for row in detail.rows]


def test_a_point_without_valid_trials_says_so() -> None:
    result = example_result()
    for trial in result["trials"]:
        if trial["scenario"] == "churn":
            fail(trial, "error-share", "too many errors")
    result["summary"] = summarize(result["suite"], result["trials"])
    text = _printed(result)
    assert "no valid trial" in text[text.index("churn, connections 16") :]
    assert "no valid trial" not in text[: text.index("churn, connections 16")]


def test_what_was_not_steady_is_said() -> None:
    result = example_result()
    assert "not steady" not in " ".join(notes(result))
    result["trials"][0]["load"]["steady_state"]["steady"] = False
    (line,) = (line for line in notes(result) if "not steady" in line)
    assert line.startswith("keep-alive, connections 16: 1 of 12 trials were not steady")


def test_a_failure_is_one_line_with_its_reason() -> None:
    result = example_result()
    fail(result["trials"][3], "target-died-under-load", "ended by SIGSEGV\nafter 3 requests")
    (line,) = failures(result["trials"])
    trial = result["trials"][3]
    assert line.startswith(f"invalid: {trial['target']}, keep-alive, connections 16 (block 0, ")
    assert line.endswith("target-died-under-load: ended by SIGSEGV after 3 requests")
    trial["target_stderr"] = ["warming up", "out of luck"]
    assert failures([trial])[0].endswith("after 3 requests; stderr: out of luck")


def test_micro_benchmarks_have_a_table_of_their_own() -> None:
    result = example_result(suite_name="signature")
    text = _printed(result)
    (row,) = (line.split() for line in text.splitlines() if "route/miss" in line)
    medians = micro_medians(result["micro"])[0]
    assert row[1] == number(medians.real_time) and row[2:5:2] == [
        number(min(medians.real_times)),
        number(max(medians.real_times)),
    ]
    assert row[5:] == ["12.50", "0", "7"]
    assert "hand_off/worker " in text and "manual_time" not in text
    assert "Micro-benchmarks: medians of n repetitions" in text
    assert "icro-benchmark" not in _printed(example_result())


def test_allocations_nobody_counted_are_said() -> None:
    result = example_result(suite_name="signature")
    for entry in result["micro"]:
        entry.update(allocs_per_iter=None, unmeasured={"allocs_per_iter": "not in this build"})
    assert "allocations are not known: not in this build" in notes(result)
    (row,) = (line.split() for line in _printed(result).splitlines() if "route/miss" in line)
    assert row[6] == "–"
