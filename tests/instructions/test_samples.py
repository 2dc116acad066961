"""Sample files: the three formats, the errors that name file and line, and the set that is shipped."""

from pathlib import Path

import pytest

from tools.testing import hosting

samples = hosting.module("guards.instructions.samples")
MODELS = Path(__file__).resolve().parent.parent.parent / "models"
TEXT = """Input Caption: a photo of a plum
Concept: purple, round
Output Caption1: a photo of a yellow plum
Output Caption2: a photo of a pear

Input Caption: a barn
Concept: cow
Output Caption1: a barn
"""


def test_the_papers_text_format():
    first, second = samples.read(TEXT, "x.txt")
    assert first == samples.Sample(
        "a photo of a plum", ("purple", "round"), ("a photo of a yellow plum", "a photo of a pear")
    )
    assert second.references == ("a barn",)
    assert samples.read(TEXT.replace("\n\n", "\n"), "x.txt") == [first, second]
    assert samples.read("\ufeff" + TEXT.replace("\n", "\r\n"), "x.txt") == [first, second]


def test_json_lines():
    [one] = samples.read(
        '{"caption": "a barn", "concepts": ["cow"], "references": ["a barn"], "held_out": true}\n\n', "x.jsonl"
    )
    assert one == samples.Sample("a barn", ("cow",), ("a barn",), True)


def test_the_dataset_reads_as_an_evaluation_set_without_references():
    [one] = samples.read("cow\ta barn\tA cow looks out of the barn. 🐄\n", "x.tsv")
    assert one == samples.Sample("A cow looks out of the barn. 🐄", ("cow",))


@pytest.mark.parametrize(
    "text, line, what",
    [
        ("hello", 1, "none of the three formats"),
        ("a\tb", 1, "none of the three formats"),
        ("a\tb\tc\na\tb", 2, "2 columns"),
        ("a\tb\tc\n\n\t\tc", 3, "3 columns"),
        (TEXT + "\nnonsense", 10, "is needed"),
        ("Input Caption: x\nConcept: y\n", 1, "Output Caption1"),
        ("Input Caption: x\nConcept:\n", 2, "nothing"),
        ("Concept: y\n", 1, "begins with"),
        (TEXT + "Input Caption: z\n", 9, "has no 'Concept"),
        ('{"caption": "x"}', 1, "concepts"),
        ('{"caption": "x", "concepts": [], "references": ["y"]}', 1, "concepts"),
        ("{", 1, "no JSON"),
        ('{"caption": "", "concepts": ["y"], "references": ["y"]}', 1, "caption"),
        ('{"caption": "x", "concepts": ["y"], "references": ["y"], "held_out": 1}', 1, "held_out"),
        ('{"caption": "x", "concepts": ["y"], "references": ["y"], "url": 1}', 1, "'url'"),
        ('{"caption": "x", "concepts": ["y"], "references": ["y"]}\n[1]', 2, "object"),
        ("a\tb\t" + "c" * 3000, 1, "3000 characters"),
    ],
)
def test_errors_name_the_file_and_the_line(text, line, what):
    with pytest.raises(samples.SampleError, match=f"^my.txt, line {line}: ") as error:
        samples.read(text, "my.txt")
    assert what in str(error.value)


def test_an_empty_file_is_refused():
    with pytest.raises(samples.SampleError, match="my.txt is empty"):
        samples.read("\n \n", "my.txt")


def test_without_marks_a_quarter_is_held_out_by_the_seed():
    many = [samples.Sample(str(number), ("x",), ("y",)) for number in range(12)]
    teaching, held = samples.parts(many, 3)
    assert len(held) == 3 and len(teaching) == 9 and not set(held) & set(teaching)
    assert samples.parts(many, 3) == (teaching, held) and samples.parts(many, 4) != (teaching, held)
    assert samples.parts(many[:1], 0) == (many[:1], [])


def test_the_shipped_samples_teach_and_hold_out_and_keep_their_own_rules():
    watch = hosting.module("guards.words.watch").watch
    found = samples.read((MODELS / "rewrite_samples.jsonl").read_text(encoding="utf-8"), "rewrite_samples.jsonl")
    teaching, held = samples.parts(found, 0)
    assert len(found) == 120 and len(held) == 30 and not {s.caption for s in held} & {s.caption for s in teaching}
    for sample in found:
        guard = watch({concept: () for concept in sample.concepts})
        assert len(sample.references) == 3 and not [text for text in sample.references if guard.find(text)]
    implying = hosting.module("guards.instructions.learning").implying
    every = 0
    for part in teaching, held:
        unnamed = [s for s in part if not watch({concept: () for concept in s.concepts}).find(s.caption)]
        assert [s for s in unnamed if s.caption in s.references], "some have nothing to do with their concepts"
        implied = [s for s in unnamed if s.caption not in s.references]
        assert len(implied) * 2 >= len(part) and all(implying(s) for s in implied)
        every += len(implied)
    calls = f"{hosting.module('guards.instructions.learning').calls(len(teaching), len(held), 3, 6):,}"
    said = {  # what the texts say of these samples
        "models/README.md": f"{every} imply their concept",
        "web/docs/GuardLearnInstruction.md": calls,
        "workflows/learn_instruction.json": calls,
    }
    assert [
        path for path, words in said.items() if words not in (MODELS.parent / path).read_text(encoding="utf-8")
    ] == []


def test_the_shipped_evaluation_file_names_each_concept_in_its_query():
    rows = samples.rows((MODELS / "rewrite_evaluation.tsv").read_text(encoding="utf-8"), "rewrite_evaluation.tsv")
    watch = hosting.module("guards.words.watch").watch
    assert len(rows) == 100 and len({concept for concept, _, _ in rows}) > 80
    assert not [row for row in rows if not watch({row[0]: ()}).find(row[2])]
