"""Sentences that Whisper says where nobody did: what its training saw under silent pictures. Pure.

It was trained on subtitles (Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak
Supervision"), and those of silence, applause and closing titles are credits and farewells. Koenecke et al.
2024 ("Careless Whisper") and Barański et al. 2025 ("Investigation of Whisper ASR Hallucinations Induced by
Non-Speech Audio", which proposes such a list) found the same few dozen again and again.

Two kinds: *credits*, which nobody says to a companion and which are dropped whatever the evidence, also
from behind a sentence that was said; and *courtesies*, which people do say and which are dropped only when
the sound speaks against them.
"""

from __future__ import annotations

import re
import unicodedata

CREDITS = frozenset(
    {
        # English
        "thanks for watching",
        "thanks for watching and see you next time",
        "thanks for watching and ill see you next time",
        "thank you for watching",
        "thank you for watching and see you next time",
        "thank you so much for watching",
        "thank you very much for watching",
        "thank you all for watching",
        "thank you for watching this video",
        "thanks for watching this video",
        "thanks for watching please subscribe",
        "thanks for watching dont forget to like and subscribe",
        "thank you for watching please subscribe to my channel",
        "please subscribe",
        "please subscribe to my channel",
        "please like and subscribe",
        "please like share and subscribe",
        "like and subscribe",
        "dont forget to like and subscribe",
        "dont forget to subscribe",
        "subscribe to my channel",
        "see you in the next video",
        "ill see you in the next video",
        "ill see you in the next one",
        "see you next video",
        "well see you in the next video",
        "the end of the video",
        "transcription by castingwords",
        "translated by",
        "this video is sponsored by",
        # French
        "merci davoir regarde cette video",
        "merci davoir regarde la video",
        "merci davoir regarde",
        "merci davoir visionne cette video",
        "merci pour votre visionnage",
        "noubliez pas de vous abonner",
        "noubliez pas de vous abonner a la chaine",
        "abonnez vous",
        "abonnez vous a la chaine",
        "abonnez vous a ma chaine",
        "si vous avez aime cette video abonnez vous",
        "likez et abonnez vous",
        "a bientot pour une nouvelle video",
        "a la prochaine video",
        "je vous retrouve dans une prochaine video",
        "cest la fin de cette video",
        # German, Spanish, Portuguese, Italian, Dutch, Russian, Japanese, Korean, Chinese
        "vielen dank furs zuschauen",
        "danke furs zuschauen",
        "danke fur das zuschauen",
        "bis zum nachsten video",
        "gracias por ver el video",
        "gracias por ver",
        "suscribete al canal",
        "obrigado por assistir",
        "inscreva se no canal",
        "grazie per aver guardato il video",
        "grazie per la visione",
        "bedankt voor het kijken",
        "продолжение следует",
        "спасибо за просмотр",
        "ご視聴ありがとうございました",
        "チャンネル登録お願いします",
        "시청해주셔서 감사합니다",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
    }
)
"""Whole sentences, as ``plain`` leaves them."""
CREDIT_STARTS = (
    "sous titres realises",
    "sous titres fait",
    "sous titres par",
    "sous titrage",
    "sous titres crees",
    "sous titres st",
    "traduction de",
    "traduction par",
    "subtitles by",
    "subtitle by",
    "subtitles made by",
    "captions by",
    "captioning by",
    "closed captioning",
    "transcribed by https",
    "transcription by",
    "translation by",
    "untertitel der",
    "untertitel im auftrag",
    "untertitel von",
    "untertitelung",
    "subtitulos realizados",
    "subtitulos por",
    "subtitulado por",
    "legendas pela",
    "legendas por",
    "legenda adriana",
    "sottotitoli creati",
    "sottotitoli e revisione",
    "sottotitoli a cura",
    "ondertitels ingediend",
    "ondertiteld door",
    "ondertiteling door",
    "redaktor napisow",
    "napisy stworzone",
    "napisy by",
    "субтитры сделал",
    "субтитры создавал",
    "редактор субтитров",
    "字幕by",
    "字幕 by",
    "字幕志愿者",
)
CREDIT_PARTS = ("amara org", "otter ai", "opensubtitles", "zeoranger", "castingwords")
COURTESIES = frozenset(
    {
        "thank you",
        "thank you very much",
        "thank you so much",
        "thanks",
        "thanks a lot",
        "bye",
        "bye bye",
        "goodbye",
        "you",
        "so",
        "oh",
        "okay",
        "ok",
        "hmm",
        "mm",
        "uh",
        "yeah",
        "the",
        "i",
        "good night",
        "see you",
        "see you next time",
        "see you later",
        "ill be right back",
        "im sorry",
        "all right",
        "merci",
        "merci beaucoup",
        "merci a tous",
        "au revoir",
        "a bientot",
        "a la prochaine",
        "bonne journee",
        "bonne nuit",
        "ok merci",
        "oui",
        "danke",
        "vielen dank",
        "tschuss",
        "gracias",
        "adios",
        "obrigado",
        "grazie",
        "ciao",
        "спасибо",
        "ありがとうございました",
        "감사합니다",
        "谢谢",
    }
)
"""Said by people and by the model alone: what the sound is like decides."""

_LETTERS = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s*")
_ANNOTATION = re.compile(r"^[\s♪♫🎵🎶]*(?:[\[(*<][^\])*>]*[\])*>][\s.♪♫🎵🎶]*)*$")


def plain(text: str) -> str:
    """Returns the words in small letters, without accents, apostrophes and punctuation."""
    bare = text.casefold().replace("'", "").replace("’", "")
    # Accents go, but what belongs to kana and hangul is put together again.
    kept = "".join(c for c in unicodedata.normalize("NFD", bare) if not "̀" <= c <= "ͯ")
    return " ".join(_LETTERS.findall(unicodedata.normalize("NFC", kept)))


def is_credit(text: str) -> bool:
    """Whether these are subtitles' credits or an appeal to subscribe, which nobody says to a companion."""
    words = plain(text)
    return words in CREDITS or words.startswith(CREDIT_STARTS) or any(part in words for part in CREDIT_PARTS)


def is_courtesy(text: str) -> bool:
    """Whether it is one of the short phrases that people say and that the model also says by itself."""
    return plain(text) in COURTESIES


def is_annotation(text: str) -> bool:
    """Whether nothing but a sound is described: ``[Music]``, ``(applause)``, ``♪``."""
    return bool(text.strip()) and _ANNOTATION.match(text) is not None


def without_credits(text: str) -> str:
    """Returns the text less the credits behind (or instead of) what was said."""
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence]
    whole = len(sentences)
    while sentences and (is_credit(sentences[-1]) or is_annotation(sentences[-1])):
        sentences.pop()
    if len(sentences) < whole:
        # Put together as it was, so that the words of what is left keep their spelling.
        kept = text[: text.rindex(sentences[-1]) + len(sentences[-1])] if sentences else ""
        return without_credits(kept)
    return "" if is_credit(text) or is_annotation(text) else text
