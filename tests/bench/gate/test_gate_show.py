import json
import xml.etree.ElementTree as ET

import jsonschema
import pytest
from typer.main import get_command

from bench.cli import app
from bench.gate.receipt import Receipt, read_receipt
from bench.gate.sarif import sarif
from bench.gate.show import github_lines, junit, markdown
from tests.support.gates import AS_BEFORE, SLOWER, TOO_NOISY, WRONG, entry, receipt
from zoo.errors import InputError, ZooError

PASSED = receipt(entry(AS_BEFORE))
FAILED = receipt(entry(AS_BEFORE, name="a<b"), entry(SLOWER, name="slow|er, 5 %"))
UNSURE = receipt(entry(AS_BEFORE), entry(TOO_NOISY, name="noisy"))
INVALID = receipt(entry(SLOWER, still=False))
BROKEN = receipt(entry([], error="candidate: the child process was killed by SIGKILL"))

# What SARIF 2.1.0 demands of the parts that are used; ids, levels and the nesting are those of the standard.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
PLACE = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {"artifactLocation": {"properties": {"uri": {"type": "string", "pattern": "^[^ ]+$"}}}},
        }
    },
}
RESULT = {
    "type": "object",
    "required": ["message", "ruleId", "level", "locations"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": TEXT,
        "locations": {"type": "array", "minItems": 1, "items": PLACE},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
DRIVER = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "rules": {
            "type": "array",
            "uniqueItems": True,
            "items": {"required": ["id"], "properties": {"id": {"type": "string"}, "shortDescription": TEXT}},
        },
    },
}
INVOCATION = {
    "type": "object",
    "required": ["executionSuccessful"],
    "additionalProperties": False,
    "properties": {
        "executionSuccessful": {"type": "boolean"},
        "arguments": {"type": "array", "items": {"type": "string"}},
        "toolExecutionNotifications": {
            "type": "array",
            "items": {"required": ["message"], "properties": {"message": TEXT, "level": LEVEL}},
        },
    },
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {"type": "object", "required": ["driver"], "properties": {"driver": DRIVER}},
                    "invocations": {"type": "array", "items": INVOCATION},
                    "results": {"type": "array", "items": RESULT},
                },
            },
        },
    },
}


def test_a_receipt_comes_back_as_it_was_written(tmp_path):
    FAILED.write(tmp_path / "gate.json")
    assert read_receipt(tmp_path / "gate.json") == FAILED
    assert FAILED.entries[0].pairs[0].rounds[0]["baseline"] == [1_000_000] * 5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (FAILED.to_json()[:300], "damaged or truncated"),
        (FAILED.to_json().replace("zoo.gate/1", "zoo.gate/9"), "schema 'zoo.gate/9' is not known"),
        (FAILED.to_json().replace('"seconds":0.9', '"seconds":NaN', 1), "seconds: "),
        (FAILED.to_json().replace("[1000000", "[-5", 1), "rounds"),
    ],
)
def test_a_receipt_that_is_none_is_one_line(tmp_path, text, complaint):
    (tmp_path / "gate.json").write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_receipt(tmp_path / "gate.json")


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [(PASSED, "pass"), (FAILED, "fail"), (UNSURE, "inconclusive"), (INVALID, "invalid"), (BROKEN, "error")],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_verdicts(shown: Receipt, verdict: str):
    assert shown.verdict == verdict
    assert f"Gate: {verdict}" in markdown(shown)


def test_a_wrong_answer_fails_on_any_machine_and_a_broken_benchmark_does_not_hide_it():
    both = receipt(entry(SLOWER, still=False), entry(AS_BEFORE, name="fast", checks=[WRONG]))
    assert (both.verdict, both.reason) == ("fail", f"fast: answers: {WRONG.reason}")
    assert receipt(entry(AS_BEFORE), interrupted=True).verdict == "inconclusive"


def test_markdown_shows_what_failed_first_and_folds_the_rest():
    page = markdown(FAILED)
    assert page.index("slow\\|er, 5 %") < page.index("<details>") < page.index("a&lt;b")
    assert "more than 1.5 % slower, beyond doubt" in page
    assert "5 % slower is ruled out" in page
    assert "<details>" not in markdown(PASSED)


def test_junit_counts_failures_and_doubts():
    def suite(shown: Receipt) -> ET.Element:
        found = ET.fromstring(junit(shown)).find("testsuite")
        assert found is not None
        return found

    counts = {key: suite(FAILED).get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "0", "skipped": "0"}
    assert suite(FAILED).find("testcase[@classname='slow|er, 5 %']/failure") is not None
    assert "too noisy here" in (suite(UNSURE).find("testcase/skipped").get("message") or "")
    assert suite(BROKEN).get("errors") == "1"
    assert suite(INVALID).find("testcase[@name='machine']/error") is not None


@pytest.mark.parametrize("shown", [PASSED, FAILED, UNSURE, INVALID, BROKEN])
def test_sarif_keeps_the_standards_structure(shown: Receipt):
    data = json.loads(sarif(shown))
    jsonschema.validate(data, SARIF)
    run = data["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


def test_sarif_says_what_failed_and_whether_the_run_counts():
    def found(shown: Receipt):
        run = json.loads(sarif(shown))["runs"][0]
        return [(r["ruleId"], r["level"]) for r in run["results"]], run["invocations"][0]["executionSuccessful"]

    assert found(PASSED) == ([], True)
    assert found(FAILED) == ([("time", "error")], True)
    assert found(UNSURE) == ([("time", "note")], True)
    assert found(INVALID) == ([("time", "note")], False)


def test_annotations_are_one_line_each_and_escaped():
    (line,) = github_lines(FAILED)
    assert line.startswith("::error file=net.zoo,title=slow|er%2C 5 %25%3A time::")
    assert "\n" not in line
    assert github_lines(PASSED) == []
    assert github_lines(INVALID)[0].startswith("::warning file=net.zoo,title=gate%3A invalid::")


@pytest.mark.parametrize(
    ("shown", "options", "code"),
    [
        (PASSED, [], 0),
        (FAILED, [], 1),
        (UNSURE, [], 3),
        (UNSURE, ["--strict"], 1),
        (INVALID, [], 4),
        (BROKEN, [], 4),
    ],
)
def test_exit_codes_and_files(tmp_path, capsys, shown: Receipt, options: list[str], code: int):
    shown.write(tmp_path / "gate.json")
    files = [tmp_path / name for name in ("s.md", "j.xml", "s.sarif")]
    words = ["gate", "--read", tmp_path / "gate.json", "--markdown", files[0], "--junit", files[1], "--sarif", files[2]]
    words += ["--annotate", *options]

    def call() -> None:
        get_command(app)([str(word) for word in words], standalone_mode=False)

    if code:
        with pytest.raises(ZooError, match=shown.verdict.upper()) as caught:
            call()
        assert caught.value.exit_code == code
    else:
        call()
    assert all(file.read_text() for file in files)
    printed = capsys.readouterr().out
    assert markdown(shown) in printed
    assert ("::error" in printed) == (shown is FAILED)
