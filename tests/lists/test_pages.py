"""Lists that were pasted from elsewhere, and the ways of operators to head, number, weigh and mark what is forbidden."""

import pytest

from tools.testing import hosting

lists = hosting.module("guards.lists.written")


@pytest.mark.parametrize(
    "text",
    """```\\nguns\\nknives\\n```
```json\\n["guns", "knives"]\\n```
---\\nguns\\n---\\nknives
{\\n  "concepts": [\\n    "guns",\\n    "knives"\\n  ]\\n}
[{"name": "guns", "weight": 1.5}, {"name": "knives", "weight": 2}]
[{"id": 1, "term": "guns", "enabled": true}, {"id": 2, "term": "knives", "enabled": true}]
{"forbidden_concepts": ["guns", "knives"], "version": 2}
{"version": "1.0", "concepts": ["guns", "knives"], "action": "block"}
{'guns': True, 'knives': False}
concepts:\\n  - guns\\n  - knives
forbidden:\\n- 'guns'\\n- "knives"
- name: guns\\n  weight: 1\\n- name: knives\\n  weight: 2
[blocklist]\\nwords = guns, knives
<concepts><concept>guns</concept><concept>knives</concept></concepts>
<item id="1">guns</item><item id="2">knives</item>
<ul class='x'><li>guns</li><li>knives</li></ul>
<guns>1</guns><knives>0.5</knives>
guns<sup>1</sup>, knives<sup>2</sup>
[b]guns[/b], [i]knives[/i]
[guns](https://example.com), knives (see https://example.com/a)
| concept | weight |\\n|---|---|\\n| guns | 1 |\\n| knives | 2 |
concept,weight\\nguns,1\\nknives,2
id;name\\n1;guns\\n12;knives
Concept\\tSeverity\\tNotes\\nguns\\thigh\\tno toys\\nknives\\thigh\\t
┌──────┐\\n│ guns │\\n│ knives │\\n└──────┘
Blacklisted words: guns, knives
The following concepts are banned: guns; knives
Here's the list: guns, knives
Block list: guns, knives
negative_prompt: guns, knives
Forbidden in class:\\nguns\\nknives
Our school does not allow:\\n- guns\\n- knives
Level 1: guns\\nLevel 2: knives
EN: guns\\nDE: knives
Verbotene Begriffe: guns, knives
Mots interdits : guns, knives
Palabras prohibidas: guns, knives
Запрещённые слова: guns, knives
yasaklı kelimeler: guns, knives
敏感词：guns，knives
課堂禁止：guns、knives
NGワード：guns、knives
1 guns 2 knives 3 guns
A. guns B. knives
A) guns B) knives
i. guns ii. knives iii. guns
1º guns\\n2º knives
#1. guns, #2. knives
No.1 guns, No.2 knives
Ⓐ guns Ⓑ knives
а) guns б) knives
가) guns 나) knives
（一）guns（二）knives
o guns\\no knives
1-guns\\n2-knives
👉 guns\\n👉 knives
🔴 guns ✖️ knives
→ guns\\n→ knives
guns^2 knives^3
guns*0.5 + knives*0.7
guns (weight 1.5), knives (priority 2)
guns:high, knives:low
guns = block; knives = block
guns—knives
guns » knives
guns ↔ knives
guns ➕ knives
guns՝ knives
guns\\x00knives
--guns --knives
''guns'', 「knives」
❝guns❞ 〔knives〕
/guns/i, knives
\\\\bguns\\\\b, knives
{2$$guns|knives}
guns ADDCOMM knives
<lora:guns_v2:1>, models/knives-v3.safetensors
guns\\ufeff, \\u202bknives\\u202c
#guns# #knives#
guns alongside knives
#1 guns #2 knives
please leave out guns and knives
please exclude: guns, knives
guns|high\\nknives|low
guns (x1.3), knives – unwanted
guns, in particular knives
guns (incl. knives)
guns, plus knives, of course
firstly guns, secondly knives
avoid drawing guns, refrain from knives
definitely no guns, under no circumstances knives
guns not welcome, deny knives""".splitlines(),
)
def test_the_frame_of_a_list_names_nothing(text):
    for written, meant in (
        ("\\n", "\n"),
        ("\\t", "\t"),
        ("\\x00", "\0"),
        ("\\ufeff", "\ufeff"),
        ("\\u202b", "\u202b"),
        ("\\u202c", "\u202c"),
    ):
        text = text.replace(written, meant)
    assert lists.split(text.replace("\\\\", "\\")) == ["guns", "knives"]


@pytest.mark.parametrize(
    "text, concepts",
    [
        ("text\nlogo\nname", ["text", "logo", "name"]),
        ("[text]\n[logo]", ["text", "logo"]),
        ("text, image\nlogo, date", ["text", "image", "logo", "date"]),
        ("text: yes\nwords:1.2", ["text", "words"]),
        ("x men\nx files", ["x men", "x files"]),
        ("{weapons: [guns, knives]}", ["weapons", "guns", "knives"]),
        ("weapons: guns\nsex: nudity", ["weapons", "guns", "sex", "nudity"]),
        ("8-bit", ["8-bit"]),
        ("forbidden city", ["forbidden city"]),
        ("plus size model, B. B. King, de niro", ["plus size model", "B. B. King", "de niro"]),
        ("no 🔫 or 🔪", ["🔫", "🔪"]),
        ("🚫🔫: yes", ["🔫"]),
        ("broń, krew i narkotyki", ["broń", "krew", "narkotyki"]),
        ("zbraně, krev a drogy", ["zbraně", "krev", "drogy"]),
        ("des armes, du sang, de la drogue, ni de vin", ["armes", "sang", "drogue", "vin"]),
        ("No se permiten armas ni drogas", ["armas", "drogas"]),
        ("Waffen aller Art, darunter Messer", ["Waffen", "Messer"]),
        ("senjata, darah, dan narkoba", ["senjata", "darah", "narkoba"]),
        ("「武器」「血」", ["武器", "血"]),
        ("不要画刀剑，也不要画盾牌", ["刀剑", "盾牌"]),
        ("검이나 방패는 안 돼요", ["검", "방패"]),
        ("１．銃　２．ナイフ", ["銃", "ナイフ"]),
    ],
)
def test_what_is_meant_stays(text, concepts):
    assert lists.split(text) == concepts


@pytest.mark.parametrize(
    "text, said",
    [
        ("guns–knives", "Write guns, knives, or in quotes"),
        ("papierosy i alkohol", "Write papierosy, alkohol, or"),
        ("枪支等武器", "Write 枪支, 武器"),
        ("총과 칼", "Write 총, 칼"),
        ("נשק וסמים", "Write נשק, סמים"),
        ("guns ⟶ flowers", "has an arrow"),
        ("allowed: flowers\nforbidden: guns", "makes an exception"),
        ("guns, but toy guns are ok", "makes an exception"),
        ("{}\n---", "has no word to look for"),
    ],
)
def test_what_may_be_another_thing_is_refused(text, said):
    with pytest.raises(ValueError, match="^concepts: ") as caught:
        lists.split(text)
    assert said in str(caught.value)
