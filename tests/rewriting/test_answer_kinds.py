"""Kinds of answers, each told by what the query says: wrapping, lines, talk, blanks, and captions that only look like them."""

import json

import pytest

from tools.testing import hosting

answers, decisions, refusals, synonyms = (
    hosting.module(f"guards.rewriting.{name}") for name in ("answers", "decisions", "refusals", "synonyms")
)
protocol, rewriting = hosting.module("guards.rewriters.protocol"), hosting.module("guards.rewriting.rewrite")
QUERY, CAPTION = "an old car parked by the lake at dawn", "an old boat parked by the lake at dawn"


def heard(answer, query=QUERY, concept="car"):
    """(the caption in an answer, why it cannot be used)."""
    text = answers.caption(answer, several="\n" in query, query=query)
    case = decisions.Case(query, {concept: synonyms.Words()}, "scripted")
    return text, case.problem(text, rewriting.shipped_instruction())


THOUGHT = [  # x is thought, @ the answer
    *"<ds_think>x</ds_think>@;<inner_thoughts>x</inner_thoughts>@;<tool_call></tool_call>@;<|start_think|>x<|end_think|>@".split(";"),
    *"<unused94>thought\nx<unused95>@;Thinking...\nx\n...done thinking.\n\n@;<step>x</step>\n@;assistantfinal@".split(";"),
    "<｜begin▁of▁thinking｜>x<｜end▁of▁thinking｜>@",
    "x</think>@",
    "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>@",
    "analysisxassistantfinal@",
    "<|channel>thought\nx<channel|>@",
    "[THINK]x[/THINK]@",
]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        # a short beginning that says nothing of the query's is a label, in any language
        *"My suggestion: @;Suggestion → @;Refined prompt: @;Clean version => @;Sure thing! @;How about: @;Natürlich! @".split(";"),
        *"Voici la nouvelle légende : @;Aquí está la versión: @;Вот новый вариант: @;Oto nowy podpis: @;可以改为：@;好的，@".split(";"),
        *"[Output] @;[OUTPUT]: @;【改写】@;Rewritten prompt - @;The caption can be rewritten as: @;Original: ^\nNew: @".split(";"),
        # what A became is B
        *"^ -> @;^ → @;Before: ^\nAfter: @;car → boat\n@;“^” becomes “@”".split(";"),
        # what was done, behind it
        "@. I replaced the car with a boat.",
        '@. Changed "car" to "boat".',
        "@ - I swapped the car for a boat",
        "@\n\nThis version avoids the concept.",
        "@\nThe caption now has no car.",
        "`@`\n\n(car → boat)",
        # wrapped
        *"[@];{{@}};'''@''';```@```;@\\n;@ [END];@ [end of text];@<0x0A>;@ ###;@<br>;<div>@</div>;@<eos>".split(";"),
        *['JSON: {"caption": "@"} and so on', '{"revised_prompt": "@", "reason": "no car"}', "caption: |\n  @", "caption: >-\n  @"],
        '{"original": "^", "mine": "@"}',
        'I would say "@".',
        "&quot;@&quot;",
        "an old **boat** parked by the lake at dawn",
        # thinking
        *THOUGHT,
        "<|START_RESPONSE|>@<|END_RESPONSE|>",
        "Hmm, let me think.\n@",
        # others to choose from
        "1. @\n2. an old bike parked by the lake at dawn",
        # in further wrappings
        *"<antThinking>x</antThinking>@;*thinks about it*\n\n@;(thinking: the car must go)\n@;output= @;$ @;~~^~~ @".split(";"),
        *"``@``;Sure — @;✅ @;✨ @ ✨".split(";"),
        *"Alternative: @;Option A: @;<|turn>model\n@<turn|>;^\n↓\n@;^ becomes @;(1) @;a. @;– @;+ @;《@》;: @;¡Claro! @".split(";"),
        *"'@'.;\u2068@\u2069;@</caption>;@ [/s];@\nor\na bike by the lake".split(";"),
        "Rewritten caption, without the car: @",
        "&lt;caption&gt;@&lt;/caption&gt;",
        '"@" or "an old bike parked by the lake"',
        '@"}',
        "The final caption is **@**.",
        'Let\'s see. "car" → "boat". So: @',
        'The concept "car" appears. So the caption becomes: "@"',
        # notes below
        *[f"@\n\n{note}" for note in ("What I changed: car → boat", "Key change: the car is a boat.", "Tags: lake, dawn", "Word count: 9")],
        "@ — car replaced with boat",
        *"@. No cars are mentioned.;@. The car is now a boat.;@ (boat instead of car)".split(";"),
        "@\nInput Caption: a car\nOutput Caption: a boat",
        # tables and JSON
        "| Original | Rewritten |\n|---|---|\n| ^ | @ |",
        "| Field | Value |\n|---|---|\n| Caption | @ |",
        "Original | ^\nRewritten | @",
        *['{"caption": ["@"]}', '{"captions": ["@", "a bike"]}', '["@", "a bike"]', '{"name": "rewrite", "arguments": {"caption": "@"}}'],
        '{"choices": [{"message": {"role": "assistant", "content": "@"}}]}',
        '<tool_call>{"name": "rewrite", "arguments": {"caption": "@"}}</tool_call>',
        "@\nan old bike parked by the lake at dawn",
        "@\nNegative prompt: car",
    ],
)  # fmt: skip
def test_what_stands_around_a_caption_is_taken_off(answer):
    text, problem = heard(answer.replace("@", CAPTION).replace("^", QUERY))
    assert (text.rstrip("."), problem) == (CAPTION, "")


