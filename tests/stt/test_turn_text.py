from __future__ import annotations

import pytest

from services.stt.turn_text import completeness
from services.stt.turn_words import TURN_WORDS

ENGLISH_OPEN = """
i would like to
i would like
i want
i need
i want to go to the
can you
could you please
tell me about
what is the
what is
where is
how about
i was thinking that i could
it was raining so
i went home and
i like tea but
because
not because
if you want to come then i will
my name is
the number is five five
my number is zero seven nine
five five five one
i am twenty
it costs ninety
it is three point
room number
the 14
we need about two hundred and
um
i think um
so
well
let me see
let me think
you know
i mean
i met him with my
she gave it to her friend and the
it is very
it was really
there are
there is
do you
would you
should i
is there
are you
remind me
i'm looking for
we are looking for
such as
a lot of
one of
next to
in front of
instead of
as soon as
the first
what if
i think
i think that
i hope
and then
he said that he
they are
but i can't
he said i don't
we didn't
it's
i've
play some
set an alarm for
turn off the
call my
send a message to
on monday or
with
between
without
every
which
in order to
i'm going to
even if
mr
""".strip().split("\n")
ENGLISH_COMPLETE = """
yes
no
okay
stop
thanks
thank you
yes please
no thanks
hello
good morning
never mind
i don't know
that's all
go on
hold on
why not
what time is it
what is your name
what's your name
how are you
how old are you
who are you
where are you
where is the station
where is my phone
what day is it
what is that
how does it work
what do you think
what does that mean
where do you live
when does the shop open
how much does it cost
can you hear me
can you help me
do you understand
are you there
are you ready
is it raining
is that right
turn it off
turn off the lights
turn the music down
switch on the radio
stop the music
cancel the timer
pause
pause it
set a timer for ten minutes
remind me in the evening please
wake me at seven am
tell me a joke
turn off the lights please
play something else please
i will call you tomorrow
let us do that again
it is cold today
i would like that too
you are coming isn't it
that is fine for me
oh no
so what time is it
okay and how are you
""".strip().split("\n")
ENGLISH_UNKNOWN = """
i would like to book a table
the weather in paris
my sister lives in london
tell me something
it was the best of times
play jazz
table
we could meet at the station
i am
i don't
""".strip().split("\n")
ENGLISH_WRITTEN = [
    ("Where are you from?", "complete"),
    ("What is it for?", "complete"),
    ("What is the?", "open"),
    ("I would like to book a table.", "complete"),
    ("I would like to book a.", "open"),
    ("I went there and.", "open"),
    ("Stop!", "complete"),
    ("I am.", "complete"),
    ("“Stop.”", "complete"),
    ("I think so.", "complete"),
    ("I was wondering...", "open"),
    ("I was wondering…", "open"),
    ("On Monday,", "open"),
    ("Two things:", "open"),
    ("I wanted to say—", "open"),
    ("It is cold. I want", "open"),
    ("I want tea. Thanks.", "complete"),
    ("It costs 3.5", "unknown"),
    ("Um.", "open"),
    ("Well...", "open"),
    ("Paris.", "complete"),
    ("", "unknown"),
    (" . ", "unknown"),
    ("[music]", "unknown"),
    ("DO YOU UNDERSTAND", "complete"),
    ("What’s your name", "complete"),
]
FRENCH_OPEN = """
je voudrais
j'aimerais
je veux aller à
et je veux
je veux aller à la
je voudrais réserver une
je voudrais réserver pour le 14
je voudrais réserver pour le quatorze
le 14
nous sommes le trois
j'ai vingt
il a soixante
trois virgule
le numéro est zéro six
zéro six douze zéro six
mon numéro est zéro un
il pleuvait et
j'aime le thé mais
parce que
parce qu'
je ne viens pas parce que
si tu veux que
est-ce que
qu'est-ce que
est-ce que tu peux
peux-tu
pourrais-tu
pouvez-vous
il y a
il y avait
je pense que
je crois que
je me demande
euh
alors euh
donc
je suis allé chez mon
c'est l'
c'est
c'était
j'ai
je suis
elle est très
c'est trop
c'est plutôt
avec
sans
dans le
jusqu'à
entre paris et
du coup
en fait
comment dire
c'est-à-dire
par exemple
tu sais
tu vois
j'ai besoin
j'ai envie
à cause
à côté
en face
au lieu
la prochaine
n'importe
je ne
tu me
je vais
on va
rappelle-moi si je
appelle ma
mets une
envoie un message à
lundi ou
quand je
ils sont
nous avons
vous avez
afin que
bien que
tandis que
d'abord
beaucoup de
un peu de
dont
des
ben
surtout
il faut
""".strip().split("\n")
FRENCH_COMPLETE = """
oui
non
merci
stop
arrête
d'accord
oui merci
non merci
oui s'il te plaît
bonjour
au revoir
pas du tout
je ne sais pas
c'est tout
c'est ça
voilà
vas-y
pourquoi pas
bien sûr
ça va
quelle heure est-il
quel temps fait-il
comment vas-tu
comment ça va
comment tu t'appelles
où es-tu
où est la gare
où est mon téléphone
quel est ton nom
c'est quoi
c'est combien
ça coûte combien
qu'est-ce que c'est
qu'est-ce que tu fais
qu'est-ce qui se passe
tu m'entends
tu es là
allume la lumière
éteins la radio
baisse le son
arrête la musique
coupe tout
mets un minuteur pour dix minutes
réveille-moi à sept heures
réveille-moi
raconte-moi une blague
aide-moi
éteins tout s'il te plaît
je t'appelle demain
il fait froid aujourd'hui
on se voit ce soir
encore une fois
tu viens n'est-ce pas
alors quelle heure est-il
moi aussi
""".strip().split("\n")
FRENCH_UNKNOWN = """
je voudrais réserver une table
la météo à paris
ma sœur habite à londres
il est parti en train
le 14 juillet
le premier
bon
si
mets du jazz
table
""".strip().split("\n")
FRENCH_WRITTEN = [
    ("Quelle heure est-il ?", "complete"),
    ("Je voudrais réserver une table.", "complete"),
    ("Je voudrais réserver une.", "open"),
    ("Je suis allé chez.", "open"),
    ("Euh...", "open"),
    ("Lundi,", "open"),
    ("Arrête !", "complete"),
    ("« Oui. »", "complete"),
    ("Il fait froid. Je veux", "open"),
    ("D’accord", "complete"),
    ("C’est l’", "open"),
    ("Ça coûte 3,5", "unknown"),
    ("re\u0301pe\u0300te", "complete"),
    ("re\u0301pe\u0301tez", "complete"),
    ("Tu viens avec qui ?", "complete"),
    ("Tu viens avec ?", "open"),
]


