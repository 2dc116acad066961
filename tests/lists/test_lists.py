"""What is read of a list of concepts: a list that a person would read as weapons never lets weapons pass."""

import pytest

from tools.testing import hosting

lists, watching = hosting.module("guards.lists.written"), hosting.module("guards.words.watch")


@pytest.mark.parametrize(
    "text",
    """(weapons:1.3), blood
weapons # guns and the like
weapons# a note
weapons /* a note */
1. weapons 2. blood
1) weapons
① weapons
a) weapons
- weapons
- [ ] weapons
* weapons
**weapons**
weapons | blood
weapons / blood
guns/weapons
weapons.blood
weapons or blood
weapons & blood
weapons and blood
weapons AND blood
weapons BREAK blood
weapons + blood
weapons - guns
weapons – blood
weapons = guns
weapons: guns
weapons (guns, knives), blood
weapons, e.g. guns
weapons such as guns
weapons including knives
weapon(s)
no weapons, no blood
no weapons and no blood
not weapons
without weapons
avoid weapons
don't show weapons
do not show any weapons
any weapons
all kinds of weapons
images of weapons
weapons of any kind
weapons in any form
weapons etc.
weapons and so on
weapons and the like
weapons or anything similar
weapons!!!
weapons. blood.
weapons;blood
weapons<br>blood
<b>weapons</b>
embedding:weapons
<lora:weapons:0.8>
[weapons:blood:0.5]
{weapons|blood}
((weapons))
"weapons"
'weapons', 'blood'
["weapons", "blood"]
“weapons”
weapons y sangre
Forbidden: weapons
keine weapons
weapons，blood
blood、weapons
weapons plus blood
weapons vs. blood
weapons and/or blood
weapons and / or blood
neither weapons nor blood
either weapons or blood
weapons then blood
weapons&blood
weapons && blood
weapons ~ blood
weapons×blood
weapons··blood
blood -weapons
!weapons !blood
+weapons +blood
weapons ／ blood
weapons ＆ blood
weapons ＃ a note
weapons　blood
weapons﹐blood
weapons۔ blood
weapons和blood
weapons och blood
weapons\\nblood
weapons&amp;blood
&lt;weapons&gt;
weapons​blood
weapons 🔫
🔫weapons
❌ weapons
🚫weapons
★ weapons
[x] weapons
(a) weapons
#1 weapons
No. 1: weapons
Negative prompt: weapons
weapons=1
weapons*1.2
weapons^1.2
weapon/s
ban weapons
reject weapons
no more weapons
no to weapons
zero weapons
free of weapons
no visible weapons
no weapons visible
no weapons allowed
weapons not allowed
weapons are forbidden
weapons must not appear
images must not contain weapons
there should be no weapons
I don't want to see weapons
make sure there are no weapons
nothing with weapons
nobody with weapons
weapons generally
weapons as well
weapons everywhere
weapons & co
weapons usw.
weapons incl. guns
weapons, particularly guns
these weapons
many weapons
only weapons
weapon-related
► weapons
¿weapons?
%weapons%
‹weapons›
weapon-related
weapon related content
anything weapon related""".splitlines(),
)
def test_a_list_that_names_weapons_meets_weapons(text):
    assert watching.watch({concept: () for concept in lists.split(text)}).find("a man with weapons")


@pytest.mark.parametrize(
    "text, met",
    [
        ("bitte keine Waffen", "Waffen"),
        ("Waffen verboten, z.B. Messer", "Messer"),
        ("weder Blut noch Waffen", "Waffen"),
        ("pas d'armes", "des armes"),
        ("aucune arme, ni sang", "une arme"),
        ("niente armi", "armi"),
        ("запрещено оружие", "с оружием"),
        ("никакого оружия и т.д.", "с оружием"),
        ("geen wapens", "wapens"),
        ("bez broni", "broni"),
        ("silah yok", "silah"),
        ("بدون أسلحة", "أسلحة"),
        ("무기 금지", "무기를 든 남자"),
        ("武器を描かない", "武器を持つ"),
        ("武器は禁止", "武器を持つ"),
        ("不要出现武器", "武器"),
        ("与武器有关的内容", "武器"),
        ("武器类", "武器"),
    ],
)
def test_a_list_in_another_language_says_no_in_its_own_words(text, met):
    assert watching.watch({concept: () for concept in lists.split(text)}).find(met)


@pytest.mark.parametrize(
    "text", ["武器。血。", "武器、血", "武器 血", "不要武器", "武器或者血", "武器と血", "武器等", "武器・血", "1. 武器"]
)
def test_a_list_in_a_script_without_spaces_meets_its_word(text):
    assert watching.watch({concept: () for concept in lists.split(text)}).find("持有武器的人")


