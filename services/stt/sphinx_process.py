"""The offline recogniser outside of the worker: a mother process with the model, a fork for each utterance.

pocketsphinx holds Python's global lock while it works, which would stall every session of the worker. A
fork takes a few milliseconds, shares the model's 80 MB, and begins each time from the same state, so that
no session colours how the next one is heard.

An utterance that is decoded while it is spoken has to know the mean of its own spectrum before it has been
heard (cepstral mean normalisation): with the mean that pocketsphinx begins with, two words in three were
wrong. So the first second is held back, and decoding begins with its mean; from then on the mean is that of
all that was heard, looked at each second (pocketsphinx's own adapting gives the first guess the weight of
five). What is said next in the same session is decoded at once, with that mean, which weighs three seconds
then. A draft is made by a fork of the fork, which ends the utterance, an eighth of the work: the second
pass and the best path. The utterance itself goes on undisturbed.

Started by path, so it imports nothing of ours. Messages come over a socket each: a letter, four bytes of
length, 16-bit PCM. Every process ends when its socket does, so none can outlive the worker, however that
one ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from typing import Any

from pocketsphinx import Decoder

RATE_HZ = 16000
HELD_BYTES = RATE_HZ * 2
SECOND_BYTES = RATE_HZ * 2
FRAME_BYTES = RATE_HZ // 100 * 2
WEIGHT = 500
"""Frames that pocketsphinx counts a mean for that it was given (CMN_WIN)."""
TYPICAL_FRAMES = 30
"""What the typical mean weighs."""
KNOWN_FRAMES, ENOUGH_FRAMES = 300, 100
"""What is known from before weighs at most so much; with less it is but a part of the first guess."""
TYPICAL = (63.3, 0, -2.5, 20, -5, 0, -12, -15, -3, -4, 1.5, -1, -4)
"""The mean of clear speech (cepstral units), rounded, from four voices."""
MOST_STATES = 3000
"""Hidden states that are followed in each frame. With pocketsphinx's 30000 and its second pass, hearing costs
twice as much and a draft 70 ms for each second of speech instead of 2, for no fewer wrong words: 28 % against
29 % of 97 (espeak-ng, two voices), 65 % against 47 % of 60 (22 s of LibriVox)."""
VARIANT = re.compile(r"\(\d+\)$")
"""The mark of a word's second pronunciation."""


class Mean:
    """The mean of an utterance's spectrum, as far as it has been heard (cepstral units)."""

    def __init__(self) -> None:
        self._given = list(TYPICAL)
        """What pocketsphinx was told last."""
        self._sum = [TYPICAL_FRAMES * part for part in TYPICAL]
        self._frames = TYPICAL_FRAMES

    def guess(self, text: str, frames: int) -> str:
        """Returns the mean to begin with, from that of the first frames, which will be learnt from again."""
        own = [frames * float(part) for part in text.split(",")]
        return self._give([(a + b) / (self._frames + frames) for a, b in zip(self._sum, own, strict=True)])

    def know(self, learnt: str) -> str | None:
        """Begins with what was ``told`` before; returns the mean to go on with, None: it is of too little."""
        heard, _, mean = learnt.partition(":")
        self._frames = min(int(heard), KNOWN_FRAMES)
        self._sum = [self._frames * float(part) for part in mean.split(",")]
        return self.now if self._frames >= ENOUGH_FRAMES else None

    @property
    def told(self) -> str:
        """What was learnt of the person: of how many frames, and their mean."""
        return f"{self._frames}:{self.now}"

    @property
    def now(self) -> str:
        """The mean to go on with."""
        return self._give([part / self._frames for part in self._sum])

    def learn(self, text: str, frames: int) -> str:
        """Returns the mean to go on with, from what pocketsphinx made of the last one and of more frames."""
        parts = zip(self._sum, text.split(","), self._given, strict=True)
        self._sum = [total + float(now) * (WEIGHT + frames) - given * WEIGHT for total, now, given in parts]
        self._frames += frames
        return self.now

    def _give(self, mean: list[float]) -> str:
        self._given = mean
        return ",".join(f"{part:.4f}" for part in mean)


