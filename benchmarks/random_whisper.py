"""A Whisper model of real size that nobody has trained: what it costs is true, what it says is not.

Encoder, decoder, vocabulary and heads have the sizes of the published models (Radford et al. 2022, table 1),
so every matrix product is as large as theirs. The weights of all layers are small random numbers; through the
residual path a chain of invented words is said, one token a word, with probabilities near 1, so that no gate
against invented text and no fallback trips. The chain is longer than any turn: ``bound`` cuts it to
as many tokens as the true words would have had, for what a decoder costs is its tokens.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import whisper_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

Array = npt.NDArray[np.float32]

MELS, FRAMES, TOKENS, VOCABULARY = 80, 3000, 448, 51865
_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg "
    "lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so "
    "af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
)
LANGUAGES = tuple(_LANGUAGES.split())
SCALE = 1e-3
"""Of the random weights: nothing beside the residual path."""
LONGEST = 240
"""Words of the chain."""
TOKENS_A_WORD = 1.3
"""Of Whisper's vocabulary in plain English."""


@dataclass(frozen=True, slots=True)
class Size:
    """The architecture of a published model."""

    name: str
    width: int
    heads: int
    layers: int


TINY = Size("tiny", 384, 6, 4)
BASE = Size("base", 512, 8, 6)
SMALL = Size("small", 768, 12, 12)


def build(folder: Path, size: Size) -> Path:
    """Writes the model as int8 into ``folder`` as faster-whisper expects it; returns the folder."""
    tokens, merges = _vocabulary()
    ids = {token: number for number, token in enumerate(tokens)}
    spec = whisper_spec.WhisperSpec(size.layers, size.heads, size.layers, size.heads)
    weights = _Weights(size.width)
    weights.encoder(spec.encoder)
    weights.decoder(spec.decoder, ids)
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [ids["<|endoftext|>"]]
    spec.config.lang_ids = [ids[f"<|{language}|>"] for language in LANGUAGES]
    spec.config.alignment_heads = [(size.layers // 2, head) for head in range(size.heads)]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token in tokens if token.startswith("<|")])
    tokenizer.save(str(folder / "tokenizer.json"))
    preprocessor = {
        "chunk_length": 30,
        "feature_size": MELS,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480000,
        "nb_max_frames": FRAMES,
        "sampling_rate": 16000,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def chain_words() -> list[str]:
    """Returns different words of two syllables, in the order in which they are said."""
    syllables = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
    pairs = [first + second for first, second in itertools.product(syllables, syllables) if first != second]
    return [pairs[index] for index in np.random.default_rng(0).permutation(len(pairs))[:LONGEST]]


def _vocabulary() -> tuple[list[str], list[tuple[str, str]]]:
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = set(tokens)
    merges: list[tuple[str, str]] = []
    for word in chain_words():
        left = "Ġ"
        for letter in word:
            if left + letter not in known:
                merges.append((left, letter))
                tokens.append(left + letter)
                known.add(left + letter)
            left += letter
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{language}|>" for language in LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{index * 0.02:.2f}|>" for index in range(1501))]
    tokens.append("")  # by which CTranslate2 4.7 tells multilingual models
    fill = [f"<|unused{index}|>" for index in range(VOCABULARY - len(tokens) - len(special))]
    return tokens + fill + special, merges


class _Weights:
    """Fills a specification: random in the layers, constructed where the words come from."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._random = np.random.default_rng(0)

    def encoder(self, encoder: Any) -> None:
        """Random throughout."""
        width = self._width
        encoder.conv1.weight, encoder.conv1.bias = self._matrix(width, MELS, 3), self._zeros(width)
        encoder.conv2.weight, encoder.conv2.bias = self._matrix(width, width, 3), self._zeros(width)
        encoder.position_encodings.encodings = self._matrix(FRAMES // 2, width)
        self._norm(encoder.layer_norm)
        for layer in encoder.layer:
            self._layer(layer)

    def decoder(self, decoder: Any, ids: dict[str, int]) -> None:
        """Each token of the chain is a direction, and its projection answers to the one before it."""
        width = self._width
        directions = np.linalg.qr(self._random.normal(size=(width, width)))[0].astype(np.float32)
        embedding = np.zeros((len(ids), width), np.float32)
        projection = np.zeros((len(ids), width), np.float32)
        words = [ids["Ġ" + word] for word in chain_words()]
        heads = [
            ids[name] for name in ("<|notimestamps|>", "<|0.00|>", "<|transcribe|>", "<|startoftranscript|>")
        ]
        for row, token in enumerate([*heads, *words]):
            embedding[token] = directions[row]
        for language in LANGUAGES:
            embedding[ids[f"<|{language}|>"]] = 0.1 * embedding[heads[3]]
        projection[ids["<|en|>"]] = 2 * embedding[heads[3]]
        projection[heads[1]] = 3 * embedding[heads[2]]
        projection[words[0]] = 3 * (embedding[heads[0]] + embedding[heads[1]])
        for here, after in itertools.pairwise([*words, ids["<|endoftext|>"]]):
            projection[after] += 3 * embedding[here]
        decoder.embeddings.weight = embedding
        decoder.position_encodings.encodings = self._zeros(TOKENS, width)
        decoder.projection.weight, decoder.projection.bias = projection, self._zeros(len(ids))
        self._norm(decoder.layer_norm)
        for layer in decoder.layer:
            self._layer(layer)
            self._norm(layer.attention.layer_norm)
            self._linear(layer.attention.linear[0], width, width)
            self._linear(layer.attention.linear[1], 2 * width, width)
            self._linear(layer.attention.linear[2], width, width)

    def _layer(self, layer: Any) -> None:
        width = self._width
        self._norm(layer.self_attention.layer_norm)
        self._linear(layer.self_attention.linear[0], 3 * width, width)
        self._linear(layer.self_attention.linear[1], width, width)
        self._norm(layer.ffn.layer_norm)
        self._linear(layer.ffn.linear_0, 4 * width, width)
        self._linear(layer.ffn.linear_1, width, 4 * width)

    def _linear(self, layer: Any, rows: int, columns: int) -> None:
        layer.weight, layer.bias = self._matrix(rows, columns), self._zeros(rows)

    def _norm(self, layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(self._width, np.float32), self._zeros(self._width)

    def _matrix(self, *shape: int) -> Array:
        return (SCALE * self._random.standard_normal(shape, dtype=np.float32)).astype(np.float32)

    def _zeros(self, *shape: int) -> Array:
        return np.zeros(shape, np.float32)


class Bounded:
    """A loaded CTranslate2 model that makes no more tokens than ``allow`` said in the same thread."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._allowed = threading.local()

    def allow(self, words: int) -> None:
        """Bounds the calls of this thread from now on."""
        self._allowed.tokens = max(1, round(TOKENS_A_WORD * words))

    def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> Any:
        """As the model's own, with its ``max_length`` lowered."""
        tokens = getattr(self._allowed, "tokens", TOKENS)
        # CTranslate2 makes at most half of ``max_length`` new tokens.
        longest = max(2 * tokens, max(len(prompt) for prompt in prompts) + tokens)
        options["max_length"] = min(options.get("max_length", TOKENS), longest)
        return self._model.generate(features, prompts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def bound(model: Any) -> Bounded:
    """Puts the bound into a ``faster_whisper.WhisperModel``; returns it."""
    bounded = Bounded(model.model)
    model.model = bounded
    return bounded