@pytest.mark.parametrize(
    "text, said",
    [
        ("武器和血", "Write 武器, 血, or in quotes"),
        ("武器与血", "Write 武器, 血"),
        ("Tom and Jerry", 'Write Tom, Jerry, or in quotes "Tom and Jerry"'),
        ("Weapons & Blood", "Write Weapons, Blood"),
        ("armas o sangre", "Write armas, sangre"),
        ("block weapons", "Write weapons"),
        ("hide weapons", "Write weapons"),
        ("replace weapons with flowers", "reads like a replacement"),
        ("weapon-free", "Write weapon, or in quotes"),
        ("weapons not toys", "makes an exception"),
        ("weapons excl. toys", "makes an exception"),
        ("weapons except knives", "makes an exception"),
        ("weapons -> flowers", "has an arrow"),
        ("cat\n!!!", "'!!!' has no word to look for"),
    ],
)
def test_what_may_mean_two_things_is_refused_with_the_spelling_that_is_understood(text, said):
    with pytest.raises(ValueError, match="^concepts: ") as caught:
        lists.split(text)
    assert said in str(caught.value)
    with pytest.raises(ValueError, match="^targets: "):
        lists.split(text, "targets")


@pytest.mark.parametrize(
    "text, concepts",
    [
        ('"Tom and Jerry", cat', ["Tom and Jerry", "cat"]),
        ("“武器和血”", ["武器和血"]),
        ("drug use, child abuse", ["drug use", "child abuse"]),
        ("Mr. Bean, U.S. flag, St. Patrick", ["Mr. Bean", "U.S. flag", "St. Patrick"]),
        ("L. Ron Hubbard", ["L. Ron Hubbard"]),
        ("AC/DC, AK-47, 18+, C# code, wörd, 🔫", ["AC/DC", "AK-47", "18+", "C# code", "wörd", "🔫"]),
        ("star-shaped", ["star-shaped"]),
        (
            "beer can, adult content, clothes removed, stop sign",
            ["beer can", "adult content", "clothes removed", "stop sign"],
        ),
        ("not safe for work, to be, please", ["not safe for work", "to be", "please"]),
        ("weapons: yes\nblood (all)\n[x] guns", ["weapons", "blood", "guns"]),
        ("1 weapons\n\n2 blood", ["weapons", "blood"]),
        ("1 girl\n1 dog, 2 cats", ["1 girl", "1 dog", "2 cats"]),
        ("🔫🔪, 🇩🇪🇫🇷 👨‍👩‍👧", ["🔫", "🔪", "🇩🇪", "🇫🇷", "👨‍👩‍👧"]),
        ("和服, 无人机, 人类, 与人", ["和服", "无人机", "人类", "与人"]),
        ("orang utan, nightclub, no man", ["orang utan", "nightclub", "man"]),
        ("no, no one, any", ["no", "no one", "any"]),
        ("cat, Cat\n CAT ,, dog", ["cat", "dog"]),
        ("# a note\n  # another\ncat # and a third", ["cat"]),
        ("猫，狗、鸟；cat; dog", ["猫", "狗", "鸟", "cat", "dog"]),
        (" van  gogh style, weapon,,\n blood ", ["van gogh style", "weapon", "blood"]),
        ("", []),
        ("# only a note\n\n", []),
    ],
)
def test_concepts_are_read_once_and_as_they_are(text, concepts):
    assert lists.split(text) == concepts


@pytest.mark.parametrize(
    "text",
    """people with weapons
people holding weapons
a person carrying a weapon
images containing weapons
images that contain weapons
photos which depict weapons
content with weapons
scenes involving weapons
drawings of weapons
depicting weapons
use of weapons
references to weapons
anything to do with weapons
all things weapons
each weapon
no real weapons
various weapons
no weapons in the picture
no weapons in my classroom
no weapons for kids
no weapons under any circumstances
weapons being held
weapons are not visible
weapons should be avoided
weapons plz
weapons thanks
weapons NO
weapons esp guns
weapons but also blood
weapons and or blood
weapons in addition to blood
no-weapons
no_weapons
Do not show: weapons
Forbidden things: weapons
weapons · blood
weapons ● blood
weapons ⋅ blood
weapons¦blood
weapons ... blood
weapons… blood
weapons++ blood--
weapons    blood
"weapons" "blood"
"weapons" and "blood"
I. weapons\\nII. blood
A. weapons\\nB. blood
1/ weapons
①weapons②blood
❶ weapons ❷ blood
1️⃣ weapons
No. 1 weapons
Rule 1: weapons
weapons 0.8
0.8 weapons
weapons x1.5
1.2*weapons
2x weapons
weapons 100%
weapons::2 blood::1
#weapons
#weapons\\n#blood
violence, #weapons, #blood""".splitlines(),
)
def test_words_of_closed_classes_around_a_concept_are_read_away(text):
    concepts = lists.split(text.replace("\\n", "\n"))
    assert watching.watch({concept: () for concept in concepts}).find("a man with weapons")
    assert {concept.casefold() for concept in concepts} <= {"weapons", "weapon", "blood", "guns", "violence"}


