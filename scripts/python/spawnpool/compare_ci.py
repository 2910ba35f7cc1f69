"""A comparison as what CI systems read: JUnit XML and GitHub's annotations."""
import re
from collections.abc import Mapping
from typing import TextIO
from xml.etree import ElementTree

from spawnpool.compare_words import conclusion, groups, sentence, untold
from spawnpool.comparison import Comparison
from spawnpool.verdicts import Verdict

# Characters that XML 1.0 has no way to write.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(comparison: Comparison, strict: bool, file: TextIO) -> None:
    """JUnit XML: a suite for each table, a case for each gated metric. Regressed is a failure,
    inconclusive is skipped; faults are errors in a suite of their own."""
    root = ElementTree.Element("testsuites", name="spawnpool compare")
    for group in groups(comparison):
        gated = [line for line in group.lines if line.judgement.verdict is not None]
        if not gated:
            continue
        name = group.title if comparison.bases else f"{group.title}: {group.target} / {group.base}"
        suite = ElementTree.SubElement(root, "testsuite", name=name)
        for line in gated:
            words = _text(sentence(line))
            case = ElementTree.SubElement(suite, "testcase", name=line.metric.path, classname=name)
            if line.judgement.verdict == Verdict.REGRESSED:
                ElementTree.SubElement(
                    case, "failure", type="regressed", message=words
                ).text = words
            elif line.judgement.verdict == Verdict.INCONCLUSIVE:
                ElementTree.SubElement(case, "skipped", message=words)
            else:
                ElementTree.SubElement(case, "system-out").text = words
    if comparison.faults:
        suite = ElementTree.SubElement(root, "testsuite", name="data")
        for index, fault in enumerate(comparison.faults):
            case = ElementTree.SubElement(
                suite, "testcase", name=f"fault {index}", classname="data"
            )
            ElementTree.SubElement(case, "error", type="data", message=_text(fault))
    for suite in root:
        _count(suite, suite)
    _count(root, root)
    ElementTree.indent(root)
    file.write(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True).decode() + "\n")


def _count(element: ElementTree.Element, within: ElementTree.Element) -> None:
    """Puts the numbers of cases into the attributes, which all readers expect."""
    for attribute, tag in (
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        element.set(attribute, str(sum(1 for _ in within.iter(tag))))


def _text(words: str) -> str:
    return _NO_XML.sub("\ufffd", words)


def write_github(comparison: Comparison, strict: bool, file: TextIO) -> None:
    """Workflow commands: an error for each fault and each regression, a warning for each reason for
    which something cannot be told (an error where `strict`), a notice with the conclusion."""
    for fault in comparison.faults:
        file.write(_annotation("error", {"title": "spawnpool: no verdict stands"}, fault))
    for group in groups(comparison):
        for line in group.lines:
            if line.judgement.verdict == Verdict.REGRESSED:
                title = f"{line.target} is {line.word}: {line.place}"
                file.write(_annotation("error", {"title": title}, sentence(line)))
    for reason in untold(comparison):
        kind = "error" if strict else "warning"
        file.write(_annotation(kind, {"title": "spawnpool compare"}, reason))
    for note in comparison.notes:
        file.write(_annotation("warning", {"title": "spawnpool compare"}, note))
    file.write(_annotation("notice", {"title": "spawnpool compare"}, conclusion(comparison)))


def _annotation(kind: str, properties: Mapping[str, str], message: str) -> str:
    """A line as https://github.com/actions/toolkit (packages/core/src/command.ts) writes it."""

    def escaped(text: str, *more: tuple[str, str]) -> str:
        for raw, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *more):
            text = text.replace(raw, code)
        return text

    told = ",".join(
        f"{key}={escaped(value, (':', '%3A'), (',', '%2C'))}" for key, value in properties.items()
    )
    return f"::{kind} {told}::{escaped(message)}\n"
