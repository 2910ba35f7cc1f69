from spawnpool.conditions import conditions, unmeasured
from spawnpool.documents import Json
from spawnpool.testing import example_result, fail


def test_a_row_for_each_trial_with_what_others_took() -> None:
    result = example_result()
    trial = result["trials"][1]
    trial["machine"].update(foreign_cpu_share=0.123, steal_share=None)
    trial["unmeasured"]["machine.steal_share"] = "the kernel does not tell"
    fail(trial, "generator-bound", "the generator was the limit")
    rows = conditions(result["trials"])
    assert len(rows) == 36
    assert (rows[1].trial, rows[1].target) == ("2", trial["target"])
    assert (rows[1].status, rows[1].foreign, rows[1].steal) == (
        "invalid, generator-bound",
        "12.3 %",
        "–",
    )
    assert (rows[0].status, rows[0].steal) == ("valid", "0.0 %")
    assert (rows[0].generator, rows[0].pacing) == ("60.0 %", "busy-poll")


def test_nulls_are_told_by_their_reason() -> None:
    result = example_result(suite_name="signature")
    for trial in result["trials"]:
        if trial["target"] == "worker-pool":
            trial["unmeasured"]["server.threads_started"] = "it printed no line at exit"
    result["micro"][0]["unmeasured"]["allocs_per_iter"] = "not in this build"
    found = {it.reason: it for it in unmeasured(result)}
    both = ["thread-per-connection", "worker-pool"]
    assert "server.syscalls_by_name" in found["not asked for in this trial"].fields
    assert found["not asked for in this trial"].of == both
    assert found["it printed no line at exit"].of == ["worker-pool"]
    assert found["not in this build"].fields == ["micro.allocs_per_iter"]
    assert found["/proc/cpuinfo names no model"].fields == ["context.cpu_model"]


def test_of_a_failed_trial_nothing_is_told() -> None:
    result = example_result()
    result["trials"][0].update(status="failed")
    result["trials"][0]["unmeasured"]["load.requests"] = "it crashed"
    assert "it crashed" not in [it.reason for it in unmeasured(result)]


def test_every_null_of_a_real_result_is_there(real_result: Json) -> None:
    told = {field for it in unmeasured(real_result) for field in it.fields}
    assert told >= {field for trial in real_result["trials"] for field in trial["unmeasured"]}