class Utterance:
    """What one fork hears."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._held: bytes | None = b""
        self._bytes = 0
        """Of the part that is being decoded."""
        self._words: list[tuple[str, float, float]] = []
        """Of the parts that are done; times in seconds."""
        self._began_s = 0.0
        self._mean = Mean()
        self._unseen = 0
        """Bytes behind the last look at the mean."""

    def know(self, learnt: str) -> None:
        """Nothing need be held back where how the person sounds is known from before."""
        mean = self._mean.know(learnt)
        if mean is not None:
            self._held = None
            self._decoder.set_cmn(mean)
            self._decoder.start_utt()

    @property
    def learnt(self) -> str:
        """What has been learnt of how the person sounds."""
        return self._mean.told

    def feed(self, pcm: bytes) -> None:
        """Decodes more audio, once there is enough to begin with."""
        if self._held is None:
            self._decode(pcm)
            return
        missing = HELD_BYTES - len(self._held)
        self._held += pcm[:missing]
        if len(self._held) == HELD_BYTES:
            self._begin()
            self._decode(pcm[missing:])

    def cut(self) -> None:
        """Ends a part here; what follows is decoded by itself."""
        self._end_part()
        self._began_s += self._bytes / (2 * RATE_HZ)
        self._bytes = 0
        self._decoder.start_utt()

    def whole(self, pcm: bytes) -> list[tuple[str, float, float]]:
        """Returns the words of audio that is all there, normalised by its own mean."""
        self._held = None
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._finish()
        return self._words

    def words(self) -> list[tuple[str, float, float]]:
        """Ends the utterance and returns its words."""
        self._end_part()
        return self._words

    def _end_part(self) -> None:
        if self._held is not None:
            self._begin()
        self._learn()
        self._finish()

    def _begin(self) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        self._decoder.start_utt()
        self._decoder.process_raw(held, no_search=True, full_utt=True)
        mean = self._mean.guess(self._decoder.get_cmn(), len(held) // FRAME_BYTES)
        self._decoder.end_utt()
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._decode(held)

    def _decode(self, pcm: bytes) -> None:
        while pcm:
            part, pcm = pcm[: SECOND_BYTES - self._unseen], pcm[SECOND_BYTES - self._unseen :]
            self._decoder.process_raw(part)
            self._bytes += len(part)
            self._unseen += len(part)
            if self._unseen == SECOND_BYTES:
                self._learn()

    def _learn(self) -> None:
        frames, self._unseen = self._unseen // FRAME_BYTES, 0
        self._decoder.set_cmn(self._mean.learn(self._decoder.get_cmn(update=True), frames))

    def _finish(self) -> None:
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return
        self._words += [
            (
                VARIANT.sub("", part.word),
                self._began_s + part.start_frame / 100,
                self._began_s + part.end_frame / 100,
            )
            for part in self._decoder.seg()
            if part.word[0] not in "<["
        ]


def serve(line: socket.socket, decoder: Decoder) -> None:
    """Hears one utterance, until the other side hangs up."""
    utterance = Utterance(decoder)
    stream = line.makefile("rb")
    while len(header := stream.read(5)) == 5:
        pcm = stream.read(int.from_bytes(header[1:], "little"))
        match header[:1]:
            case b"F":
                utterance.feed(pcm)
            case b"M":
                utterance.know(pcm.decode())
            case b"C":
                utterance.cut()
            case b"W":
                answer(line, utterance.whole(pcm), utterance.learnt)
            case _:
                heard_s = time.process_time()
                if os.fork() == 0:  # a draft; `pcm` is the margin behind it
                    utterance.feed(pcm)
                    answer(line, utterance.words(), utterance.learnt, heard_s)
                    os._exit(0)


def answer(
    line: socket.socket, words: list[tuple[str, float, float]], learnt: str, heard_s: float = 0.0
) -> None:
    """Sends the words, their cost (seconds of a core until the draft, and for it), and what was learnt."""
    reply = json.dumps([words, heard_s, time.process_time(), learnt]).encode()
    line.sendall(len(reply).to_bytes(4, "little") + reply)


def bury(*_signal: object) -> None:
    """Takes note of the forks that have ended: the kernel counts their time as ours only then."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Forks for each utterance until the worker is gone; a byte says that the model is loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which closes the socket
    signal.signal(signal.SIGCHLD, bury)
    control = socket.socket(fileno=int(sys.argv[1]))
    decoder: Any = Decoder(samprate=RATE_HZ, loglevel="FATAL", maxhmmpf=MOST_STATES, fwdflat=False)
    control.sendall(b"!")
    while True:
        message, lines, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            try:
                serve(socket.socket(fileno=lines[0]), decoder)
            except OSError:
                os._exit(1)  # the other side has hung up in the middle
            os._exit(0)
        os.close(lines[0])


if __name__ == "__main__":
    main()
