"""The words that hold a turn and those that release it, English and French.

Small letters, straight apostrophes. What is a sentence that could go on ("I would like a table") stands in
neither list: the words do not tell, so the silence and the voice decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TurnWords:
    """One language's words. Phrases are whole words with single blanks between them."""

    opening: frozenset[str]
    """Nobody stops behind one of these."""
    stranded: frozenset[str]
    """Of these, the ones that a question may end with ("where are you from?")."""
    opening_phrases: tuple[str, ...]
    closing: tuple[str, ...]
    """Words and phrases that sentences end with, where something was said before."""
    answers: frozenset[str]
    """What is a whole turn by itself."""
    either: frozenset[str]
    """What is as often a whole turn as the beginning of one."""
    finished: tuple[re.Pattern[str], ...]
    """Questions and commands that lack nothing; matched against all that was said last."""
    number: re.Pattern[str]
    """A number that is not over, at the end."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.replace("\n", " ").split(",") if phrase.strip())


def _patterns(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?:{pattern})\Z") for pattern in patterns)


_EN_BE = r"(?:is|are|was|were|am|'s|'re)"
_EN_DO = r"(?:do|does|did|can|could|should|would|will|must|may)"
_EN_WH = r"(?:what|where|when|who|why|which|how)"
_EN_SUBJECT = r"(?:i|you|he|she|it|we|they|this|that|(?:the|my|your|our|his|her|their|this|that) \w+)"
_EN_HOW = r"(?: (?:old|far|long|much|many|big|late|tall|fast|often|well|time|day|date|colou?r|kind|year))?"
_EN_VERB = (
    r"(?:mean|work|live|think|do|happen|help|open|close|start|begin|end|leave|arrive|cost|say|know|matter|"
    r"understand|stop|sleep|eat|feel|finish|take|weigh)"
)
_EN_DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_EN_UNIT = r"(?:seconds?|minutes?|hours?|days?|weeks?|am|pm|o'clock|percent|degrees)"

ENGLISH = TurnWords(
    opening=_words(
        """
        and or but nor because if unless while although though whereas than so whether until since a an
        the my your our their its whose every each another some any no several both either neither of to
        for with from at by into onto about between among without within during toward towards against
        through across behind beneath beside besides despite except per via upon in on under over like
        as is are was were am be been being will would can could should shall must might may have has
        had do does did i'm you're we're they're it's he's she's that's there's i'll you'll we'll
        they'll i'd you'd we'd i've you've we've they've don't doesn't didn't isn't aren't wasn't
        weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't what's where's who's how's
        gonna wanna gotta let's i we they he she who whom which very really quite rather most fewer
        somewhat um umm uh uhm er erm hmm hm mm well plus minus mr mrs ms dr st
        """
    ),
    stranded=_words("of to for with from at by into about in on under over like through against than"),
    opening_phrases=_phrases(
        """
        you know, i mean, i want, i need, i wish, i would like, i'd like, i'd love, we need, we want,
        let me see, let me think, kind of, sort of, such as, because of, more than, less than,
        going to, have to, want to, able to, so that, i think, i think that, i believe, i guess that,
        i hope, i was, can you, could you, would you, will you, do you, did you, are you, have you,
        should i, can i, could i, may i, shall i, is it, is there, are there, there is, there are,
        there was, and then, but then, as soon as, at least, instead of, in order to, how about,
        what about, tell me about, remind me, i'm looking, i'm trying, looking for, and i, but i, so i,
        and you, and it, and that, and this, first of all, on the one hand, in other words,
        for example, for instance, which means, let me, could you please, can you please,
        would you please, even if, as if, rather than, the same, a lot of, one of, next to,
        in front of, the first, the second, the next, the last, what if, a few, a little, what i,
        when i, if i, if you, when you, that i, that we, that you, whether i
        """
    ),
    closing=_phrases(
        """
        please, thanks, thank you, thank you very much, thanks a lot, today, tomorrow, tonight,
        yesterday, right now, now, again, as well, too, instead, at all, anymore, any more, yet,
        already, this week, next week, this morning, this afternoon, this evening, tomorrow morning,
        tomorrow evening, for me, isn't it, aren't you, don't you, doesn't it, okay, ok, right,
        never mind, that's all, that's it, or not, or something, and so on, by the way, so far,
        of course, sooner or later, bye, goodbye
        """
    ),
    answers=frozenset(
        _phrases(
            """
            yes, no, yeah, yep, yup, nope, nah, ok, okay, sure, right, alright, all right, fine, good,
            great, perfect, exactly, absolutely, definitely, correct, wrong, maybe, perhaps, probably,
            probably not, of course, of course not, certainly, indeed, agreed, true, false, stop, wait,
            cancel, help, pause, continue, go on, go ahead, repeat, next, back, again, quit, exit,
            done, start, begin, hello, hi, hey, good morning, good afternoon, good evening, good night,
            goodbye, bye, bye bye, see you, see you later, thanks, thank you, thanks a lot,
            thank you very much, please, yes please, no thanks, no thank you, yes thank you,
            never mind, not now, not yet, not really, nothing, nobody, i don't know, yes i am,
            yes i do, yes i did, yes it is, yes i can, yes it does, no i'm not, no i don't,
            no i didn't, no it isn't, no it's not, i see, i agree, got it, that's right, that's it,
            that's all, that's fine, that's good, sounds good, me too, me neither, same here, be quiet,
            shut up, hold on, hang on, one moment, just a moment, louder, quieter, slower, faster,
            volume up, volume down, next song, next one, the first one, the second one, the last one,
            what, why, who, when, where, how, pardon, sorry, excuse me, really, oh really, oh no,
            why not, how come, what else, who knows, i think so, i hope so, i hope not, i guess so
            """
        )
    ),
    either=frozenset(
        _phrases(
            "i do, i don't, i am, i'm not, it is, it isn't, it does, it was, i can, i can't, we are, we do"
        )
    ),
    finished=_patterns(
        rf"(?:.* )?{_EN_WH}{_EN_HOW} ?{_EN_BE} (?:i|you|he|she|it|we|they|this|that|these|those)",
        rf"(?:.* )?{_EN_WH}{_EN_HOW} ?{_EN_BE} (?:my|your|his|her|our|their) \w+",
        rf"(?:.* )?where ?{_EN_BE} (?:the|a|an) (?:\w+ )?\w+",
        rf"(?:.* )?{_EN_WH}(?: \w+)?{_EN_HOW} {_EN_DO} {_EN_SUBJECT} {_EN_VERB}",
        rf"(?:.* )?{_EN_DO} (?:you|i|we|they|it|he|she) (?:{_EN_VERB}|(?:hear|help|see) (?:me|it)|"
        r"do (?:that|it))",
        rf"{_EN_BE} (?:you|it|that|this|he|she|they|we) (?:there|here|ready|sure|okay|ok|right|true|over|"
        r"raining|sunny|cold|late|possible|working|open|closed|done|serious|alone|hungry|tired)",
        r"(?:.* )?what (?:happened|else|now)",
        r"(?:.* )?(?:turn|switch|put) (?:it|them|that|this|everything|(?:the|my|all the) \w+) "
        r"(?:on|off|up|down)",
        r"(?:.* )?(?:turn|switch) (?:on|off|up|down) (?:it|everything|(?:the|my|all the) (?:lights?|lamps?|"
        r"music|volume|radio|tv|television|heating|alarm|sound|fan|oven))",
        r"(?:.* )?(?:stop|pause|mute|cancel|skip|resume|repeat|forget) (?:it|that|this|everything|(?:the|my) "
        r"(?:music|song|timer|alarm|call|video|radio|reminder|meeting|order))",
        rf"(?:.* )?for (?:about )?(?:a|an|\w+)(?: \w+)? {_EN_UNIT}",
        rf"(?:.* )?at (?:\w+ )?\w+ {_EN_UNIT}",
        r"(?:.* )?(?:tell|read) (?:me|us) (?:a|another) (?:joke|story|poem)",
        r"(?:.* )?(?:say|do|try) (?:it|that)(?: one more time)?",
        r"(?:.* )?(?:who|what) (?:are you|is this|is that|was that)",
    ),
    number=re.compile(
        r"(?:\b(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred and|thousand and|point|dot|"
        r"number|\d+[.,])"
        r"|\bthe \d{1,2}"
        rf"|\b(?:is|number|code|zip) (?:(?:{_EN_DIGIT}|double) ?){{1,6}}"
        rf"|\b(?:{_EN_DIGIT} ){{2,5}}{_EN_DIGIT})\Z"
    ),
)

_FR_PRONOUN = r"(?:je|tu|il|elle|on|nous|vous|ils|elles|ce)"
_FR_WH = (
    r"(?:où|comment|quand|combien|pourquoi|que|qui|quoi|quel(?:le)?s?(?: \w+)?|à quelle heure|depuis quand)"
)
_FR_UNIT = r"(?:secondes?|minutes?|heures?|jours?|semaines?|degrés|euros?|pour cent)"
_FR_NUMBER = (
    r"(?:zéro|un|deux|trois|quatre|cinq|six|sept|huit|neuf|dix(?:-sept|-huit|-neuf)?|onze|douze|treize|"
    r"quatorze|quinze|seize|vingt|trente|quarante|cinquante|soixante)"
)
_FR_DAY = rf"(?:\d{{1,2}}|premier|{_FR_NUMBER})"

FRENCH = TurnWords(
    opening=_words(
        """
        et ou mais donc or ni car que qu' parce puisque quand lorsque si comme quoique afin tandis alors
        le la les l' un une des du de d' au aux ce cet cette ces mon ma mes ton ta tes son sa ses notre
        nos votre vos leur leurs chaque quelques plusieurs certains certaines aucun aucune à a en dans
        sur sous chez entre vers par pour avec sans depuis pendant contre jusqu'à jusqu'au jusqu'en dès
        malgré parmi selon envers hormis sauf est sont était étaient suis es sommes êtes étais étions
        sera serait seront ai as avons avez ont avait avais aurait aura aurais vais vas va allons allez
        vont c'est c'était j'ai j'avais j'aurais j'étais n'est n'ai n'a n'y qu'est-ce qu'il qu'elle
        qu'on qu'un qu'une d'un d'une l'un ne n' je j' me m' te t' se s' y il ils elles dont lequel
        laquelle lesquels peux peut pouvez pourrait pourrais pourriez veux veut voulez voudrais voudrait
        dois doit devez devrais faut faudrait faudra très trop plutôt assez tellement surtout notamment
        environ presque euh heu hum hmm ben bah beh bon genre enfin virgule
        """
    ),
    stranded=frozenset(),
    opening_phrases=_phrases(
        """
        parce que, est-ce que, qu'est-ce que, qu'est-ce qui, est-ce qu'il, il y a, il y avait,
        je voudrais, j'aimerais, j'aimerais bien, je veux, j'ai besoin, j'ai envie, je pense,
        je pense que, je crois que, je crois, je me demande, peux-tu, pourrais-tu, pouvez-vous,
        pourriez-vous, veux-tu, voulez-vous, as-tu, avez-vous, tu peux, tu pourrais, vous pouvez,
        vous pourriez, et puis, et alors, du coup, en fait, tu sais, tu vois, vous savez, comment dire,
        c'est-à-dire, par exemple, à cause, grâce, afin que, pour que, avant que, bien que, ainsi que,
        tandis que, alors que, dès que, tant que, de plus, plus que, moins que, à côté, en face, près,
        loin de, au lieu, le même, la même, les mêmes, le dernier, la dernière, le prochain,
        la prochaine, n'importe, je suis, tu es, nous sommes, je vais, tu vas, on va, dis-moi si,
        rappelle-moi, si je, si tu, que je, que tu, quand je, quand tu, d'abord, d'une part,
        autrement dit, un peu de, beaucoup de, une sorte de, peut-être que, je cherche
        """
    ),
    closing=_phrases(
        """
        s'il te plaît, s'il vous plaît, s'te plaît, merci, merci beaucoup, aujourd'hui, demain, hier,
        maintenant, ce soir, ce matin, cet après-midi, demain matin, demain soir, cette semaine,
        la semaine prochaine, tout de suite, encore une fois, aussi, non plus, hein, d'accord,
        n'est-ce pas, pour moi, c'est tout, c'est bon, pas encore, bien sûr, du tout, ou pas, ou quoi,
        au revoir, à demain, à bientôt, déjà
        """
    ),
    answers=frozenset(
        _phrases(
            """
            oui, non, ouais, ok, okay, d'accord, très bien, bien sûr, bien sûr que non, parfait, exact,
            exactement, absolument, tout à fait, pas du tout, peut-être, sans doute, jamais, toujours,
            rien, personne, stop, arrête, arrêtez, attends, attendez, annule, annulez, aide, pause,
            continue, continuez, vas-y, allez-y, encore, suivant, suivante, retour, répète, répétez,
            bonjour, bonsoir, salut, coucou, bonne nuit, bonne journée, au revoir, à demain, à bientôt,
            à plus, merci, merci beaucoup, merci bien, oui merci, non merci, oui s'il te plaît,
            oui s'il vous plaît, voilà, c'est ça, c'est bien ça, c'est tout, c'est bon, c'est bien,
            c'est vrai, c'est faux, ça va, ça marche, ça suffit, je ne sais pas, je sais pas,
            je comprends, je ne comprends pas, moi aussi, moi non plus, pas encore, pas maintenant,
            pas vraiment, tant pis, laisse tomber, une seconde, un instant, un moment, moins fort,
            plus fort, plus vite, plus lentement, doucement, quoi, pourquoi, qui, où, quand, comment,
            combien, pardon, désolé, désolée, excuse-moi, vraiment, ah bon, pourquoi pas, et toi,
            et vous, tais-toi, taisez-vous, oui je suis prêt, je suis prêt, je suis prête, je suis là,
            j'ai fini, j'espère, je crois que oui, je crois que non, je pense que oui
            """
        )
    ),
    either=frozenset(_phrases("si, bien, bon, je sais, je vois, le premier, la première")),
    finished=_patterns(
        rf"(?:.* )?{_FR_WH} [\w']+(?:-t)?-{_FR_PRONOUN}",
        r"(?:.* )?quel(?:le)? (?:\w+ )?(?:est|sont|était) (?:mon|ma|ton|ta|son|sa|votre|leur) [\w-]+",
        r"(?:.* )?où (?:est|sont) (?:le|la|les|mon|ma|mes|ton|ta|tes|l') ?[\w-]+",
        r"(?:.* )?(?:c'est|c'était) (?:quoi|qui|où|quand|comment|combien|pourquoi)",
        r"(?:.* )?qu'est-ce que (?:c'est|tu (?:fais|veux|dis|penses)|vous (?:faites|voulez|dites)|"
        r"ça veut dire)",
        r"(?:.* )?qu'est-ce qui (?:se passe|s'est passé|ne va pas)",
        r"(?:.* )?comment (?:ça va|tu vas|vous allez|tu t'appelles|vous vous appelez|ça marche|ça se passe)",
        r"(?:.* )?(?:tu|vous) (?:m'entends|m'entendez|es là|êtes là|comprends|comprenez|es sûre?|vas bien|"
        r"allez bien)",
        r"(?:.* )?(?:ça coûte|tu as|il est|il fait) (?:combien|quel âge|quelle heure|quel temps)",
        r"(?:.* )?(?:allume|éteins|coupe|baisse|monte|arrête|ferme|ouvre)(?:z)? (?:tout|ça|(?:le|la|les|l') ?"
        r"(?:lumières?|lampes?|musique|volume|son|radio|télé|télévision|chauffage|alarme|minuteur|réveil|porte|volets))",
        rf"(?:.* )?(?:pour|dans|pendant) (?:une?|[\w-]+)(?: [\w-]+)? {_FR_UNIT}",
        rf"(?:.* )?à [\w-]+ (?:{_FR_UNIT}|heures? (?:et demie|et quart|moins le quart|[\w-]+))",
        r"(?:.* )?raconte(?:z)?-(?:moi|nous) une (?:blague|histoire)",
        r"(?:.* )?(?:aide|écoute|excuse|réveille|appelle)(?:z)?-moi",
    ),
    number=re.compile(
        r"(?:\b(?:vingt|trente|quarante|cinquante|soixante|quatre-vingts?|soixante et|mille|virgule|numéro|"
        r"\d+[.,])"
        rf"|\b(?:le|du|au) {_FR_DAY}"
        rf"|\b(?:est|numéro|code|est le) (?:{_FR_NUMBER} ?){{1,6}}"
        rf"|\b(?:{_FR_NUMBER} ){{2,5}}{_FR_NUMBER})\Z"
    ),
)

TURN_WORDS: dict[str, TurnWords] = {"en": ENGLISH, "fr": FRENCH}
