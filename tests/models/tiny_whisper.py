"""A tiny Whisper model, built on the spot: real CTranslate2 weights that are constructed, not trained.

Every path of the runtime runs for real (mel features, encoder, language detection, greedy decoding), and
what it says is known: ``PHRASES[0]`` for any audio without a steady tone, ``PHRASES[k]`` for a tone of
``tone_hz(k)``. How it works: the first convolution measures the energy of four bands of mel bins above the
mean; one attention head of the decoder looks at the frames where a band is loud and brings its direction
into the residual stream; token embeddings are orthonormal directions, and the output projection maps
(word, band) to the phrase's next word. All other weights are zero, so log-probabilities are near 0. A second
head matches the angle of a token's position with that of a frame, which gives each word ``WORD_S`` seconds.
5 MB, 0.4 s, the same bytes each time.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import whisper_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

Array = npt.NDArray[np.float64]

PHRASES = (
    "hello this is a test",
    "what time is it in paris",
    "tell me a short story",
    "stop talking please",
    "bonjour tout le monde",
)
_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg "
    "lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so "
    "af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
)
LANGUAGES = tuple(_LANGUAGES.split())
BANDS = ((36, 39), (46, 49), (56, 59), (66, 69))
"""Mel bins of the tones; no frame of speech is steady enough there."""
MELS, FRAMES, TOKENS = 80, 3000, 448
WIDTH, HEADS = 128, 2
WORD_S = 0.25
GAIN = 24.0
START, END = "<|0.00|>", "<|1.00|>"
SOT, TRANSCRIBE, TRANSLATE, PLAIN = (
    "<|startoftranscript|>",
    "<|transcribe|>",
    "<|translate|>",
    "<|notimestamps|>",
)
EOT = "<|endoftext|>"


def tone_hz(phrase: int) -> float:
    """Returns a frequency in the middle of the band of ``PHRASES[phrase]``, 1..4 (Slaney's mel scale)."""
    low, high = BANDS[phrase - 1]
    step = np.log(6.4) / 27
    top = 15 + np.log(8) / step
    mel = ((low + high) / 2 + 1) * top / (MELS + 1)
    return float(mel * 200 / 3 if mel < 15 else 1000 * np.exp((mel - 15) * step))


def build_tiny_whisper(folder: Path, *, is_multilingual: bool = True) -> Path:
    """Writes the model into ``folder`` as faster-whisper expects it; returns the folder."""
    tokens, merges = _vocabulary(is_multilingual)
    ids = {token: number for number, token in enumerate(tokens)}
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0]
    spec = whisper_spec.WhisperSpec(1, HEADS, 1, HEADS)
    _encoder(spec.encoder)
    _decoder(spec.decoder, ids, directions, is_multilingual=is_multilingual)
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [ids[EOT]]
    spec.config.lang_ids = [ids[f"<|{language}|>"] for language in LANGUAGES]
    spec.config.alignment_heads = [(0, HEADS - 1)]
    spec.validate()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    _tokenizer(tokens, merges, ids).save(str(folder / "tokenizer.json"))
    preprocessor = {
        "chunk_length": 30,
        "feature_size": MELS,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480000,
        "nb_max_frames": FRAMES,
        "padding_value": 0.0,
        "sampling_rate": 16000,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1))
    return folder


def _vocabulary(is_multilingual: bool) -> tuple[list[str], list[tuple[str, str]]]:
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    for word in _words():
        left = "Ġ"
        for letter in word:
            if (left, letter) not in merges:
                merges.append((left, letter))
            left += letter
            if left not in tokens:
                tokens.append(left)
    if is_multilingual:
        tokens.append("")  # by which CTranslate2 4.7 tells such models
    tokens += [EOT, SOT, *(f"<|{language}|>" for language in LANGUAGES), TRANSLATE, TRANSCRIBE]
    tokens += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", PLAIN]
    return tokens + [f"<|{index * 0.02:.2f}|>" for index in range(1501)], merges


def _words() -> list[str]:
    return list(dict.fromkeys(" ".join(PHRASES).split()))


def _tokenizer(tokens: list[str], merges: list[tuple[str, str]], ids: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token in tokens if token.startswith("<|")])
    return tokenizer


def _linear(
    layer: Any, rows: int, columns: int, weight: Array | None = None, bias: Array | None = None
) -> None:
    layer.weight = (np.zeros((rows, columns)) if weight is None else weight).astype(np.float32)
    layer.bias = (np.zeros(rows) if bias is None else bias).astype(np.float32)


