"""What the scripted companion says, in English and French: several ways for each occasion, taken in turn."""

# ruff: noqa: E501 - what is said stays on one line

from __future__ import annotations

from typing import Final

from services.llm.tables import listed

NOTICE: Final = {
    "en": "No language model is connected yet, so my answers are scripted. To connect one, set GROQ_API_KEY in the"
    " file .env, or start Ollama on this machine.",
    "fr": "Aucun modèle de langage n'est encore connecté, alors mes réponses sont écrites d'avance. Pour en connecter"
    " un, mets GROQ_API_KEY dans le fichier .env, ou démarre Ollama sur cette machine.",
}
LOST: Final = {
    "en": "Sorry, I lost my thread there. Please ask me again.",
    "fr": "Pardon, j'ai perdu le fil. Pose-moi la question encore une fois.",
}

LINES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "en": {
        "greeting": ("Hello! I'm EVA.", "Hi there! Good to hear you.", "Hello again! What shall we talk about?"),
        "name_told": ("Nice to meet you, {name}.", "Thank you, {name}. I'll remember that."),
        "name_known": ("Your name is {name}.", "You told me that you are {name}.", "You're {name}, I remember."),
        "name_unknown": ("You haven't told me your name yet. What is it?", "I don't know yet. What's your name?"),
        "sum": ("That makes {result}.", "The answer is {result}."),
        "sum_impossible": ("Nobody can divide by zero, and neither can I.",),
        "repeat": ("I said: {last}", "Once more: {last}"),
        "repeat_nothing": ("I haven't said anything yet.",),
        "time": ("It is {time}.", "My clock says {time}."),
        "date": ("Today is {date}.", "It is {date} today."),
        "joke": (
            "Why did the microphone break up with the speaker? It needed some feedback.",
            "I would tell you a joke about silence, but you would have to hear nothing.",
            "What does a robot do at lunch? It takes a byte.",
        ),
        "who": ("I'm EVA, your voice companion. I run on your own machine.", "My name is EVA. I listen, and I talk back."),
        "can_do": (
            "I can listen, speak, remember your name, tell the time and the date, do sums and tell a joke.",
            "Ask me for the time, a sum or a joke, or tell me your name and I'll remember it.",
        ),
        "how": ("I'm very well, thank you. How are you?", "All my circuits are happy. And you?"),
        "thanks": ("You're welcome!", "My pleasure.", "Any time."),
        "goodbye": ("Goodbye! It was nice talking to you.", "See you soon!", "Bye for now. Take care."),
        "nothing": ("I'm listening.", "I'm here. What would you like to talk about?"),
        "echo": (
            "You said: {said}. Tell me more.",
            "I heard: {said}. I'm afraid I have no good answer to that.",
            "So, {said}. Could you say it in another way?",
            "That is beyond my script: {said}. Ask me for the time, a sum or a joke.",
        ),
    },
    "fr": {
        "greeting": ("Bonjour ! Je suis EVA.", "Salut ! Contente de t'entendre.", "Rebonjour ! De quoi parlons-nous ?"),
        "name_told": ("Enchantée, {name}.", "Merci, {name}. Je m'en souviendrai."),
        "name_known": ("Tu t'appelles {name}.", "Tu m'as dit que tu t'appelles {name}.", "Tu es {name}, je m'en souviens."),
        "name_unknown": ("Tu ne m'as pas encore dit ton nom. Comment t'appelles-tu ?", "Je ne sais pas encore. Quel est ton nom ?"),
        "sum": ("Cela fait {result}.", "Le résultat est {result}."),
        "sum_impossible": ("Personne ne peut diviser par zéro, et moi non plus.",),
        "repeat": ("J'ai dit : {last}", "Encore une fois : {last}"),
        "repeat_nothing": ("Je n'ai encore rien dit.",),
        "time": ("Il est {time}.", "Ma montre dit {time}."),
        "date": ("Nous sommes le {date}.", "Aujourd'hui, c'est le {date}."),
        "joke": (
            "Pourquoi le micro a-t-il quitté le haut-parleur ? Il manquait de retour.",
            "Je connais une blague sur le silence, mais il faut ne rien entendre.",
            "Que fait un robot à midi ? Il mange un octet.",
        ),
        "who": ("Je suis EVA, ta compagne vocale. Je tourne sur ta propre machine.", "Je m'appelle EVA. J'écoute, et je réponds."),
        "can_do": (
            "Je sais écouter, parler, retenir ton nom, donner l'heure et la date, calculer et raconter une blague.",
            "Demande-moi l'heure, un calcul ou une blague, ou dis-moi ton nom et je le retiendrai.",
        ),
        "how": ("Je vais très bien, merci. Et toi ?", "Tous mes circuits sont contents. Et toi ?"),
        "thanks": ("De rien !", "Avec plaisir.", "Je t'en prie."),
        "goodbye": ("Au revoir ! C'était un plaisir de parler avec toi.", "À bientôt !", "À la prochaine. Prends soin de toi."),
        "nothing": ("Je t'écoute.", "Je suis là. De quoi veux-tu parler ?"),
        "echo": (
            "Tu as dit : {said}. Dis-m'en plus.",
            "J'ai entendu : {said}. Je n'ai pas de bonne réponse à cela.",
            "Donc, {said}. Peux-tu le dire autrement ?",
            "Cela dépasse mon script : {said}. Demande-moi l'heure, un calcul ou une blague.",
        ),
    },
}  # fmt: skip