@pytest.mark.parametrize(
    "text, concepts",
    [
        ("weapons (any kind)", ["weapons"]),
        ("weapons, all kinds", ["weapons"]),
        ("weapons: forbidden", ["weapons"]),
        ("weapons [high]", ["weapons"]),
        ("weapons and all that", ["weapons"]),
        ("weapons - no!", ["weapons"]),
        ("weapons - never", ["weapons"]),
        ("No weapons, please!", ["weapons"]),
        ("weapons,1", ["weapons"]),
        ("weapons ×2", ["weapons"]),
        ("[1] weapons\n[2] blood", ["weapons", "blood"]),
        ("(a) weapons (b) blood", ["weapons", "blood"]),
        ("ナイフ/銃", ["ナイフ", "銃"]),
        ("武器/血", ["武器", "血"]),
        ("verboten: Waffen", ["Waffen"]),
        ("666, 88, 5G", ["666", "88", "5G"]),
        ("Q", ["Q"]),
    ],
)
def test_what_is_left_of_a_sentence_is_no_concept(text, concepts):
    assert lists.split(text) == concepts


@pytest.mark.parametrize(
    "text, concepts",
    [
        *((text, "Waffen") for text in ("alle Waffen", "Waffen aller Art", "Bilder mit Waffen", "nichts mit Waffen")),
        *((text, "Waffen") for text in ("Waffen nicht erlaubt", "Waffen sind verboten", "keine Waffen zeigen")),
        ("Es dürfen keine Waffen zu sehen sein", "Waffen"),
        ("Waffen z. B. Messer", "Waffen Messer"),
        ("Waffen, zum Beispiel Messer", "Waffen Messer"),
        *((text, "armes") for text in ("toutes les armes", "les armes", "tout type d'armes", "je ne veux pas d'armes")),
        ("l'arme", "arme"),
        ("armes ainsi que sang", "armes sang"),
        *(
            (text, "armas")
            for text in ("nada de armas", "las armas", "todo tipo de armas", "evitar armas", "não armas")
        ),
        ("no mostrar armas", "armas"),
        ("nenhuma arma", "arma"),
        *((text, "armi") for text in ("le armi", "armi di ogni tipo", "non voglio armi")),
        ("wapens en bloed", "wapens bloed"),
        ("wapens of bloed", "wapens bloed"),
        ("alle wapens", "wapens"),
        *((text, "оружие") for text in ("любое оружие", "всё оружие", "не показывать оружие", "оружие всех видов")),
        ("не должно быть оружия", "оружия"),
        ("зброя та кров", "зброя кров"),
        ("broń i krew", "broń krew"),
        ("krew itd.", "krew"),
        ("zbraně a krev", "zbraně krev"),
        ("žádné zbraně", "zbraně"),
        ("silah ya da kan", "silah kan"),
        ("her türlü silah", "silah"),
        ("kan vb.", "kan"),
        ("कोई हथियार नहीं", "हथियार"),
        ("senjata dan darah", "senjata darah"),
        ("tidak ada senjata", "senjata"),
        ("không có máu", "máu"),
        ("อาวุธและเลือด", "อาวุธ เลือด"),
        ("ไม่มีอาวุธ", "อาวุธ"),
        ("alla vapen", "vapen"),
        ("blod osv.", "blod"),
        ("أسلحة أو دم", "أسلحة دم"),
        ("جميع الأسلحة", "الأسلحة"),
        *((text, "무기") for text in ("모든 무기", "각종 무기", "무기는 안 돼")),
        *((text, "무기 피") for text in ("무기나 피", "무기/피", "무기·피", "무기 그리고 피")),
        *(
            (text, "武器")
            for text in ("所有的武器", "和武器有关的内容", "武器之类的", "武器不允许", "请不要画武器", "别画武器")
        ),
        *((text, "武器") for text in ("画面中不能出现武器", "全ての武器", "武器NG", "武器はダメ", "武器の画像")),
        ("武器を描かないでください", "武器"),
        ("武器とか血とか", "武器 血"),
        ("武器も血も", "武器 血"),
        ("1.武器 2.血", "武器 血"),
        ("一、武器 二、血", "武器 血"),
    ],
)
def test_words_around_a_concept_are_read_away_in_many_languages(text, concepts):
    assert lists.split(text) == concepts.split()


