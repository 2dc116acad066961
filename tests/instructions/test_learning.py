"""Learn Instruction inside the host: sample files, progress, the stop button, a back end that fails."""

import pytest

from tools.testing import hosting, llms

pytestmark = pytest.mark.both_hosts
TEXT = "".join(
    f"Input Caption: a dog in picture {n}\nConcept: dog\nOutput Caption1: a cat in picture {n}\n\n" for n in range(8)
)


def model(messages):
    """Rewrites well once it has written a second instruction."""
    if messages[0]["role"] != "system":
        return "Instruction: level 2" if len(messages) > 1 else "Instruction: level 1"
    query = messages[-1]["content"].split("Input Caption: ")[1].split("\n")[0]
    return query.replace("dog", "cat") if "level 2" in messages[0]["content"] else query


@pytest.fixture(scope="module")
def samples(host, tmp_path_factory):
    """A models/concept_guards_samples folder with a sample file, a broken one and a dataset."""
    import folder_paths

    place = tmp_path_factory.mktemp("samples")
    (place / "mine.txt").write_text(TEXT, encoding="utf-8")
    (place / "broken.jsonl").write_text('{"caption": 1}\n', encoding="utf-8")
    (place / "latin.txt").write_bytes(b"Input Caption: caf\xe9\n")
    (place / "set.tsv").write_text("dog\tbeach\tA dog on the beach.\n", encoding="utf-8")
    (place / "picture.png").write_bytes(b"")
    before = folder_paths.folder_names_and_paths.get("concept_guards_samples")
    folder_paths.folder_names_and_paths["concept_guards_samples"] = ([str(place)], set())
    yield hosting.module("guards.instructions.host_samples")
    folder_paths.folder_names_and_paths.pop("concept_guards_samples")
    if before is not None:
        folder_paths.folder_names_and_paths["concept_guards_samples"] = before


@pytest.fixture
def learn(samples):
    def run(rewriter, name="mine.txt", epochs=1, batch_size=6, seed=0, **more):
        learned = llms.run(
            hosting.module("guards.instructions.host").learn(rewriter, name, epochs, batch_size, seed, **more)
        )
        return learned.instruction, learned.report

    return run


def test_the_list_shows_the_included_set_first_and_only_sample_files(samples):
    assert samples.names() == [
        "included: rewrite_samples.jsonl",
        "included: rewrite_evaluation.tsv",
        "broken.jsonl",
        "latin.txt",
        "mine.txt",
        "set.tsv",
    ]
    assert len(samples.read("included: rewrite_samples.jsonl")) >= 40


def test_the_best_instruction_comes_out_with_its_report(learn):
    rewriter = llms.Scripted(model)
    instruction, report = learn(rewriter)
    assert instruction == "level 2" and "score 1.000" in report and "The shipped instruction scores" in report
    assert rewriter.asked[-1] == "released"
    assert [row["update"] for row in llms.lines(report)] == [-1, 0, 1]


def test_the_largest_seed_gives_seeds_that_every_back_end_takes(learn):
    rewriter = llms.Scripted(model)
    learn(rewriter, seed=2**64 - 1)
    assert {call["seed"] for call in rewriter.asked[:-1]} >= {2**64 - 1, 0}, (
        "the second instruction is asked for with the next seed"
    )
    assert all(0 <= call["seed"] < 2**64 for call in rewriter.asked[:-1])


def test_another_file_can_score(learn):
    _, report = learn(llms.Scripted(model), evaluation="set.tsv")
    assert "on 1 held-out samples" in report


def test_the_progress_bar_counts_every_answer(learn):
    import comfy.utils

    seen = []
    comfy.utils.set_progress_bar_global_hook(lambda value, total, *_, **__: seen.append((value, total)))
    try:
        learn(llms.Scripted(model))
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert seen[-1][0] == seen[-1][1] == 1 + 2 * 2 + 6 + 1 * (1 + 2)


def test_the_stop_button_keeps_the_best_so_far_and_before_that_it_stops(learn):
    import comfy.model_management as management

    def stopping(after):
        def answer(messages):
            if len(rewriter.asked) == after:
                management.interrupt_current_processing()
            return model(messages)

        rewriter = llms.Scripted(answer)
        return rewriter

    instruction, report = learn(stopping(16), epochs=9)
    assert instruction == "level 2" and "Stopped early by the stop button" in report
    assert not management.processing_interrupted()
    rewriter = stopping(2)
    with pytest.raises(management.InterruptProcessingException):
        learn(rewriter)
    assert rewriter.asked[-1] == "released"


def test_a_back_end_that_fails_keeps_the_best_so_far_and_before_that_it_raises(learn):
    error = hosting.module("guards.rewriters.protocol").RewriterError

    def failing(after):
        def answer(messages):
            if len(rewriter.asked) > after:
                raise error("endpoint x refuses the connection")
            return model(messages)

        rewriter = llms.Scripted(answer)
        return rewriter

    instruction, report = learn(failing(16), epochs=9)
    assert instruction == "level 2" and "WARNING: ended early" in report and "refuses the connection" in report
    with pytest.raises(error):
        learn(failing(1))


def test_what_cannot_be_used_is_named(learn):
    sample_error = hosting.module("guards.instructions.samples").SampleError
    with pytest.raises(sample_error, match="broken.jsonl, line 1"):
        learn(llms.Scripted(model), "broken.jsonl")
    with pytest.raises(sample_error, match="latin.txt is no UTF-8 text"):
        learn(llms.Scripted(model), "latin.txt")
    with pytest.raises(ValueError, match="samples: set.tsv is an evaluation set"):
        learn(llms.Scripted(model), "set.tsv")
    with pytest.raises(ValueError, match="samples '../mine.txt' is not there"):
        learn(llms.Scripted(model), "../mine.txt")
    with pytest.raises(ValueError, match="rules follow no instruction"):
        learn(hosting.module("guards.rewriters.rules").parse("cat -> dog"))