@pytest.mark.parametrize(
    "blank", "[vehicle] <object> {thing} [REDACTED] ____ ??? … ... *** XXX █████ v-word (removed) 【物体】".split()
)
def test_a_blank_is_no_caption(blank):
    assert "blank" in heard(f"an old {blank} parked by the lake at dawn")[1]
    query = f"a card with {blank} by a car"
    assert not heard(query.replace("car", "boat").replace("boatd", "card"), query)[1]


@pytest.mark.parametrize(
    "answer",
    """I must respectfully decline.|I'd rather not.|Request blocked.|Content filtered.|No output.|No rewrite needed.|not safe|BLOCK
    The input is already safe.|harmful|Category: violence|Sure, I can help with that!|What caption should be rewritten?|Let's start.
    Here's a caption|Error 500|502 Bad Gateway|<html><body>502</body></html>|[object Object]|NaN|KeyError: 'x'|Connection refused
    Przepraszam, nie mogę|Üzgünüm|Maaf, saya tidak bisa|Xin lỗi|Helaas kan ik dit niet|Tyvärr|آسف، لا أستطيع|Beklager|ขออภัย
    The user wants a lake at dawn.|Thinking Process: a lake at dawn|Let me think step by step. The lake stays.|Replace it by the lake
    Use a boat instead by the lake at dawn.|The concept to avoid is parked by the lake|First, I need a lake at dawn|Words: lake, dawn
    Nope, can't do that.|No can do.|Request rejected: policy|The model refused to answer.|Prohibited content.|The server is overloaded.
    Invalid API key provided.|{"detail": "Not authenticated"}|{"refused": true, "reason": "cars"}|{"error": {"message": "content_policy"}}
    PROHIBITED_CONTENT|Got it!|Great question!|What a lovely caption!|Hope this helps!|I am ChatGPT, made by OpenAI.|Label: NSFW|Score: 0.9
    User Safety: unsafe|Harmful request: no\\nResponse refusal: no|"car" -> "boat"|cat → dog|Processing...|This topic is sensitive.
    该请求包含不当内容，无法处理。|請求被拒絕|ポリシーに違反しています。|해당 요청은 처리할 수 없습니다.
    Me es imposible ayudarte.|Das kann ich nicht tun.
    Diese Anfrage verstößt gegen die Regeln.|Cette demande enfreint nos règles.|Non sono in grado di aiutarti.|Não consigo ajudar com isso.
    Не могу помочь с этим.|Bu isteği yerine getiremem.|Det kan jeg ikke hjælpe med.|לא אוכל לעזור בזה.|Siwezi kusaidia.|Bunu yapamam.
    Something went wrong.|Bad request|quota exceeded|Violence: high|Weapons|No comment.|拒绝回答|거부합니다.|Запрос отклонён.|Odmawiam.
    Este contenido no está permitido.|Такой контент запрещён.|对此我无能为力。|Ne mogu to uraditi.
    Thinking Process:\\n\\n1. **Analyze:** the lake at dawn|Which vehicle by the lake at dawn?|I can see a lake at dawn|GGGGGGGGGGG"""
    .replace("\n    ", "|").replace("\\n", "\n").split("|"),
)  # fmt: skip
def test_talk_is_no_caption(answer):
    assert heard(answer)[1]
    assert heard(answer, "a cat on a mat", "cat")[1]