@pytest.mark.parametrize(
    "text, said",
    [
        ("weapons with blood", "Write weapons, blood, or in quotes"),
        ("weapons w/ blood", "Write weapons, blood, or in quotes"),
        ("weapons n blood", "Write weapons, blood, or in quotes"),
        ("weapons which look real", 'Write weapons, or in quotes "weapons which look real"'),
        ("soldiers carrying weapons", "Write weapons, or in quotes"),
        ("weapons pointed at people", "Write weapons, or in quotes"),
        ("Students may not draw weapons", "Write weapons, or in quotes"),
        ("weapons (not toys)", "makes an exception"),
        ("weapons, not toys", "makes an exception"),
        ("anti-weapons", "Write weapons, or in quotes"),
        ("violence\n#weapons", "'#weapons' may be a note or a hashtag. Write weapons, or for a note a space behind"),
        ("武器跟血", "Write 武器, 血"),
        ("武器·血", "Write 武器, 血"),
        ("أسلحة ودم", "Write أسلحة, دم"),
    ],
)
def test_a_phrase_about_a_concept_is_refused_with_its_noun(text, said):
    with pytest.raises(ValueError, match="^concepts: ") as caught:
        lists.split(text)
    assert said in str(caught.value)


def test_hashtags_of_a_composed_list_are_concepts():
    assert lists.compose("custom", "violence, #weapons, #blood # a note") == "violence, weapons, blood"
    with pytest.raises(ValueError, match="may be a note or a hashtag"):
        lists.compose("custom", "violence\n#weapons")


@pytest.mark.parametrize(
    "text",
    """Gone with the Wind
Rage Against the Machine
Las Vegas
las vegas
Die Hard
Dr. No
Elke Sommer
alla prima
muay thai
man of steel
cat in the hat
holding hands
human being
real people
no-fly zone
anti-semitism
men without shirts
clothes removed
game show
homme en costume
chica en bikini
.45 caliber pistol
0.5 mm pencil
mambo no. 5
M-16
とかげ
高跟鞋
同性恋
바나나 우유
رجل وسيم
งดงาม""".splitlines(),
)
def test_names_and_phrases_that_hold_such_words_stay_whole(text):
    assert lists.split(text) == [text]
    assert lists.split("long_hair, blood_on_face") == ["long hair", "blood on face"]


def test_an_embedding_stays_one_for_those_who_encode_the_concept():
    text = "(embedding:sub\\\\my-word_v1.5:1.2), no star # note\nembedding:a/b"
    assert lists.split(text, "targets", embeddings=True) == ["embedding:sub\\\\my-word_v1.5", "star", "embedding:a/b"]
    assert lists.split("embedding:weapons") == ["weapons"]


def test_the_published_lists_are_read_as_they_stand():
    assert lists.split(lists.CONCEPTS) == lists.CONCEPTS.split(", ")
    assert lists.split(lists.PRESETS["SLD (an image showing ...)"]) == lists.CONCEPTS.split(", ")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "no " * 5000 + "cat",
        "cat and " * 2000 + "dog",
        "a." * 5000,
        "- " * 5000 + "x",
        "of any kind " * 2000,
        "weapons, not toys " * 500,
        "#a " * 1000,
        "with " * 79 + "x",
        "\u201a" * 4000,
    ],
)
def test_a_long_list_is_read_without_stalling(text):
    """A pattern that tries every split of such a text would not come back."""
    try:
        lists.split(text)
    except ValueError as error:
        assert str(error).startswith("concepts: ")


def test_composed_lists_keep_the_weights_that_a_text_encoder_understands():
    assert lists.compose("custom", "(weapons:1.3), Tom and Jerry # a note\n# note") == "(weapons:1.3), Tom and Jerry"
    assert lists.compose("SLD (keywords)", "Blood, gore") == lists.CONCEPTS + ", gore"


@pytest.mark.parametrize(
    "text",
    [
        "weapons, e.g. guns",
        "weapons (e.g. guns)",
        "weapons, i.e. guns",
        "weapons, for example guns",
        "weapons / eg guns",
    ],
)
def test_an_example_behind_a_comma_is_guarded_as_well(text):
    assert lists.split(text) == ["weapons", "guns"]


def test_a_likeness_may_be_one_concept_or_several_and_is_refused():
    with pytest.raises(ValueError, match='Write weapons, guns, or in quotes "weapons like guns"'):
        lists.split("weapons like guns")
    assert lists.split('"a sky like fire"') == ["a sky like fire"]
    assert lists.split("anything like guns") == ["guns"] and lists.split("ie browser") == ["ie browser"]
