"""The offline recogniser in a process of its own: length-prefixed PCM in, length-prefixed text out.

pocketsphinx holds Python's global lock in its last pass (35 ms for each second of speech), which would
stall every session of the worker. Started by path, so it imports nothing of ours; it ends when its input
does, so it cannot outlive the worker, however that one ends.
"""

from __future__ import annotations

import signal
import sys

from pocketsphinx import Decoder


def main() -> None:
    """Answers until the input ends; an empty answer says that the model is loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which closes the pipe
    decoder = Decoder(samprate=16000, loglevel="FATAL")
    source, target = sys.stdin.buffer, sys.stdout.buffer
    text = ""
    while True:
        reply = text.encode()
        target.write(len(reply).to_bytes(4, "little") + reply)
        target.flush()
        header = source.read(4)
        if len(header) < 4:
            return
        pcm = source.read(int.from_bytes(header, "little"))
        decoder.start_utt()
        # As a whole, so that its spectrum is normalised by its own mean, not by what was heard before:
        # the first utterance of a process was mostly misheard otherwise.
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        text = hypothesis.hypstr if hypothesis is not None else ""


if __name__ == "__main__":
    main()
