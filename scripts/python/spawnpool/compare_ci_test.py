import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spawnpool.compare_formats import FORMATS
from spawnpool.compare_words import conclusion, sentence
from spawnpool.comparison import Comparison, within
from spawnpool.summary import summarize
from spawnpool.testing import example_result
from spawnpool.verdicts import Verdict

BASE, POOL = "thread-per-connection", "worker-pool"
STRANGE = '100% of\nlines, a:b <c> & "d" \x00\x1b\ud800'


def _comparison(pool: float = 130_000.0, blocks: int = 10, faulty: bool = False) -> Comparison:
    result = example_result({BASE: 150_000.0, POOL: pool}, blocks=blocks)
    if faulty:
        result["trials"][0]["server"]["allocations"]["per_request"] = 77.0
        result["summary"] = summarize(result["suite"], result["trials"])
    return within(Path("result.json"), result)


def _written(name: str, comparison: Comparison, strict: bool = False) -> str:
    file = io.StringIO()
    FORMATS[name](comparison, strict, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "comparison", [_comparison(), _comparison(blocks=2), _comparison(faulty=True)]
)
def test_junit_has_a_case_for_each_gated_metric(comparison: Comparison) -> None:
    root = ElementTree.fromstring(_written("junit", comparison))
    counts, faults = comparison.verdicts(), len(comparison.faults)
    assert root.tag == "testsuites"
    assert int(root.get("tests", "")) == sum(counts.values()) + faults
    assert int(root.get("failures", "")) == counts[Verdict.REGRESSED]
    assert int(root.get("skipped", "")) == counts[Verdict.INCONCLUSIVE]
    assert int(root.get("errors", "")) == faults
    for attribute in ("tests", "failures", "skipped", "errors"):
        assert sum(int(s.get(attribute, "")) for s in root) == int(root.get(attribute, ""))
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    for line in comparison.lines:
        if line.judgement.verdict is None:
            continue
        case = cases[f"{line.place}: {POOL} / {BASE}", line.metric.path]
        found = {child.tag for child in case}
        tags = {Verdict.REGRESSED: {"failure"}, Verdict.INCONCLUSIVE: {"skipped"}}
        assert found == tags.get(line.judgement.verdict, {"system-out"})


def test_junit_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    root = ElementTree.fromstring(_written("junit", _comparison()))
    failure = next(root.iter("failure"))
    assert failure.get("message", "").startswith("throughput, requests/s: slower, ratio 0.8")
    assert failure.text == failure.get("message")
    skipped = next(ElementTree.fromstring(_written("junit", _comparison(blocks=2))).iter("skipped"))
    assert skipped.get("message", "").endswith("4 pairs: an interval needs 6")


def test_junit_survives_what_xml_cannot_write() -> None:
    written = _written("junit", replace(_comparison(), faults=[STRANGE]))
    (error,) = ElementTree.fromstring(written).iter("error")
    # A line end in an attribute is written as a reference, and read back.
    assert error.get("message") == '100% of\nlines, a:b <c> & "d" \ufffd\ufffd\ufffd'


def test_github_has_an_error_for_each_regression() -> None:
    comparison = _comparison()
    lines = _written("github", comparison).splitlines()
    errors = [line for line in lines if line.startswith("::error ")]
    assert len(errors) == comparison.verdicts()[Verdict.REGRESSED] == 6
    first = comparison.lines[0]
    told = f"::error title=worker-pool is slower%3A keep-alive%2C connections 16::{sentence(first)}"
    assert errors[0] == told
    assert lines[-1] == f"::notice title=spawnpool compare::{conclusion(comparison)}"


def test_github_warns_of_what_cannot_be_told_and_errs_where_strict() -> None:
    few = _comparison(blocks=2)
    for strict, kind in ((False, "warning"), (True, "error")):
        lines = _written("github", few, strict).splitlines()
        (line,) = (line for line in lines if "cannot tell" in line)
        assert line.startswith(f"::{kind} ") and line.endswith("4 pairs: an interval needs 6")


def test_github_takes_messages_as_text() -> None:
    lines = _written("github", replace(_comparison(), faults=[STRANGE])).splitlines()
    assert lines[0].startswith(
        "::error title=spawnpool%3A no verdict stands::100%25 of%0Alines, a:b <c>"
    )
    assert len([line for line in lines if line.startswith("::")]) == len(lines)
