"""faster-whisper in parts: features, encoder, language, decoder, word times; each for several clips at once.

``WhisperModel.transcribe`` encodes the audio twice when the language is to be detected (0.8 s more on two
cores with the base model) and pads everything to 30 s, so its parts are called here. Greedy, at temperature
0, without timestamps: a turn is short and must be quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from services.stt.engine import Pcm, Word
from services.stt.gates import max_tokens
from services.stt.windows import FRAMES_PER_S

PROMPT_TOKENS = 64
"""Of what was said before: about 200 letters. Each costs a little time and none is ever worth much."""
WORD_AT_MOST_S = 1.4
"""As faster-whisper has it: twice the longest median of a text's words."""
MEASURED_TOKENS = 12
"""What a turn of three seconds has."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One clip on its way through the decoder."""

    language: str
    seconds: float
    prompt: str = ""
    has_words: bool = False


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What the decoder says about one clip."""

    text: str
    tokens: list[int] = field(repr=False)
    no_speech: float
    logprob: float
    """Mean over the tokens, the end of the text included."""
    words: tuple[Word, ...] = ()


class Model:
    """A loaded Whisper model; every call may be made from several threads."""

    def __init__(self, model: WhisperModel) -> None:
        self._model = model
        self._suppressed: list[int] = []

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows more than English."""
        return bool(self._model.model.is_multilingual)

    def encode(self, clips: Sequence[Pcm], frames: int) -> Any:
        """Returns what the decoder looks at, all clips padded to so many mel frames."""
        features = [pad_or_trim(self._model.feature_extractor(clip)[:, :-1], length=frames) for clip in clips]
        return self._model.encode(np.stack(features))

    def detect(self, encoded: Any) -> list[tuple[str, float]]:
        """Returns the likeliest language of each clip and its probability."""
        return [
            (str(row[0][0])[2:-2], float(row[0][1])) for row in self._model.model.detect_language(encoded)
        ]

    def decode(self, encoded: Any, asked: Sequence[Asked]) -> list[Decoded]:
        """Returns what is said in each clip.

        The decoder wants all prompts of one length: the shortest context of several decides for all of them.
        """
        tokenizers = [self._tokenizer(one.language) for one in asked]
        contexts = [_context(tokenizer, one.prompt) for tokenizer, one in zip(tokenizers, asked, strict=True)]
        kept = min(len(context) for context in contexts)
        prompts = [
            self._model.get_prompt(tokenizer, context[len(context) - kept :], without_timestamps=True)
            for tokenizer, context in zip(tokenizers, contexts, strict=True)
        ]
        longest = max(max_tokens(one.seconds, one.language) for one in asked)
        results = self._model.model.generate(
            encoded,
            prompts,
            beam_size=1,
            max_length=min(self._model.max_length, _length(len(prompts[0]), longest)),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppress(tokenizers[0]),
        )
        decoded = [_decoded(tokenizer, result) for tokenizer, result in zip(tokenizers, results, strict=True)]
        return self._with_words(encoded, asked, tokenizers, decoded)

    def work(self, encoded: Any, clips: int) -> None:
        """Decodes as much as a turn of three seconds has, whatever is heard: to be timed."""
        tokenizer = self._tokenizer("en")
        prompt = self._model.get_prompt(tokenizer, [], without_timestamps=True)
        never_done = [*self._suppress(tokenizer), tokenizer.eot]
        self._model.model.generate(
            encoded,
            [prompt] * clips,
            beam_size=1,
            max_length=_length(len(prompt), MEASURED_TOKENS),
            suppress_tokens=never_done,
        )

    def _tokenizer(self, language: str) -> Tokenizer:
        return Tokenizer(self._model.hf_tokenizer, self.is_multilingual, task="transcribe", language=language)

    def _suppress(self, tokenizer: Tokenizer) -> list[int]:
        """Returns the tokens of sounds and signs, the same for every language."""
        if not self._suppressed:
            self._suppressed = list(get_suppressed_tokens(tokenizer, [-1]))
        return self._suppressed

    def _with_words(
        self, encoded: Any, asked: Sequence[Asked], tokenizers: Sequence[Tokenizer], decoded: list[Decoded]
    ) -> list[Decoded]:
        """Adds the times of words by cross-attention, where they are wanted; one more pass of the decoder."""
        if not any(one.has_words and said.tokens for one, said in zip(asked, decoded, strict=True)):
            return decoded
        texts = [said.tokens or [tokenizers[0].eot] for said in decoded]
        lengths = [max(2, int(one.seconds * FRAMES_PER_S)) for one in asked]
        alignments = self._model.find_alignment(tokenizers[0], texts, encoded, lengths)
        return [
            replace(said, words=_words(alignment)) if one.has_words and said.tokens else said
            for one, said, alignment in zip(asked, decoded, alignments, strict=True)
        ]


def _length(prompt: int, tokens: int) -> int:
    """Returns the ``max_length`` that leaves room for so many tokens behind a prompt.

    CTranslate2 counts the prompt, and makes at most half of ``max_length`` new tokens.
    """
    return max(2 * tokens, prompt + tokens)


def _context(tokenizer: Tokenizer, prompt: str) -> list[int]:
    return tokenizer.encode(" " + prompt.strip())[-PROMPT_TOKENS:] if prompt.strip() else []


def _decoded(tokenizer: Tokenizer, result: Any) -> Decoded:
    tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
    return Decoded(
        text=str(tokenizer.decode(tokens)).strip(),
        tokens=tokens,
        no_speech=float(result.no_speech_prob),
        logprob=float(result.scores[0]) * len(tokens) / (len(tokens) + 1),
    )


def _words(alignment: list[dict[str, Any]]) -> tuple[Word, ...]:
    """Puts a comma to the word before it; the rest is split already as the language asks for."""
    words: list[Word] = []
    for part in alignment:
        text, end = str(part["word"]).strip(), max(0.0, float(part["end"]))
        if words and not any(letter.isalnum() for letter in text):
            words[-1] = replace(words[-1], text=words[-1].text + text, end_s=end)
        elif text:
            start, probability = max(0.0, float(part["start"])), float(part["probability"])
            end = min(end, start + WORD_AT_MOST_S)  # the last one is given all the silence behind it
            words.append(Word(text=text, start_s=start, end_s=end, probability=probability))
    return tuple(words)