MONTHS: Final = {
    "en": listed("January February March April May June July August September October November December"),
    "fr": listed("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
}
DAYS: Final = {
    "en": listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "fr": listed("lundi mardi mercredi jeudi vendredi samedi dimanche"),
}

PATTERNS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "en": (
        ("name_asked", r"\b(what|whats|who|remember|know|tell|say)\b.*\b(my|mine|me) (?:name|named|names)\b|\bwho am i\b"),
        ("repeat", r"\b(repeat|say|tell)\b.*\b(that|it|again|said|last)\b.*|\bwhat did you say\b|\bpardon\b"),
        ("time", r"\bwhat(s| is|) (the )?time\b|\btime is it\b|\bwhat time\b|\btell me the time\b"),
        ("date", r"\b(what|which|whats|tell)\b.*\b(date|day)\b"),
        ("joke", r"\bjokes?\b|\bmake me laugh\b|\bfunny\b"),
        ("who", r"\bwho are you\b|\bwhat are you\b|\b(what|whats|who)\b.*\byour name\b|\bintroduce yourself\b"),
        ("can_do", r"\bwhat\b.*\b(can|could) you\b|\b(can|could) you (help|do)\b|^help$|\bhelp me\b"),
        ("how", r"\bhow (are|is|do) (you|things|it)\b|\bhow are\b|\bhow (have )?you been\b|\bare you (ok|well|fine)\b"),
        ("thanks", r"\b(thank|thanks|thankyou|cheers)\b"),
        ("goodbye", r"\b(good ?bye|bye|see you|good ?night|farewell)\b"),
        ("greeting", r"\b(hello|hi|hey|howdy|greetings|good (morning|afternoon|evening|day))\b"),
    ),
    "fr": (
        ("name_asked", r"\b(comment|quel|sais|connais|rappelles?|souviens|dis)\b.*\b(je m ?appelle|m appelle|mon (nom|prenom))\b|\bqui suis je\b"),
        ("repeat", r"\brepete\b|\bredis\b|\bqu as tu dit\b|\bqu est ce que tu as dit\b|\btu as dit quoi\b|\bencore une fois\b"),
        ("time", r"\bquelle heure\b|\bl heure\b|\bheure est il\b"),
        ("date", r"\b(quel|quelle|dis)\b.*\b(jour|date)\b|\bon est le combien\b"),
        ("joke", r"\bblagues?\b|\bfais (moi )?rire\b|\bdrole\b"),
        ("who", r"\bqui es tu\b|\btu es qui\b|\bcomment (tu )?t ?appelles?\b|\bton (nom|prenom)\b|\bpresente toi\b"),
        ("can_do", r"\bque (sais|peux) tu\b|\b(peux|sais) tu (m )?(aider|faire)\b|\btu (peux|sais) faire\b|\baide( moi)?\b"),
        ("how", r"\bcomment (ca va|vas tu|allez vous|tu vas|va)\b|\b(ca|tu) vas? bien\b|^ca va\b"),
        ("thanks", r"\bmerci\b"),
        ("goodbye", r"\bau revoir\b|\ba bientot\b|\bbonne nuit\b|\badieu\b|\ba plus\b|\ba la prochaine\b|\btchao\b|\bciao\b"),
        ("greeting", r"\b(bonjour|salut|bonsoir|coucou|hello)\b"),
    ),
}  # fmt: skip
"""Occasion and pattern, the first match counts; over lower-case words without accents and punctuation."""
