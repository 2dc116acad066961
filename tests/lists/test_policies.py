"""Lists as schools, churches and firms write them: rules in whole sentences, headings, qualifications, exceptions."""

import pytest

from tools.testing import hosting

lists = hosting.module("guards.lists.written")


def rows(text):
    return [line.split(" = ") for line in text.splitlines()]


@pytest.mark.parametrize(
    "text, concepts",
    rows("""guns can't be shown = guns
guns shouldn't appear = guns
guns cannot appear in images = guns
guns need to be blocked = guns
guns have been banned = guns
no guns no knives = guns, knives
NO guns NO knives NO blood = guns, knives, blood
any guns any knives = guns, knives
without any guns or any knives = guns, knives
keine Waffen keine Drogen = Waffen, Drogen
pas d'armes pas de sang = armes, sang
no guns, nor knives = guns, knives
no blood, and no gore either = blood, gore
zero tolerance for drugs = drugs
never, ever show guns = guns
too much blood = blood
violence in all its forms = violence
drug related imagery = drug
war-themed pictures = war
no weapons or weapon-like objects = weapons, weapon
guns, also known as firearms = guns, firearms
weapons including, but not limited to, guns and knives = weapons, guns, knives
guns in general, and pistols in particular = guns, pistols
nudity (full or partial) = nudity
nudity, partial or full = nudity
weapons (real/fake) = weapons
Nacktheit (auch teilweise) = Nacktheit
nudité, même partielle = nudité
weapons (high priority) = weapons
weapons (very important) = weapons
Waffen (hoch), Blut (mittel) = Waffen, Blut
HIGH: weapons\\nMEDIUM: blood = weapons, blood
Priority 1: weapons\\nPriority 2: blood = weapons, blood
School blocklist:\\nweapons\\nblood = weapons, blood
Library policy: weapons; blood = weapons, blood
Not in our church: weapons, blood = weapons, blood
For kids under 12: no weapons, no blood = weapons, blood
Für Kinder ungeeignet: Waffen = Waffen
None of these: weapons, blood = weapons, blood
Wichtig: keine Waffen = Waffen
guns, do not show = guns
no sign of weapons = weapons
not a single weapon = weapon
Weapons ex: guns = Weapons, guns
Examples of weapons: guns = weapons, guns
guns during school hours = guns
guns at church = guns
few guns = guns
more than one gun = gun
gun\\n\\nand\\n\\nknife = gun, knife
guns obviously = guns
obviously no guns, but no knives = guns, knives
rule #1: no guns\\nrule #2: no knives = guns, knives
§1 no guns\\n§2 no knives = guns, knives
"no guns", 'no knives' = guns, knives
Reminder: no guns or something = guns
guns (see section 4.2) = guns
guns (added 2024), blood (optional) = guns, blood
blood\\nBREAK\\ngore = blood, gore
A. Violence\\n 1. fights\\nB. Nudity = Violence, fights, Nudity
| Forbidden | Why |\\n| blood | scary |\\n| guns | dangerous | = blood, guns
Guns: ban, blood: ban = Guns, blood"""),
)
def test_a_rule_in_a_sentence_names_its_concepts(text, concepts):
    assert lists.split(text.replace("\\n", "\n")) == concepts.split(", ")


@pytest.mark.parametrize(
    "text, concepts",
    rows("""Waffen sind an unserer Schule verboten = Waffen
Wir wollen keine Waffen = Waffen
alles mit Gewalt = Gewalt
alles, was mit Waffen zu tun hat = Waffen
Les armes sont interdites = armes
Merci de ne pas montrer d'armes = armes
Il ne faut pas montrer d'armes = armes
tout ce qui concerne les armes = armes
violence sous toutes ses formes = violence
Las armas están prohibidas = armas
Están prohibidas las armas = armas
todo lo relacionado con armas = armas
violencia en todas sus formas = violencia
sem armas nem sangue = armas, sangue
tutto ciò che riguarda le armi = armi
Нельзя показывать оружие = оружие
всё, что связано с оружием = оружием
inga vapen, inget blod = vapen, blod
没有武器没有血 = 武器, 血
不允许出现武器 = 武器
涉及暴力的内容 = 暴力
色情内容 = 色情
暴力的な表現 = 暴力
폭력적인 내용 = 폭력"""),
)
def test_a_rule_in_another_language_names_its_concepts(text, concepts):
    assert lists.split(text) == concepts.split(", ")


@pytest.mark.parametrize(
    "text, said",
    rows("""guns won't be accepted = Write guns, or in quotes
guns don't belong in school = Write guns, or in quotes
guns have no place in our school = Write guns, or in quotes
Students are not allowed to create images of weapons = Write weapons, or in quotes
Students may not draw weapons = Write weapons, or in quotes
it's forbidden to show guns = Write guns, or in quotes
we have a strict no-weapons policy = Write weapons, or in quotes
people smoking = Write smoking, or in quotes
leave guns out = Write guns, or in quotes
block all guns = Write guns, or in quotes
prevent images of guns = Write guns, or in quotes
we block guns = Write guns, or in quotes
alcohol when children are present = Write alcohol
gu[nm]s = looks like a regular expression
guns knives blood = Write guns, knives, blood, or in quotes
weapons no blood = Write weapons, blood, or in quotes
violence against women and children = Write violence against women, violence against children
alcool comme la bière = Write alcool, bière
allow flowers = makes an exception
only allow flowers = makes an exception
toy guns are ok, real guns are not = makes an exception
Waffen außer Messer = makes an exception
Waffen, aber keine Messer = makes an exception
armes sauf couteaux = makes an exception
armas excepto cuchillos = makes an exception
оружие, кроме ножей = makes an exception
除了刀以外的武器 = makes an exception
武器（玩具除外） = makes an exception
❌ guns\\n✅ flowers = some are marked as bad, others as good
swear words (f***, sh*t) = 'f***' has stars for letters"""),
)
def test_a_rule_that_may_mean_another_thing_is_refused(text, said):
    with pytest.raises(ValueError, match="^concepts: ") as caught:
        lists.split(text.replace("\\n", "\n"))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    """Winnie the Pooh
violence against women
blood sports
war crimes
hot dogs
weapons of mass destruction
realistic faces
it girl
they live
will smith
must-have
need for speed
mujeres desnudas
personnes nues
世界和平
埃及
参与者""".splitlines(),
)
def test_what_only_looks_like_a_rule_stays_whole(text):
    assert lists.split(text) == [text]
    assert lists.split("no guns, knives or bombs allowed") == ["guns", "knives", "bombs"]
