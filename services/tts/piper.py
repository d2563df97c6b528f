"""Piper voices on ONNX Runtime, heard before their sentence is made; ``device`` opens their sessions.

A voice's graph is cut once (``split_graph``), and its sound comes window by window (``piper_stream``). A
voice that cannot be cut speaks sentence by sentence and says why (``why_whole``). The whole graph stays at
hand as the next link of the chain: it is opened when it is first needed, because it takes its memory a
second time, and who needs it before it is open hears the link behind it.

Loudness is left as the voice makes it: scaling each sentence to its own peak would need the whole sentence
and let the level jump.

What it costs beside piper-tts stands in ``docs/benchmarks.md``. What a line costs more than its whole are the
words around a span, and the margins of windows and tiles.

Text part and decoder run on one thread each, and where a voice has more than one, side by side: a window in
tiles, and behind the first window the next span's text (``piper_model``). So no thread waits for the others
at every node. The flow and the whole graph run on all threads. These do not spin: threads that do cost up to
3.5 times the CPU time and were slower in 14 of 15 comparisons. The parts take 180 MB, the whole graph 105 to
185 MB beside them, and opening it 0.4 s, on a busy machine up to 7 s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from piper import PiperVoice as VitsVoice
from piper.config import PhonemeType, PiperConfig

from services.tts.device import NAME, SESSION_ERRORS, Device, one_line
from services.tts.engine import Line, Prosody, Sound
from services.tts.espeak_lock import ESPEAK_LOCK
from services.tts.piper_model import LazyModel, SplitModel, Voicing
from services.tts.piper_phones import BOS, EOS, ids_of, phones
from services.tts.piper_stream import Sentence
from services.tts.split_graph import NotSplit
from services.tts.split_proof import split_model
from services.tts.voices import SPEAKER, find
from shared.errors import EngineFailed, EngineRefused
from shared.observe import Log

WHOLE_NAME = "piper-whole"
LENGTHS, NOISES = (0.5, 2.0), (0.0, 2.0)
"""Bounds of a prosody's factors: beyond them a voice slurs or breaks."""

log = Log("eva.tts")


@dataclass(frozen=True)
class PiperVoice:
    """One voice, or one speaker of it; speakers share the sessions, several threads may use them at once."""

    vits: VitsVoice = field(repr=False)
    """Piper's own: phonemes and configuration; no session."""
    name: str
    language: str
    rate_hz: int
    device: str
    whole: LazyModel = field(repr=False)
    parts: SplitModel | None = field(default=None, repr=False)
    sha256: str = ""
    why_whole: str = ""
    """Why its sound comes sentence by sentence; empty: it does not."""
    speaker: int = 0

    @property
    def is_streamed(self) -> bool:
        """Whether the first sound comes before the sentence is made."""
        return self.parts is not None

    @property
    def note(self) -> str:
        """What is worth telling of how it was loaded; empty: nothing."""
        return self.parts.note if self.parts else self.why_whole

    @property
    def batch(self) -> int:
        """How many windows of several listeners one call makes at most."""
        return self.parts.batch if self.parts else 1

    def speak(self, line: Line) -> Iterator[Sound]:
        """Yields the sound of a line, window by window, or of each sentence. Raises ``EngineFailed``."""
        try:
            with ESPEAK_LOCK:
                sentences = [list(sentence) for sentence in self.vits.phonemize(line.text) if sentence]
            voicing = self._voicing(line)
            yield from (
                self._streamed(sentences, voicing, is_crowded=line.is_crowded)
                if self.parts
                else self._whole(sentences, voicing)
            )
        except SESSION_ERRORS as error:
            raise EngineFailed(NAME, f"{self.name}: {one_line(error)}") from error
        except (EngineRefused, LookupError) as error:
            raise EngineFailed(NAME, f"{self.name}: {one_line(error)}") from error

    def speakers(self) -> tuple[PiperVoice, ...]:
        """Returns one voice for each speaker that the model names; none where there is but one."""
        found = self.vits.config.speaker_id_map if self.vits.config.num_speakers > 1 else {}
        named = {str(speaker): int(index) for speaker, index in found.items()}
        return tuple(
            replace(self, name=f"{self.name}{SPEAKER}{speaker}", speaker=index)
            for speaker, index in named.items()
        )

    def twin(self) -> PiperVoice:
        """Returns the same voice as a whole graph, which is opened when it first speaks."""
        return replace(self, parts=None, why_whole="the next link of the chain")

    def _voicing(self, line: Line) -> Voicing:
        config, way = self.vits.config, bounded(line.prosody)
        return Voicing(
            noise=config.noise_scale * way.noise,
            length=config.length_scale * way.length / line.speed,
            noise_w=config.noise_w_scale * way.noise_w,
            speaker=self.speaker,
        )

    def _whole(self, sentences: Sequence[Sequence[str]], voicing: Voicing) -> Iterator[Sound]:
        for phonemes in sentences:
            ids, _ = ids_of(phonemes, self.vits.config.phoneme_id_map)
            yield Sound(samples=self.whole.sound(ids, voicing))

    def _streamed(
        self, sentences: Sequence[Sequence[str]], voicing: Voicing, *, is_crowded: bool
    ) -> Iterator[Sound]:
        """The line's phones go with the first piece, and again when more of their times are known."""
        assert self.parts is not None
        id_map = self.vits.config.phoneme_id_map
        spoken = [
            Sentence(self.parts, phonemes, id_map, voicing, is_crowded=is_crowded) for phonemes in sentences
        ]
        symbols = [symbol for phonemes in sentences for symbol in (BOS, *phonemes, EOS)]
        frame_s = self.parts.cut.decoder.hop / self.rate_hz
        told = 0
        for sentence in spoken:
            for samples in sentence.pieces():
                frames = [count for each in spoken for count in each.frames]
                known = sum(count is not None for count in frames)
                news = phones(symbols, frames, frame_s) if known > told else ()
                told = known
                yield Sound(samples=samples, phones=news)


