import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spawnpool.conditions import conditions
from spawnpool.documents import Json
from spawnpool.report import render, report
from spawnpool.results import write_result
from spawnpool.summary import summarize
from spawnpool.table import comparisons, micro_rows
from spawnpool.testing import example_result, fail

VOID = {"meta", "br", "link", "img", "input"}


class _Page(HTMLParser):
    """Checks that every element is closed, and collects ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._note(attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._note(attributes)

    def _note(self, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(name="page", scope="module")
def _page() -> str:
    return render(example_result())


def test_the_page_needs_nothing_beside_itself(page: str) -> None:
    parsed = _Page(page)
    assert parsed.links and all(link.startswith("#") for link in parsed.links)
    assert not parsed.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"url\((?!#)", page) and "@import" not in page
    assert page.count("<svg ") == 5


def test_the_pictures_ids_do_not_collide(page: str) -> None:
    parsed = _Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    targets = set(re.findall(r"url\(#([^)]+)\)", page)) | {link[1:] for link in parsed.links}
    assert targets <= set(parsed.ids)


def test_the_page_holds_what_was_run_and_found(page: str) -> None:
    result = example_result()
    words = " ".join(_Page(page).words)
    for comparison in comparisons(result["summary"]):
        assert comparison.title in words
        for row in comparison.rows:
            assert row.base in words and row.interval in words
    for fact in (
        "36 of 36 planned",
        "6 pairs per scenario and point",
        "seed 1",
        "spawnpool-server --model worker-pool --workers 256",
        "Linux 6.1.0 x86_64",
        "/proc/cpuinfo names no model",
        "a" * 64,
    ):
        assert fact in words


def test_a_sweep_tells_of_its_calibration() -> None:
    result = example_result(suite_name="rate-sweep")
    fail(result["calibration"][0], "error-share", "too many errors")
    words = " ".join(" ".join(_Page(render(result)).words).split())
    for fact in (
        "keep-alive: GET /plaintext, connections are kept, connections 64; points: rate 10 %; ",
        "6 more before them, to measure the saturation",
        "invalid: calibration, thread-per-connection, keep-alive, connections 64",
        "saturation in closed loop, requests/s",
    ):
        assert fact in words
    assert "In an open loop requests come" in words and "In a closed loop" not in words


def test_what_targets_say_is_shown_as_text() -> None:
    result = example_result()
    fail(result["trials"][0], "wrong-answer", "got <script>alert(1)</script>")
    result["suite"]["description"] = "<b>bold</b>"
    page = render(result)
    assert "<script>" not in page and "<b>bold" not in page
    assert "wrong-answer: got &lt;script&gt;" in page
    assert "What is not valid" in page


def test_a_result_of_failures_alone_still_has_its_page(tmp_path: Path) -> None:
    result = example_result()
    for trial in result["trials"]:
        fail(trial, "error-share", "too many errors")
    write_result(tmp_path / "result.json", result)
    report(tmp_path / "result.json", tmp_path / "new" / "report.html")
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "there is nothing to draw" in page and page.count("error-share: too many") == 36


def test_micro_benchmarks_are_on_the_page_where_there_are_any(page: str) -> None:
    result = example_result(suite_name="signature")
    words = " ".join(_Page(render(result)).words)
    for row in micro_rows(result["micro"]):
        assert row.benchmark in words and row.real_time in words and row.spread in words
    assert 'aria-label="micro"' in render(result)
    result["micro"][0].update(error_occurred=True, error_message="no luck")
    assert "failed: route/miss: no luck" in render(result)
    assert "icro-benchmark" not in page


def test_costs_and_what_was_not_measured_are_on_the_page(page: str) -> None:
    result = example_result()
    words = " ".join(" ".join(_Page(page).words).split())
    for comparison in comparisons(result["summary"], detail=True):
        for row in comparison.rows:
            assert f"{row.metric} {row.base}" in words
    assert "Not drawn: system-calls: not asked for in this trial." in words
    assert "closed loop: no send time is intended" in words and "load.wait_us" in words
    assert "36 trials, in the order in which they ran" in words
    assert "Along the window" not in words


def test_a_real_result_has_its_series_its_machine_and_all_pictures(real_result: Json) -> None:
    page = render(real_result)
    parsed = _Page(page)
    words = " ".join(" ".join(parsed.words).split())
    assert page.count("<svg ") == 10 and len(parsed.ids) == len(set(parsed.ids))
    for section in ("Costs in detail", "Along the window", "Micro-benchmarks", "not measured"):
        assert section in words
    for row in conditions(real_result["trials"]):
        assert f"{row.trial} {row.target} {row.place} {row.status} {row.foreign}" in words
    assert "the target was shut down within the window" in words


def test_details_that_vary_are_marked(page: str) -> None:
    assert "(!)" not in page
    result = example_result()
    result["trials"][0]["server"]["allocations"]["bytes_per_request"] = 700.0
    result["summary"] = summarize(result["suite"], result["trials"])
    page = render(result)
    assert page.count("do not trust it") == 1 and "to 700 (!)" in page