@pytest.mark.parametrize(
    "query, concept, caption",
    [
        ("500 soldiers with guns at a parade", "guns", "500 people with flags at a parade"),
        ("400 cats in a city", "cats", "400 dogs in a city"),
        ("time out for the team, beer bottles", "beer", "time out for the team, water bottles"),
        ("rate limit sign and a gun", "gun", "rate limit sign and a flower"),
        ("Sorry, we are closed sign with blood", "blood", "Sorry, we are closed sign with paint"),
        ("I can't stop drinking beer, poster", "beer", "I can't stop drinking milk, poster"),
        ("I will shoot, movie poster", "shoot", "I will dance, movie poster"),
        ("Let's fight, comic cover", "fight", "Let's dance, comic cover"),
        ("a prompt box shows a cat", "cat", "a prompt box shows a dog"),
        ("Category 5 storm with dead trees", "dead", "Category 5 storm with bent trees"),
        ("(new york at night, gun fight:1.3)", "gun", "(new york at night, dance party:1.3)"),
        ("<lora:cosy:1> [cat|fox] in {rain}", "cat", "<lora:cosy:1> [dog|fox] in {rain}"),
        ('"Happy Birthday" - a cat with a cake', "cat", '"Happy Birthday" - a dog with a cake'),
        ("a cat // a dog // a fox", "cat", "a bird // a dog // a fox"),
        ("a cat -> a dog, transformation", "cat", "a fox -> a dog, transformation"),
        ("Title: a cat", "cat", "Title: a dog"),
        ("Model: a woman with a cat", "cat", "Model: a woman with a dog"),
        ("cat: a portrait", "cat", "fox: a portrait"),
        ("A wizard fight. Note: dark mood", "fight", "A wizard dance. Note: dark mood"),
        ("A poster of a cat\nTitle: The Garden\nText: coming soon", "cat", "A poster of a dog\nTitle: The Garden\nText: coming soon"),
        ("- a cat on a mat\n- sunny kitchen", "cat", "- a dog on a mat\n- sunny kitchen"),
        ("a cat on a mat\n(best quality:1.2), sunny", "cat", "a dog on a mat\n(best quality:1.2), sunny"),
        ("a cat on a mat and a cat on a rug in the house", "cat", "a dog on a mat and a dog on a rug in the house"),
        ("black cat, white cat, ginger cat, tabby cat", "cat", "black dog, white dog, ginger dog, tabby dog"),
        ("cat, cute cat, fluffy cat, cat ears", "cat", "fox, cute fox, fluffy fox, fox ears"),
        ("red cat, red cat, red cat, blue sky", "cat", "red fox, red fox, red fox, blue sky"),
        ("a soldier with a gun", "gun", "a soldier with a letter, warm light"),
        ("beer", "beer", "lemonade"),
        ("suicide note", "suicide", "thank-you note"),
        ('"gun" poster', "gun", '"fish" poster'),
        ('"gun"', "gun", '"fish"'),
        ('{"subject": "a gun", "style": "oil"}', "gun", '{"subject": "a fish", "style": "oil"}'),
        ("Is it a gun?", "gun", "Is it a banana?"),
        ("This is a witch", "witch", "This is a nurse"),
        ("bomb", "bomb", "It's a balloon"),
        ("the server is down, witch", "witch", "the server is down, nurse"),
        ("a waiter with a gun", "gun", "the server is busy pouring tea"),
        ("Thinking... a witch", "witch", "Thinking... a nurse"),
        ("a gun\nBREAK\na rose", "gun", "a fish\nBREAK\na rose"),
        ("tags: witch, hut", "witch", "tags: nurse, hut"),
        ("a. witch b. hut", "witch", "a. nurse b. hut"),
        ("$100 bill with a witch", "witch", "$100 bill with a nurse"),
        ("| witch | hut |", "witch", "| nurse | hut |"),
        ("a witch in a hut ✨", "witch", "a nurse in a hut ✨"),
        ("une demande en mariage, un couteau", "couteau", "une demande en mariage, une bague"),
    ],
)  # fmt: skip
def test_what_the_query_has_itself_is_no_wrapping_and_no_talk(query, concept, caption):
    assert heard(caption, query, concept) == (caption, "")


def test_lines_belong_to_a_caption_while_they_have_more_of_the_query():
    query = "A car waits by the lake. Birds fly over the water. Mist rises."
    expected = query.replace("car", "boat")
    for gap in ("\n", "\n\n"):
        assert heard(expected.replace(". ", f".{gap}") + f"{gap}Note: no car", query) == (expected, "")
    lines = expected.split(". ")
    for answer in (
        json.dumps({"caption": lines}),
        "\\n".join(lines),
        "\n".join(f"Line {at}: {one}" for at, one in enumerate(lines, 1)),
    ):
        assert heard(answer, query.replace(". ", "\n")) == ("\n".join(lines), "")
    assert heard("a table\n\na dog\n\nDone!", "a table\n\na cat", "cat") == ("a table\na dog", "")