class Piper:
    """The voices that were proven on one device."""

    is_degraded = False

    def __init__(self, device: str, voices: tuple[PiperVoice, ...], name: str = NAME) -> None:
        self.name, self.device = name, device
        self._voices = voices
        self._named = tuple(each for voice in voices for each in (voice, *voice.speakers()))

    def voices(self) -> tuple[PiperVoice, ...]:
        """Returns the voices, the preferred one first; of a model with several speakers its own first one."""
        return self._voices

    def voice(self, language: str, wanted: str) -> PiperVoice | None:
        """Returns the voice called ``wanted``, else one of the language, else None; no language: any."""
        return find(self._named, language, wanted)

    def twin(self) -> Piper | None:
        """Returns the chain's next link, the streamed voices as whole graphs; None: none is streamed."""
        twins = tuple(voice.twin() for voice in self._voices if voice.is_streamed)
        return Piper(self.device, twins, WHOLE_NAME) if twins else None


def bounded(prosody: Prosody) -> Prosody:
    """Returns it with factors that the voices can bear."""
    return replace(
        prosody,
        length=min(max(prosody.length, LENGTHS[0]), LENGTHS[1]),
        noise=min(max(prosody.noise, NOISES[0]), NOISES[1]),
        noise_w=min(max(prosody.noise_w, NOISES[0]), NOISES[1]),
    )


def load_voice(
    model: Path, *, device: str | Device, threads: int = 1, sha256: str = "", cache: Path | None = None
) -> PiperVoice:
    """Loads ``<name>.onnx`` beside its ``<name>.onnx.json`` on a device, or on one of that name; blocks.

    ``cache``: where the voice's parts are kept if its own folder cannot be written.

    Raises:
        EngineRefused: names the file that is broken, or the device that is not there.
    """
    place = Device.of(device, threads=threads) if isinstance(device, str) else device
    settings = _read_config(model.with_name(model.name + ".json"))
    try:
        config = PiperConfig.from_dict(settings)
        language = str(settings.get("language", {}).get("code", "") or config.espeak_voice)
        ids, _ = ids_of(
            [symbol for symbol in config.phoneme_id_map if symbol.isalpha()], config.phoneme_id_map
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EngineRefused(NAME, f"{model}.json is no Piper configuration: {one_line(error)}") from error
    if config.phoneme_type not in {PhonemeType.ESPEAK, PhonemeType.TEXT}:
        raise EngineRefused(NAME, f"{model.name} needs a phonemizer that is not installed")
    name = model.name.removesuffix(".onnx")
    whole, parts, why = LazyModel(model, place), None, ""
    try:
        parts = split_model(model, place, ids=ids, sha256=sha256, cache=cache)
    except NotSplit as reason:
        why = str(reason)
        whole.open()
    except OSError as error:
        raise EngineRefused(NAME, f"{model}: {one_line(error)}", hint="eva models pull") from error
    log.info("tts.piper", name=name, is_streamed=parts is not None, note=parts.note if parts else why)
    return PiperVoice(
        vits=VitsVoice(session=None, config=config),
        name=name, language=language.replace("_", "-").split("-")[0].lower(), rate_hz=config.sample_rate,
        device=place.name, whole=whole, parts=parts, sha256=sha256, why_whole=why,
        speaker=int(config.default_speaker_id) if hasattr(config, "default_speaker_id") else 0,
    )  # fmt: skip


def _read_config(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineRefused(NAME, f"{path}: {one_line(error)}", hint="eva models pull") from error
    if not isinstance(settings, dict):
        raise EngineRefused(NAME, f"{path} is no Piper configuration", hint="eva models pull")
    return settings
