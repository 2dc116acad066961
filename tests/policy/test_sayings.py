"""What users are told: in every language the same values, a rule, and the language of whoever asks."""

import re
from string import Formatter

import pytest

from guards.policy import sayings
from guards.policy.sayings import LANGUAGES, SAYINGS, Refusal, spoken


@pytest.mark.parametrize("name", SAYINGS)
def test_a_saying_is_there_in_every_language_with_the_same_values(name):
    said = SAYINGS[name]
    fields = [{field for _, field, _, _ in Formatter().parse(one) if field} for one in said]
    assert len(said) == len(LANGUAGES) and fields[0] == fields[1]
    assert re.search("[\u4e00-\u9fff]", said[1]) and not re.search("[\u4e00-\u9fff]", said[0])


def test_the_sentence_has_reason_message_contact_and_rule():
    refusal = Refusal("cloud", "cloud", "7", "Cloudy")
    assert refusal.sentence("This is a class.", "room 12") == (
        "Cloudy calls a cloud service, which is not allowed here: take node 7 out. This is a class. Ask: room 12. (rule: cloud)"
    )
    assert refusal.sentence().endswith("take node 7 out. (rule: cloud)")
    chinese = refusal.sentence("This is a class.", "room 12", "zh")
    assert "Cloudy" in chinese and "room 12" in chinese and "cloud" in chinese and "请" in chinese


@pytest.mark.parametrize(
    "cookie, accepted, language",
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en-US,en;q=0.9,zh;q=0.8", "en"),
        ("", "zh;q=0.2,en;q=0.9", "en"),
        ("", "de,zh;q=0.5", "zh"),
        ("", "zh;q=0,fr", "en"),
        ("", "zh;q=x", "en"),
        ("zh", "en", "zh"),
        ("zh-TW", "", "zh"),
        ("fr", "zh", "zh"),
    ],
)
def test_whose_language(cookie, accepted, language):
    assert spoken(cookie, accepted) == language


def test_every_saying_is_used():
    import pathlib

    code = "".join(path.read_text(encoding="utf-8") for path in pathlib.Path(sayings.__file__).parent.glob("*.py"))
    code = code.replace(pathlib.Path(sayings.__file__).read_text(encoding="utf-8"), "")
    assert [name for name in SAYINGS if f'"{name}"' not in code] == []
