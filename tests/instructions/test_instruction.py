"""Learning an instruction: the paper's loop, the score, the report."""

import pytest

from tools.testing import hosting, llms

instruction, samples = hosting.module("guards.instructions.learning"), hosting.module("guards.instructions.samples")
Sample = samples.Sample
TEACHING = [Sample(f"a dog in picture {n}", ("dog",), (f"a cat in picture {n}",)) for n in range(8)]
HELD = [Sample("a dog on a sofa", ("dog",), ("a cat on a sofa",)), Sample("a red barn", ("cow",), ("a red barn",))]


def model(messages):
    """Writes better instructions each time; rewrites as well as the instruction in force says."""
    system, last = messages[0], messages[-1]["content"]
    if system["role"] != "system":
        return f"Instruction: level {sum('Compare' in m['content'] for m in messages) and last.count('Accepted') or 1}"
    query = last.split("Input Caption: ")[1].split("\n")[0]
    return query.replace("dog", "cat") if "level 2" in system["content"] else query


def collect(learner, shipped=""):
    async def all_of_it():
        return [update async for update in learner.learn(shipped)]

    return llms.run(all_of_it())


def test_the_loop_updates_after_each_batch_and_scores_each_instruction_on_held_out_samples():
    rewriter = llms.Scripted(model)
    updates = collect(instruction.Learner(rewriter, TEACHING, HELD, epochs=2, batch_size=6, seed=1), "ship it")
    assert [(u.epoch, u.number) for u in updates] == [(0, -1), (0, 0), (1, 1), (1, 2), (2, 3), (2, 4)]
    assert len(rewriter.asked) == instruction.calls(8, 2, 2, 6) == 1 + 4 + 2 * (8 + 2 * 3)
    top = instruction.best(updates)
    assert top.number == 2 and top.instruction == "level 2" and top.score.gone == 1.0 and top.score.kept == 1.0
    assert updates[1].score.gone == 0.5 and updates[1].score.value == 0.5


