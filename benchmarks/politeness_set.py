"""The test set of the politeness benchmark: sentences with pauses inside, spoken on the spot, in noise.

Two groups share no sentence, no voice and no seed: thresholds may be chosen on ``tune`` only, ``report`` is
what is published. A whole sentence is spoken and silence is put in at borders of words, so the melody at a
pause is that of a sentence which goes on, as it is with a person who looks for a word.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.espeak import RATE_HZ, Pcm, Spoken, Voice, speak

Group = Literal["tune", "report"]
Place = Literal["open", "plain"]
Noise = Literal["quiet", "white", "babble"]

PAUSES_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5)
LEAD_S, TAIL_S = 0.6, 2.2
FADE = RATE_HZ // 200
HEARD_EARLY = RATE_HZ // 20
"""A word is understood 50 ms before its sound is over."""

_HOLDERS = {
    "en": "and but or because if when so that to for with from at in on of about a an the my your his her "
    "our their is are was were can could would will i we they it's there's",
    "fr": "et mais ou parce que si quand donc à pour avec de du des dans sur en chez le la les un une mon ma "
    "mes ton ta est sont était peux je tu il elle nous c'est qu'il au aux",
}

_TUNE = """
what time does the train to london leave tomorrow morning?
can you tell me what the weather will be like this weekend?
how long does it take to get to the airport from here?
what is the capital of new zealand?
do i need an umbrella today?
who wrote the book about the old man and the sea?
where can i buy a good pair of running shoes?
could you read me the last message from my sister?
is the pharmacy in the main street still open?
what did we talk about yesterday?
turn off the lights in the kitchen.
set a timer for twelve minutes.
play the next song.
remind me to call the dentist on friday.
add milk and two loaves of bread to the shopping list.
turn the heating down a little please.
send a message to anna and tell her that i am late.
wake me up at half past six.
stop the music.
open the window in the bedroom and close the door.
i would like to book a table for four people on saturday evening.
my flight was cancelled because of the storm.
i think we should leave before it gets dark.
the meeting was moved to the small room on the second floor.
we went to the market and bought some apples and a big cheese.
i am not sure if i can come to the party.
yesterday i saw a fox in the garden behind the house.
it has been raining since the day we arrived.
she told me that her brother is going to move to canada.
i have two tickets for the concert but i cannot go.
no i have never been there.
yes please do that.
""".strip().split("\n")
_REPORT = """
how many people live in the city of madrid?
what should i cook for dinner with rice and two eggs?
when is the next bus to the central station?
do you know a good film for a rainy evening?
why is the sky red in the evening?
can i return the shoes that i bought last week?
what is the fastest way to learn the guitar?
which of the two phones has the better camera?
are there any messages from the office?
how old is the cathedral in the old town?
call my brother on his mobile phone.
turn up the volume a bit.
cancel the alarm for tomorrow.
write down that the rent is due on the first of may.
show me the way to the nearest hospital.
play some quiet piano music in the living room.
tell me a story about a dragon and a little girl.
switch on the lamp next to the sofa.
pause the film.
order a large pizza with mushrooms and a bottle of water.
i need a new battery for my old watch.
my parents are coming to visit us in the middle of june.
we were looking for a hotel that is not too far from the beach.
the doctor said that i should drink more water and sleep more.
i left my keys on the table in the hall.
they want to sell the house because it is too big for them.
i was born in a small village in the mountains.
the soup needs some salt and a bit of pepper.
if the weather is good we could have lunch in the park.
he plays the violin in an orchestra with his daughter.
thank you that is all for today.
no thanks i am fine.
""".strip().split("\n")
_FRENCH_TUNE = """
à quelle heure part le train pour lyon demain matin ?
est-ce que tu peux me dire quel temps il fera ce week-end ?
éteins la lumière dans la cuisine.
je voudrais réserver une table pour quatre personnes samedi soir.
rappelle-moi d'appeler le dentiste vendredi.
mon vol a été annulé à cause de la tempête.
je ne sais pas si je peux venir à la fête.
ajoute du lait et deux pains à la liste de courses.
""".strip().split("\n")
_FRENCH_REPORT = """
combien de personnes habitent dans la ville de madrid ?
quand passe le prochain bus pour la gare centrale ?
est-ce que tu connais un bon film pour une soirée de pluie ?
mets un peu de piano dans le salon.
annule le réveil de demain.
mes parents viennent nous voir au milieu du mois de juin.
j'ai laissé mes clés sur la table dans l'entrée.
ils veulent vendre la maison parce qu'elle est trop grande.
""".strip().split("\n")

SENTENCES: dict[tuple[Group, str], list[str]] = {
    ("tune", "en"): _TUNE,
    ("report", "en"): _REPORT,
    ("tune", "fr"): _FRENCH_TUNE,
    ("report", "fr"): _FRENCH_REPORT,
}
# Variants with breath in them (f2, f3, f5) differ from run to run.
VOICES: dict[tuple[Group, str], tuple[Voice, ...]] = {
    ("tune", "en"): (Voice("en-us", 150, 50), Voice("en-gb+f1", 180, 60), Voice("en-us+m3", 200, 35)),
    ("report", "en"): (Voice("en-gb", 145, 45), Voice("en-us+f4", 170, 55), Voice("en-gb+m5", 195, 40)),
    ("tune", "fr"): (Voice("fr", 160, 50),),
    ("report", "fr"): (Voice("fr+f1", 175, 55), Voice("fr+m2", 150, 40)),
}
_SEEDS = {"tune": 11, "report": 2027}
CONDITIONS: tuple[tuple[Noise, int], ...] = (
    ("quiet", 60),
    ("white", 20),
    ("white", 10),
    ("white", 5),
    ("babble", 20),
    ("babble", 10),
    ("babble", 5),
)


@dataclass(frozen=True)
class Pause:
    """A silence within a sentence, samples of the clip."""

    start: int
    end: int
    length_s: float
    place: Place


@dataclass(frozen=True)
class Clip:
    """One sentence as a microphone gives it."""

    pcm: Pcm
    words: tuple[str, ...]
    starts: tuple[int, ...]
    """Sample at which each word begins."""
    ends: tuple[int, ...]
    pauses: tuple[Pause, ...]
    end: int
    """Behind the last sound of the last word."""
    language: str
    speaker: str
    noise: Noise
    snr_db: int

    def said(self, position: int) -> str:
        """The words whose sound is over at a sample: small letters, no punctuation."""
        known = (
            word for word, end in zip(self.words, self.ends, strict=True) if end <= position + HEARD_EARLY
        )
        return " ".join(known).lower().strip(" ?.,!")


def clips(group: Group, *, language: str = "en", share: int = 1) -> list[Clip]:
    """Returns the set of a group, one clip in ``share``; the same each time."""
    lines = SENTENCES[group, language]
    voices = VOICES[group, language]
    chosen = random.Random(_SEEDS[group])
    spoken = speak([(voice, text) for voice in voices for text in lines])
    babble = _babble(spoken, np.random.default_rng(_SEEDS[group]))
    made = []
    for number, (one, (noise, snr_db)) in enumerate(itertools.product(spoken, CONDITIONS)):
        speaker = voices[number // len(CONDITIONS) // len(lines)].name
        clip, seed = _clip(one, chosen, language, speaker), chosen.randrange(1 << 30)
        if number % share == 0:
            made.append(_noisy(clip, noise, snr_db, seed, babble))
    return made


def _clip(spoken: Spoken, chosen: random.Random, language: str, speaker: str) -> Clip:
    """Puts one or two pauses into a sentence: behind a word that holds, or anywhere else within it."""
    holders = set(_HOLDERS[language].split())
    borders = range(2, len(spoken.words) - 1)
    held = [index for index in borders if spoken.words[index - 1].lower() in holders]
    plain = [index for index in borders if index not in held]
    places: dict[int, Place] = {}
    for kind, options in (("open", held), ("plain", plain)):
        free = [index for index in options if all(abs(index - other) > 2 for other in places)]
        if free:
            places[chosen.choice(free)] = "open" if kind == "open" else "plain"
    lead = np.zeros(int(LEAD_S * RATE_HZ), np.float32)
    pieces, starts, ends, pauses = [lead], list[int](), list[int](), list[Pause]()
    length = len(lead)
    borders_at = (*spoken.starts, len(spoken.pcm))
    for index in range(len(spoken.words)):
        if index in places:
            pause_s = chosen.choice(PAUSES_S)
            gap = int(pause_s * RATE_HZ)
            pauses.append(Pause(length, length + gap, pause_s, places[index]))
            pieces.append(np.zeros(gap, np.float32))
            length += gap
        starts.append(length)
        piece = spoken.pcm[borders_at[index] : borders_at[index + 1]].copy()
        _fade(piece, is_first=index in places, is_last=index + 1 in places)
        pieces.append(piece)
        length += len(piece)
        ends.append(length)
    pieces.append(np.zeros(int(TAIL_S * RATE_HZ), np.float32))
    return Clip(
        np.concatenate(pieces),
        spoken.words,
        tuple(starts),
        tuple(ends),
        tuple(pauses),
        length,
        language,
        speaker,
        "quiet",
        60,
    )


def _fade(piece: Pcm, *, is_first: bool, is_last: bool) -> None:
    """No click where a sentence is cut."""
    ramp = np.linspace(0.0, 1.0, min(FADE, len(piece)), dtype=np.float32)
    if is_first and len(ramp):
        piece[: len(ramp)] *= ramp
    if is_last and len(ramp):
        piece[-len(ramp) :] *= ramp[::-1]


def _babble(spoken: list[Spoken], generator: np.random.Generator) -> Pcm:
    """Ten seconds of six people talking at once."""
    total = np.zeros(10 * RATE_HZ, np.float32)
    for _ in range(6):
        order = generator.permutation(len(spoken))
        line = np.concatenate([spoken[index].pcm for index in order[:8]])
        total += np.resize(np.roll(line, int(generator.integers(len(line)))), len(total))
    return total


def _noisy(clip: Clip, noise: Noise, snr_db: int, seed: int, babble: Pcm) -> Clip:
    generator = np.random.default_rng(seed)
    if noise == "babble":
        under = np.resize(np.roll(babble, int(generator.integers(len(babble)))), len(clip.pcm))
    else:
        under = generator.normal(0.0, 1.0, len(clip.pcm)).astype(np.float32)
    speech = clip.pcm[np.abs(clip.pcm) > 0.003]
    level = np.sqrt(np.mean(speech**2)) / 10 ** (snr_db / 20)
    pcm = clip.pcm + under * (level / np.sqrt(np.mean(under**2)))
    pcm = np.clip(pcm, -1.0, 1.0).astype(np.float32)
    return replace(clip, pcm=pcm, noise=noise, snr_db=snr_db)