def _norm(layer: Any) -> None:
    layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def _self_attention_and_ffn(layer: Any) -> None:
    _norm(layer.self_attention.layer_norm)
    _linear(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
    _linear(layer.self_attention.linear[1], WIDTH, WIDTH)
    _norm(layer.ffn.layer_norm)
    _linear(layer.ffn.linear_0, WIDTH, WIDTH)
    _linear(layer.ffn.linear_1, WIDTH, WIDTH)


def _encoder(encoder: Any) -> None:
    """Channel k of the first convolution: the energy of band k above the mean of all."""
    first, second = np.zeros((WIDTH, MELS, 3)), np.zeros((WIDTH, WIDTH, 3))
    bias = np.zeros(WIDTH)
    for channel, (low, high) in enumerate(BANDS):
        first[channel, :, 1] = -GAIN / MELS
        first[channel, low:high, 1] += GAIN / (high - low)
        bias[channel] = -GAIN * 0.7  # broadband sounds stay below it
    second[:, :, 1] = np.eye(WIDTH) * 4
    encoder.conv1.weight, encoder.conv1.bias = first.astype(np.float32), bias.astype(np.float32)
    encoder.conv2.weight, encoder.conv2.bias = second.astype(np.float32), np.zeros(WIDTH, np.float32)
    angles = np.pi * np.arange(FRAMES // 2) / (FRAMES // 2)
    positions = np.zeros((FRAMES // 2, WIDTH))
    positions[:, -2], positions[:, -1] = 0.1 * np.cos(angles), 0.1 * np.sin(angles)
    encoder.position_encodings.encodings = positions.astype(np.float32)
    _norm(encoder.layer_norm)
    for layer in encoder.layer:
        _self_attention_and_ffn(layer)


def _decoder(decoder: Any, ids: dict[str, int], directions: Array, *, is_multilingual: bool) -> None:
    bands = directions[: len(BANDS) + 1]  # one a band, the last is the query's
    embedding, projection = np.zeros((len(ids), WIDTH)), np.zeros((len(ids), WIDTH))
    chain = [START, PLAIN, TRANSCRIBE, TRANSLATE, SOT, END, *("Ġ" + word for word in _words())]
    for row, token in enumerate(chain, start=len(bands)):
        embedding[ids[token]] = directions[row]
    for language in LANGUAGES:  # any of them is accepted
        embedding[ids[f"<|{language}|>"]] = embedding[ids[SOT]] * 0.1
    projection[ids["<|en|>"]] += embedding[ids[SOT]] * 2
    projection[ids[START]] += 8 * (embedding[ids[TRANSCRIBE]] + embedding[ids[TRANSLATE]])
    if not is_multilingual:
        projection[ids[START]] += 8 * embedding[ids[SOT]]
    for number, phrase in enumerate(PHRASES):
        _teach(phrase, embedding, projection, ids, gate=bands[number] if number else np.zeros(WIDTH))
    projection[ids[EOT]] += 8 * embedding[ids[END]]
    decoder.embeddings.weight = embedding.astype(np.float32)
    prompt = 3 if is_multilingual else 1
    angles = np.pi * WORD_S / 30 * np.maximum(np.arange(TOKENS) - prompt - 0.5, 0)[:, None]
    positions = 0.3 * (np.cos(angles) * directions[-2] + np.sin(angles) * directions[-1])
    decoder.position_encodings.encodings = positions.astype(np.float32)
    decoder.projection.weight = (projection * 1.5).astype(np.float32)
    decoder.projection.bias = np.zeros(len(ids), np.float32)
    _norm(decoder.layer_norm)
    for layer in decoder.layer:
        _self_attention_and_ffn(layer)
        _norm(layer.attention.layer_norm)
        _attend_to_tones(layer.attention, directions)


def _teach(phrase: str, embedding: Array, projection: Array, ids: dict[str, int], *, gate: Array) -> None:
    """Chains the words of a phrase; ``gate`` is the band that must be loud, zeros for none."""
    weight = 1.5 if gate.any() else 2.2  # without a tone the first phrase wins, with one its own does
    sequence = [ids[START], *(ids["Ġ" + word] for word in phrase.split()), ids[END]]
    for here, after in itertools.pairwise(sequence):
        projection[after] += weight * embedding[here] + 1.5 * gate
    projection[sequence[1]] += weight * embedding[ids[PLAIN]]
    projection[ids[EOT]] += embedding[sequence[-2]] + gate


def _attend_to_tones(attention: Any, directions: Array) -> None:
    """Head 0 looks at the frames that hold a tone (score 5, else 0) and returns which band it is in.

    The last head looks at the frames of the word's place in the sentence, for the times of words alone.
    """
    query, keys_values, out = np.zeros(WIDTH), np.zeros((2 * WIDTH, WIDTH)), np.zeros((WIDTH, WIDTH))
    bands, unit = len(BANDS), np.sqrt(WIDTH)  # a one-hot vector leaves the layer norm near sqrt(WIDTH)
    query[bands] = 5.0 * np.sqrt(WIDTH // HEADS)
    for band in range(bands):
        keys_values[bands, band] = 1 / unit
        keys_values[WIDTH + band, band] = 2 / unit
        out[:, band] = directions[band + 1]
    queries, last = np.zeros((WIDTH, WIDTH)), WIDTH // HEADS * (HEADS - 1)
    for axis in (0, 1):
        queries[last + axis] = 60 * directions[axis - 2]
        keys_values[last + axis, axis - 2] = 1.0
    _linear(attention.linear[0], WIDTH, WIDTH, queries, query)
    _linear(attention.linear[1], 2 * WIDTH, WIDTH, keys_values)
    _linear(attention.linear[2], WIDTH, WIDTH, out)


def install(models_dir: Path, name: str = "tiny-whisper", **options: Any) -> Path:
    """Builds the model where the speech recognition service looks for it; returns its folder."""
    return build_tiny_whisper(models_dir / "stt" / name, **options)