def cases(opening: list[str], complete: list[str], unknown: list[str]) -> list[tuple[str, str]]:
    return [
        *((text, "open") for text in opening),
        *((text, "complete") for text in complete),
        *((text, "unknown") for text in unknown),
    ]


ENGLISH = cases(ENGLISH_OPEN, ENGLISH_COMPLETE, ENGLISH_UNKNOWN) + ENGLISH_WRITTEN
FRENCH = cases(FRENCH_OPEN, FRENCH_COMPLETE, FRENCH_UNKNOWN) + FRENCH_WRITTEN


@pytest.mark.parametrize(("text", "expected"), ENGLISH)
def test_english_words_hold_release_or_leave_it_open(text: str, expected: str) -> None:
    assert completeness(text, "en") == expected


@pytest.mark.parametrize(("text", "expected"), FRENCH)
def test_french_words_hold_release_or_leave_it_open(text: str, expected: str) -> None:
    assert completeness(text, "fr") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wie spät ist es", "unknown"),
        ("Wie spät ist es?", "complete"),
        ("und dann,", "open"),
        ("", "unknown"),
    ],
)
@pytest.mark.parametrize("language", ["de", ""])
def test_of_other_languages_only_the_punctuation_is_understood(
    text: str, expected: str, language: str
) -> None:
    assert completeness(text, language) == expected


def test_what_was_said_long_ago_does_not_count() -> None:
    assert completeness("word " * 5000 + "what time is it", "en") == "complete"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_word_both_holds_and_releases(language: str) -> None:
    words = TURN_WORDS[language]
    assert not words.opening & set(words.closing)
    assert not set(words.opening_phrases) & (set(words.closing) | words.answers)
    assert words.stranded <= words.opening
