import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from spawnpool.compare_formats import FORMATS
from spawnpool.compare_words import CROSS_CHECK_COLUMNS, cells, conclusion, cross_check_cells
from spawnpool.compare_words import explanations, groups, header
from spawnpool.comparison import Comparison, within
from spawnpool.documents import Json, read_json
from spawnpool.paths import RESULTS
from spawnpool.summary import summarize
from spawnpool.testing import example_result, fail

BASE, POOL = "thread-per-connection", "worker-pool"
RATES = {BASE: 150_000.0, POOL: 130_000.0}


def _comparison(result: Json) -> Comparison:
    result["summary"] = summarize(result["suite"], result["trials"])
    return within(Path("results/one.json"), result)


def _slower() -> Json:
    """The pool is slower, allocates less and has lost a pair."""
    result = example_result(RATES, blocks=10)
    fail(result["trials"][0], "error-share", "too many errors")
    return result


def _faulty() -> Json:
    result = example_result(RATES, blocks=2)
    result["trials"][0]["server"]["allocations"]["per_request"] = 77.0
    return result


@pytest.fixture(name="slower")
def _slower_comparison() -> Comparison:
    return _comparison(_slower())


def _written(name: str, comparison: Comparison, strict: bool = False) -> str:
    file = io.StringIO()
    FORMATS[name](comparison, strict, file)
    return file.getvalue()


def test_the_table_has_every_word_uncut(slower: Comparison) -> None:
    text = _written("table", slower)
    for line in slower.lines:
        part = text[text.index(line.place) :]
        row = next(row for row in part.splitlines() if line.metric.title in row)
        for cell in cells(line):
            assert cell in row
    assert "…" not in text and "slower" in text and "better" in text
    assert text.splitlines()[-1] == conclusion(slower)
    assert conclusion(slower) == "18 gated: 6 regressed, 12 improved"


def test_the_table_says_what_cannot_be_told_and_what_was_lost(slower: Comparison) -> None:
    said = explanations(slower)
    assert any("19 of 20 pairs" in line for line in said)
    few = explanations(_comparison(example_result(blocks=2)))
    (line,) = (line for line in few if line.startswith("cannot tell"))
    assert line == (
        "cannot tell throughput, requests/s (keep-alive, connections 16, worker-pool) and 5 more: "
        "4 pairs: an interval needs 6"
    )


@pytest.mark.parametrize("make", [_slower, _faulty])
def test_json_is_as_its_schema_says(make: Callable[[], Json]) -> None:
    comparison = _comparison(make())
    schema = read_json(RESULTS / "comparison.schema.json")
    told = json.loads(_written("json", comparison, strict=True))
    Draft7Validator(schema).validate(told)
    assert len(told["lines"]) == len(comparison.lines)
    assert told["status"] == comparison.status(strict=True)
    assert told["faults"] == comparison.faults and told["notes"] == comparison.notes


def test_json_has_the_numbers_of_a_verdict(slower: Comparison) -> None:
    told = json.loads(_written("json", slower))["lines"][0]
    assert (told["metric"], told["verdict"], told["word"]) == (
        "load.throughput_rps",
        "regressed",
        "slower",
    )
    judged = slower.lines[0].judgement
    assert judged.interval is not None and judged.gate_interval is not None
    assert told["interval"] == list(judged.interval)
    assert told["gate_interval"] == list(judged.gate_interval)
    assert told["least_effect"] == judged.least_effect and judged.least_effect is not None


def test_what_is_sampled_is_checked_by_other_methods(slower: Comparison) -> None:
    for line in json.loads(_written("json", slower))["lines"]:
        if line["gate"] == "exact":
            assert line["bootstrap_interval"] is line["wilcoxon_p"] is None
        elif line["metric"] == "load.throughput_rps":  # 19 pairs or more, all on one side
            low, high = line["bootstrap_interval"]
            assert low <= line["ratio"] <= high < 1
            assert line["wilcoxon_p"] < 1e-4
    few = json.loads(_written("json", _comparison(example_result(RATES, blocks=2))))["lines"]
    assert {line["bootstrap_interval"] for line in few} == {None}


def _cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)\|", row)


def test_markdown_has_a_table_for_each_group(slower: Comparison) -> None:
    text = _written("markdown", slower)
    assert text.startswith(f"### {conclusion(slower)}\n")
    assert text.count("\n| :-- | --: |") == len(groups(slower)) == 3
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert len(rows) == 3 * 2 + len(slower.lines)
    heads = (*header(groups(slower)[0]), *CROSS_CHECK_COLUMNS)
    assert {len(_cells(row)) for row in rows} == {len(heads) + 2}
    for line in slower.lines:
        assert "| " + " | ".join([*cells(line), *cross_check_cells(line)]) + " |" in text
    assert "\n- keep-alive, connections 16: 19 of 20 pairs of " in text


def test_markdown_takes_names_and_reasons_as_text() -> None:
    comparison = _comparison(_faulty())
    strange = "a|b <script> `x` *y* _z_ [u](v) #1 &amp; \\"
    text = _written("markdown", replace(comparison, notes=[strange], faults=[strange]))
    escaped = r"a\|b \<script\> \`x\` \*y\* \_z\_ \[u\](v) \#1 \&amp; \\"
    assert text.count(f"\n- {escaped}\n") == 2