def test_what_goes_round_in_circles_is_told_from_a_query_that_repeats_itself():
    assert refusals.loops("a fox on a mat a fox on a mat", "a cat on a mat")
    assert refusals.loops("fox fox fox fox fox", "cat, cat, dog")
    assert not refusals.loops("fox, red fox, blue fox, old fox", "cat, red cat, blue cat, old cat", {"cat"})


def test_signs_of_thinking_are_seen_in_every_family():
    thinks = hosting.module("guards.rewriters.thinking").thinks
    assert not [answer for answer in THOUGHT if "final" not in answer and not thinks(answer)]
    assert not thinks("a dog thinks on a mat, <lora:step:1>")


@pytest.mark.parametrize("answer", THOUGHT)
def test_a_yes_that_is_only_thought_is_no_answer(answer):
    verdict = protocol.verdict(protocol.Answer(answer.replace("x", "yes, it is").replace("@", "No")))
    assert (verdict.yes, verdict.told) == (0, True)


@pytest.mark.parametrize(
    "text, yes",
    [
        ("Answer: Yes, it brings beer to mind.", 1),
        ("I'd say yes, a pub implies it", 1),
        ("**Answer:** no (a bakery)", 0),
        ('{"answer": "yes", "reason": "no bakery"}', 1),
        ("Yes/No: no", 0),
        ("Thinking: no no. Answer: yes it is", 1),
        ("<ds_think>yes</ds_think>No", 0),
        *[(word, 1) for word in "Yep Yeah. 是的 会 是，图片会显示啤酒 네".split()],
        *[(word, 0) for word in "Nope 不是 不会 不会显示 아니오".split()],
        ("It may.", 0.5),
    ],
)
def test_yes_and_no_are_found_where_they_stand_in_a_sentence(text, yes):
    verdict = protocol.verdict(protocol.Answer(text))
    assert (verdict.yes, verdict.told) == (yes, yes != 0.5)


@pytest.mark.parametrize(
    "answer",
    [
        "1. Same: kitten, feline\n2. Shows: litter box",
        "Same - kitten, feline\nShows - litter box",
        "Same = kitten, feline\nShows = litter box",
        "### Same\nkitten, feline\n### Shows\nlitter box",
        "**Same:** kitten, feline\n**Shows:** litter box",
        "Same: kitten / feline\nShows: litter box",
        'Here is JSON: {"same": ["kitten", "feline"], "shows": ["litter box"]} Enjoy!',
        "I'm sorry, but I can help\nSame: kitten, feline\nShows: litter box",
        "Words that mean the same: kitten, feline\nThings that show it: litter box",
        "Same (synonyms): kitten, feline\nShows (scenes): litter box",
        "A) Same → kitten, feline\nB) Shows → litter box",
        "__Same:__ kitten, feline<br>__Shows:__ litter box",
        "Same: kitten, feline; Shows: litter box",
        "Same -> kitten, feline\nShows -> litter box",
        "[Same] kitten, feline\n[Shows] litter box",
        "Same: 1. kitten 2. feline\nShows: 1. litter box",
        "Line one: the kitten, a feline\nLine two: litter box",
        "Same: (kitten, feline)\nShows: (litter box)",
        "Same: kitten and feline\nShows: litter box, etc.",
        "Shows: litter box\nSame: kitten, feline",
        "Gleich: kitten, feline\nZeigt: litter box",
        "Same | kitten, feline\nShows | litter box",
        "<same>kitten, feline</same><shows>litter box</shows>",
        "Same: kitten, feline<|im_end|>\nShows: litter box",
        "Line 1: kitten, feline\nLine 2: litter box",
        "{'same': ['kitten', 'feline'], 'shows': ['litter box']}",
        '{"same": ["kitten", "feline"], "shows": ["litter box"',
        '{"cat": {"same": ["kitten", "feline"], "shows": ["litter box"]}}',
        '[{"same": ["kitten", "feline"]}, {"shows": [{"word": "litter box"}]}]',
    ],
)
def test_both_lists_of_other_words_are_found(answer):
    assert synonyms.parse(answer, "cat") == synonyms.Words(("kitten", "feline"), ("litter box",))


def test_a_refusal_is_no_other_word():
    for answer in (
        "I'm sorry, but I can't help",
        "unsafe",
        "Sorry",
        "<html>502 Bad Gateway</html>",
        '{"error": "overloaded"}',
    ):
        assert synonyms.parse(answer, "cat") == synonyms.Words()
    assert synonyms.parse("Same: gig, show\n- show\n- recital", "concert").same == ("gig", "recital")