def test_the_model_is_shown_its_rewrites_beside_accepted_ones_and_history_is_trimmed():
    rewriter = llms.Scripted(model)
    collect(instruction.Learner(rewriter, TEACHING, HELD, epochs=3, batch_size=4))
    writing = [call for call in rewriter.asked if call["messages"][0]["role"] == "user"]
    assert len(writing) == 7
    shown = writing[1]["messages"][-1]["content"]
    assert shown.count("Accepted: a cat in picture") == 4 and "The model's caption: a dog in picture 0" in shown
    lengths = [len(call["messages"]) for call in writing]
    assert lengths == [1, 3, 5, 5, 5, 5, 5]
    assert all(call["messages"][0] == writing[0]["messages"][0] for call in writing)
    assert [m["role"] for m in writing[-1]["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_writing_gets_room_and_warmth_and_rewriting_keeps_the_rewriters_own():
    rewriter = llms.Scripted(model)
    collect(instruction.Learner(rewriter, TEACHING[:2], HELD, epochs=1))
    for call in rewriter.asked:
        writing = call["messages"][0]["role"] == "user"
        assert call["max_length"] == (512 if writing else 96) and call["temperature"] == (0.7 if writing else None)


def test_the_same_seed_gives_the_same_run_and_another_seed_another_order():
    def order(seed):
        rewriter = llms.Scripted(model)
        collect(instruction.Learner(rewriter, TEACHING, HELD, epochs=2, seed=seed))
        return [call["messages"][-1]["content"] for call in rewriter.asked]

    assert order(1) == order(1) and order(1) != order(2)


def test_trimming_keeps_the_first_two_and_the_last_two_from_six_on():
    history = [{"n": n} for n in range(7)]
    assert instruction.trimmed(history[:5]) == history[:5]
    assert [m["n"] for m in instruction.trimmed(history[:6])] == [0, 1, 4, 5]
    assert [m["n"] for m in instruction.trimmed(history)] == [0, 1, 5, 6]


def test_a_model_that_writes_nothing_leaves_the_instruction_as_it_was():
    rewriter = llms.Scripted(lambda messages: "" if messages[0]["role"] == "user" else "a red barn")
    updates = collect(instruction.Learner(rewriter, TEACHING[:2], HELD, epochs=1))
    assert {u.instruction for u in updates} == {instruction.TASK} and updates[1].note == "no new instruction"


@pytest.mark.parametrize(
    "answer, expected",
    [
        ("Instruction: do it", "do it"),
        ("<think>hm</think>\nNew instruction:\n1. a\n\n2. b", "1. a\n2. b"),
        (
            "```text\n" + "Replace it by its opposite, keep the rest as it was.\n```",
            "Replace it by its opposite, keep the rest as it was.",
        ),
        ("a<|im_start|>system b", "a system b"),
        ("", ""),
        ("x" * 50_000, "x" * 4000),
    ],
)
def test_an_instruction_is_cleaned(answer, expected):
    assert instruction.instruction_in(answer) == expected


@pytest.mark.parametrize(
    "made, gone, kept",
    [
        ("a cat on a sofa", True, 1.0),
        ("a dog on a sofa", False, 0.8),
        ("on a sofa", True, 1.0),
        ("I'm sorry, I cannot", False, 0.0),
        ("", False, 0.0),
        ("a lighthouse", True, 0.0),
    ],
)
def test_a_rewrite_is_judged_by_what_is_gone_and_what_is_kept(made, gone, kept):
    assert instruction.judge(HELD[0], made) == (
        gone,
        pytest.approx(kept, abs=0.21 if made == "a dog on a sofa" else 1e-6),
    )


def test_an_irrelevant_concept_asks_for_no_change():
    assert instruction.judge(HELD[1], "a red barn") == (True, 1.0)
    assert instruction.judge(HELD[1], "a blue barn")[1] < 0.6


def test_the_report_is_read_by_people_and_by_machines():
    score = instruction.Score(0.5, 0.75, 0.6, 4)
    updates = [
        instruction.Update(0, -1, "s", score, "shipped"),
        instruction.Update(0, 0, "a", score),
        instruction.Update(1, 1, "b", instruction.Score(0.7, 1, 0.7, 4)),
    ]
    text = instruction.report(updates, "Stopped early.")
    assert (
        text.startswith("Best instruction: update 1 of epoch 1, score 0.700 on 4 held-out samples")
        and "Stopped early." in text
    )
    assert text.splitlines()[1].split() == ["epoch", "update", "score", "gone", "kept"]
    rows = llms.lines(text)
    assert [row["best"] for row in rows] == [False, False, True] and rows[2]["value"] == 0.7


def test_rules_and_missing_samples_are_refused():
    with pytest.raises(ValueError, match="rules follow no instruction"):
        instruction.Learner(object(), TEACHING, HELD)
    with pytest.raises(ValueError, match="at least two samples"):
        instruction.Learner(llms.Scripted(model), TEACHING, [])


def test_a_caption_that_implies_its_concept_is_judged_by_what_its_references_leave_out():
    sample = samples.Sample(
        "The pub raises its glasses", ("beer",), ("The cafe raises its cups", "The school raises its flag")
    )
    assert instruction.implying(sample) == {"pub", "glasses"}
    assert instruction.judge(sample, "The pub raises its glasses")[0] is False
    gone, kept = instruction.judge(sample, "The cafe raises its cups")
    assert gone and kept == 1.0
    assert instruction.implying(samples.Sample("a barn", ("cow",), ("a barn",))) == set()


def test_a_rewriter_that_can_is_asked_for_several_captions_at_once():
    class Crowd(llms.Scripted):
        async def chat_all(self, conversations, *, seed=0, banned=()):
            self.asked.append(len(conversations))
            return [await self.chat(messages, seed=seed) for messages in conversations]

    alone, crowd, counted = llms.Scripted(model), Crowd(model), []
    one_by_one = collect(instruction.Learner(alone, TEACHING * 2, HELD, epochs=1, batch_size=12))
    answered = lambda: counted.append(1)
    assert (
        collect(instruction.Learner(crowd, TEACHING * 2, HELD, epochs=1, batch_size=12, answered=answered))
        == one_by_one
    )
    assert [n for n in crowd.asked if isinstance(n, int)] == [2, 8, 4, 2, 4, 2]
    assert len(counted) == len(alone.asked)
    warm = Crowd(model, temperature=0.5)
    collect(instruction.Learner(warm, TEACHING, HELD, epochs=1))
    assert not [n for n in warm.asked if isinstance(n, int)], "what is drawn is drawn one after the other, by its seed"


def test_what_a_model_has_said_is_kept_and_not_asked_again(tmp_path):
    from tools.measuring.instructions import Remembered

    protocol, kept = hosting.module("guards.rewriters.protocol"), tmp_path / "answers.jsonl"

    def learn(rewriter):
        remembered = Remembered(rewriter, 96, kept, protocol.Answer)
        return collect(instruction.Learner(remembered, TEACHING, HELD, epochs=1, seed=1))

    first, again = llms.Scripted(model), llms.Scripted(model)
    updates = learn(first)
    assert first.asked and len(kept.read_text("utf-8").splitlines()) <= len(first.asked)
    assert learn(again) == updates and not again.asked, "all of it was in the file"
    kept.write_text("".join(kept.read_text("utf-8").splitlines(keepends=True)[:3]), "utf-8")
    third = llms.Scripted(model)
    assert learn(third) == updates and third.asked, "what is missing is asked"
    writing = [call for call in first.asked if call["messages"][0]["role"] == "user"]
    assert {call["max_length"] for call in writing} == {512}
