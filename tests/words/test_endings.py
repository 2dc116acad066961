"""Words of other languages than English in their inflections, and what their endings must not make of other words."""

import pytest

from tools.testing import hosting

watching, endings = hosting.module("guards.words.watch"), hosting.module("guards.words.endings")


def found(concept, text):
    return [hit.word for hit in watching.watch({concept: ()}).find(text)]


def rows(text):
    return [tuple(line.split(" | ")) for line in text.splitlines()]


@pytest.mark.parametrize(
    "concept, text",
    rows("""Waffe | Waffen
Waffen | eine Waffe
Gewehr | zwei Gewehre
Messer | mit Messern
Frau | Frauen
Hund | Hunden
Schädel | Schädeln
Totenkopf | Totenköpfe
Zigarette | Zigaretten
nackt | ein nackter Mann
Brust | Brüste
rauchen | sie raucht
Kind | zwei Kinder auf einer Wiese
tot | ein toter Vogel auf der Straße
Waffe | ein Mann mit einer Schusswaffe
kämpfen | zwei Männer kämpften im Regen
geweer | geweren
kat | twee katten op een bank
mujer | dos mujeres
desnudo | mujeres desnudas
explosión | dos explosiones
luz | luces
fumar | un hombre fumando
couteau | deux couteaux
nue | des femmes nues
fumer | il fume
cheval | chevaux
mort | une femme morte dans la neige
coltello | coltelli
donna | due donne
nudo | una donna nuda sulla spiaggia
sigaretta | sigarette
homem | dois homens
cão | dois cães
explosão | explosões
nu | uma mulher nua na praia
krew | krwi
kobieta | dwie kobiety
nóż | z nożem
kot | dwa koty
zbraň | zbraně
silah | silahlar
bıçak | bıçağı
çocuk | çocuklar
kan | elinde kanlı bıçak olan adam
kniv | två knivar
kvinna | kvinnor
fegyver | fegyverek
veitsi | veitset
όπλο | δύο όπλα
γυναίκα | γυναίκες
зброя | зі зброєю
ніж | з ножем
кръв | кръвта
סכין | סכינים
אקדח | עם האקדח
سلاح | أسلحة
سكين | بالسكين
مسدس | مسدسات
إرهاب | ارهاب
امرأة | المراه
بندقية | بنادق
चाकू | चाकूओं
बंदूक | बंदूकें
खून | ख़ून
시체 | 시체였다
나체 | 나체인 사람
殺す | 人を殺している
殴る | 男が殴った
ビール | ビ－ルを飲む
убить | убитый солдат
умереть | он умер
связать | связанная девушка
яд | чаша с ядом
Waffe | Schusswaffen
Messer | Taschenmesser, Wald
Bier | eine Bierflasche auf dem Tisch
Drogen | ein Mann und ein Drogenhandel
Kuss | Küsse
Explosion | Explosionen
Nacktheit | eine nackte Frau im Wald
nudité | une femme nue
sang | une main ensanglantée
embrasser | ils s'embrassent
œil | deux yeux
sangre | sangriento
desnudez | mujer desnuda
violência | cena violenta
nudità | donna nuda
krew | krwawy
кровь | окровавленный нож
алкоголь | алкогольный напиток
смерть | мертвый
총 | 권총을 든 남자
총 | 소총
무기 | 핵무기
칼 | 부엌칼을 든
살인 | 살인자
키스 | 키스하는 남녀
diavolo | diavoli
miecz | miecze"""),
)
def test_a_concept_is_met_in_the_inflections_of_its_language(concept, text):
    assert found(concept, text)


@pytest.mark.parametrize(
    "concept, text",
    rows("""corn | a corner of a room
hat | I hate it
car | take care
pan | a pane of glass
angel | Los Angeles
corn | a corner café for Elise
war | wir waren im Garten, es war schön
hell | eine helle Lampe auf dem Tisch
butt | ein Stück Butter auf dem Brot
Blut | eine Blüte im Garten, ein Blumenstrauß
Waffe | eine Waffel mit Sahne
chat | un château dans la brume
rata | un rato en el parque
arma | un armario en la casa
kot | kobieta z kotletem na stole
kan | bir kanat ve bir kanepe
bom | een boom in het park
rave | a raven on a branch
line | a linen dress
were | they weren't there
hand | a dog handler
ant | an antler chandelier
دم | رجل في حديقة مدمرة
نشيد | نشق
피 | 피아노
고기 | 물고기
총 | 총명한
Granate | a pomegranate on a plate
Geist | the zeitgeist
Waffe | ein Waffeleisen auf dem Tisch
Blut | ein Bluthund und eine Blutorange
Alkohol | ein alkoholfreies Getränk auf dem Tisch
총 | 총장
赤い | 赤ちゃん
飲む | 飲食店"""),
)
def test_an_ending_makes_no_other_word(concept, text):
    assert not found(concept, text)


@pytest.mark.parametrize(
    "text, languages",
    [
        ("a man with a hat in Paris", ()),
        ("la la land, a poster from the film", ()),
        ("ein Mann mit einem Hut", ("German",)),
        ("une femme avec un chapeau", ("French",)),
        ("bir kadın ve bir kedi", ("Turkish",)),
    ],
)
def test_a_text_shows_its_language_by_its_small_words(text, languages):
    assert set(languages) <= set(endings.spoken(text)) and bool(languages) == bool(endings.spoken(text))
