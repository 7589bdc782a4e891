"""A receipt for people and for CI: Markdown, JUnit XML and GitHub's annotations."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from bench.gate.receipt import Check, Entry, Measured, Receipt
from bench.gate.verdict import absent, key_of, plain, signed

SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "invalid": "⚠️", "error": "⚠️", "not checked": "–"}
ABOUT = {
    "pass": "a slowdown that matters is ruled out",
    "fail": "worse beyond doubt",
    "inconclusive": "the evidence says neither",
    "invalid": "this machine cannot tell times apart right now",
    "error": "not everything could be measured",
}


def markdown(receipt: Receipt) -> str:
    """For `$GITHUB_STEP_SUMMARY` or a comment: the verdict, what changed, and the rest folded away."""
    passed = [entry for entry in receipt.entries if entry.verdict == "pass"]
    others = [entry for entry in receipt.entries if entry.verdict != "pass"]
    lines = [
        f"## {SIGNS[receipt.verdict]} Gate: {receipt.verdict} ({ABOUT[receipt.verdict]})",
        "",
        _cell(receipt.reason),
        "",
    ]
    lines += _one_sided(receipt)
    lines += _table(others)
    if passed and others:
        lines += ["<details>", f"<summary>{len(passed)} more passed</summary>", "", *_table(passed), "</details>", ""]
    else:
        lines += _table(passed)
    rule, seconds = receipt.config, sum(entry.seconds for entry in receipt.entries)
    lines += [
        f"`{receipt.baseline}` → `{receipt.candidate}`, {_cell(receipt.host.summary)}, "
        f"{receipt.created:%Y-%m-%d %H:%M} UTC, {seconds:.0f} s. "
        f"PASS: {plain(rule.target)} slower is ruled out ({plain(1 - rule.beta)} sure). "
        f"FAIL: more than {plain(rule.tolerance)} slower ({plain(1 - rule.alpha)} sure, {receipt.family} measured).",
    ]
    if receipt.injected:
        lines += ["", f"The candidate was slowed down by {plain(receipt.injected)} on purpose."]
    if receipt.throttled:
        lines += ["", f"The CPU quota of this control group ran out {receipt.throttled} times while it was measured."]
    return "\n".join(lines) + "\n"


def one_sided(receipt: Receipt) -> list[str]:
    """A line for each benchmark that only one side has."""
    return [absent(each) for each in receipt.missing] + [
        f"{name}: new in the candidate, so that there is nothing to compare it with" for name in receipt.appeared
    ]


def _one_sided(receipt: Receipt) -> list[str]:
    found = [f"- {_cell(line)}" for line in one_sided(receipt)]
    return [*found, ""] if found else []


def _table(entries: list[Entry]) -> list[str]:
    if not entries:
        return []
    rows = ["| | benchmark | | change | lies between | |", "|:--|:--|:--|--:|:-:|:--|"]
    for entry in entries:
        for part in entry.measured:
            interval = "" if part.low is None else f"{signed(part.low)} … {signed(part.high)}"
            cells = [SIGNS[part.verdict], entry.title, part.metric, signed(part.change), interval, part.reason]
            rows.append("| " + " | ".join(map(_cell, cells)) + " |")
        for check in entry.checks:
            cells = [SIGNS[check.verdict], entry.title, check.name, "", "", check.reason]
            rows.append("| " + " | ".join(map(_cell, cells)) + " |")
        if entry.error:
            rows.append("| " + " | ".join(map(_cell, [SIGNS["error"], entry.title, "", "", "", entry.error])) + " |")
    return [*rows, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def parts(receipt: Receipt) -> Iterator[tuple[Entry, Measured | Check]]:
    """Everything that has a verdict of its own."""
    for entry in receipt.entries:
        yield from ((entry, part) for part in entry.measured)
        yield from ((entry, check) for check in entry.checks)


def junit(receipt: Receipt) -> str:
    """A test suite with a test case for each measured thing and check; a doubt is a skipped test with its reason.

    What is not one benchmark's own (an invalid run) is an error of the suite's first case.
    """
    suite = ET.Element("testsuite", name="zoo bench gate", timestamp=receipt.created.isoformat())
    if receipt.verdict == "invalid":
        case = ET.SubElement(suite, "testcase", classname="gate", name="machine", time="0")
        ET.SubElement(case, "error", message=_xml(receipt.reason))
    for each in receipt.missing:
        case = ET.SubElement(suite, "testcase", classname=_xml(each.name), name="missing", time="0")
        ET.SubElement(case, "skipped", message=_xml(absent(each)))
    for name in receipt.appeared:
        case = ET.SubElement(suite, "testcase", classname=_xml(name), name="new", time="0")
        ET.SubElement(case, "skipped", message="new in the candidate, so that there is nothing to compare it with")
    for entry, part in parts(receipt):
        spent = entry.seconds if part is entry.measured[0] else 0.0
        case = ET.SubElement(suite, "testcase", classname=_xml(entry.title), name=key_of(part), time=f"{spent:.3f}")
        if entry.error and isinstance(part, Measured):
            ET.SubElement(case, "error", message=_xml(entry.error))
        elif part.verdict == "fail":
            ET.SubElement(case, "failure", message=_xml(part.reason))
        elif part.verdict != "pass":
            ET.SubElement(case, "skipped", message=_xml(part.reason))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite)))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped."""
    return "".join(char if char.isprintable() else " " for char in text)


def github_lines(receipt: Receipt) -> list[str]:
    """GitHub's workflow commands: `::error` for each failure, `::warning` for a run that says nothing and for each
    benchmark that is missing, `::notice` for each that is new.
    """
    found = [
        _command("error", f"{entry.title}: {key_of(part)}", part.reason, receipt.candidate)
        for entry, part in parts(receipt)
        if part.verdict == "fail" and not (receipt.verdict == "invalid" and isinstance(part, Measured))
    ]
    if not found and receipt.verdict in ("inconclusive", "invalid", "error"):
        found.append(_command("warning", f"gate: {receipt.verdict}", receipt.reason, receipt.candidate))
    found += [
        _command("notice" if each.allowed else "warning", "gate: missing", absent(each), receipt.candidate)
        for each in receipt.missing
    ]
    return found + [_command("notice", "gate: new", name, receipt.candidate) for name in receipt.appeared]


def _command(kind: str, title: str, message: str, file: str) -> str:
    def value(text: str) -> str:
        return _escaped(text).replace(":", "%3A").replace(",", "%2C")

    return f"::{kind} file={value(file)},title={value(title)}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
