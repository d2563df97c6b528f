"""The mood that an instruction for a voice asks for ("speak in a cheerful tone"). Pure.

EVA's voice knows moods by name and takes no sentences: the first word of the table that is not taken back
("not sad", "without anger") sets the mood, everything else in the instruction is without effect.
"""

from __future__ import annotations

import re
from typing import Final

MOODS: Final = {
    "joy": "joy joyful joyous happy happily happiness cheerful cheerfully cheery excited excitedly excitement"
    " enthusiastic enthusiastically enthusiasm upbeat playful bubbly delighted bright lively"
    " joyeux joyeuse heureux heureuse enjoué enjouée gai gaie enthousiaste",
    "sadness": "sad sadly sadness sorrow sorrowful melancholy melancholic gloomy somber sombre mournful"
    " disappointed triste tristement tristesse mélancolique",
    "anger": "anger angry angrily furious annoyed irritated frustrated colère fâché fâchée énervé énervée",
    "surprise": "surprise surprised amazed astonished shocked surpris étonné étonnée",
    "calm": "calm calmly relaxed relaxing serene peaceful soothing meditative slow-paced calme calmement"
    " serein sereine apaisant apaisante posé posée",
    "tenderness": "tender tenderly tenderness warm warmly loving gentle gently soft softly caring kind"
    " sympathetic empathetic compassionate affectionate tendre tendrement doux douce doucement chaleureux"
    " chaleureuse",
    "fear": "fear fearful afraid scared frightened anxious nervous worried peur effrayé effrayée inquiet"
    " inquiète",
    "disgust": "disgust disgusted dégoût dégoûté dégoûtée",
    "curiosity": "curious curiously curiosity intrigued curieux curieuse",
}
"""The words that mean a mood."""
_BY_WORD: Final = {word: mood for mood, words in MOODS.items() for word in words.split()}
_NO: Final = frozenset(
    {
        *("not", "no", "never", "without", "less", "avoid", "don't", "dont", "doesn't", "isn't"),
        *("shouldn't", "nor", "hardly", "pas", "sans", "jamais", "moins", "éviter"),
    }
)
_REACH: Final = 3
"""So many words behind a "not" are taken back, if no comma ends it."""
_WORDS: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|[.,;:!?]")


def mood_of(instructions: str) -> str:
    """Returns the mood that is asked for; empty: none."""
    taken_back = 0
    for word in _WORDS.findall(instructions.lower().replace("’", "'")):
        if word in _NO:
            taken_back = _REACH
        elif not word[0].isalpha():
            taken_back = 0
        elif word in _BY_WORD and not taken_back:
            return _BY_WORD[word]
        else:
            taken_back = max(0, taken_back - 1)
    return ""
