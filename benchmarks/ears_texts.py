"""What the ears' report says beside its figures: what was measured, how, and what it does not show."""

from __future__ import annotations

import textwrap

WIDTH = 110

INTRODUCTION = """
Milliseconds; p99 only where N is at least 100. People speak with the offline voice, five voices at three
speeds, in real time, several at once; clients, broker and ears share these cores. EVA's ears are the real
worker process behind a real broker. The peer is plain faster-whisper behind Silero with a fixed silence of
550 ms (`benchmarks/peer.py`); it gets the same frames from the same client over the same broker, and the
same models. pocketsphinx is real, and so are its words and its mistakes. The Whisper models have the sizes of
the published ones and random weights: what they cost is true, what they say is not. So their text is
replaced, for EVA and for the peer, by the words that are really in the clip, and their decoder makes as many
tokens as those words have: they stand for a recogniser that understands everything.
"""

LATENCY = """
Waiting: from the last voiced frame to the decision that the turn is over, audio time. Computing: from that
decision to the final, wall time. The whole is measured by the client, from the frame with the last sound to
the final's arrival; what it has beyond its parts is the detector's frame, the network and the client. Five
people at once with the tiny model, two with the base model, one with pocketsphinx: as many as these cores
carry.
"""

COST = """
Push to talk: the button is let go at the last sound, and all that is then between the person and the final
is work. As many people at once as in (a); whole audio: the peer's one call for the whole utterance, with
nothing beside it. faster-whisper pads whatever it hears to 30 s, so its cost hardly grows up to there;
pocketsphinx pays for each second.
"""

POLITENESS = """
Speech of the offline voice with pauses of 0.2 to 1.5 s inside unfinished sentences, in quiet, white noise
and babble; audio through the real detector and the real endpoint module, in audio time. A cut-in is an end
decided within such a pause; the delay is from the last sound of the whole sentence to the decision. The
words come from an oracle that knows what was said so far, without case or punctuation, 150 ms behind the
pause: it stands for a good recogniser; once from pocketsphinx, which is none, on a part of the clips.
Values were chosen on another set, of other sentences and voices; but this set was measured four times, a
rule against voices in a pause came after its first run, and that the melody was to be heard in noise was seen
in its third, so it is no clean hold-out. Fast ends rest on the melody, which falls very regularly in a
machine's voice: real speakers may be easier or harder to wait for.
"""

ERRORS = """
What the worker understood, heard in real time and while it was spoken, two sessions at once; against one call
of the same engine for the whole audio of each turn. Only pocketsphinx is real here; it is wrong in two words
of five in these voices, most of which are no American man's. The reading is heard behind a little more noise
each time, so that its cuts and blocks lie elsewhere. By how much the streamed text is worse: percentage
points, with the 95 % interval of a bootstrap over the turns. Aim: not worse, as far as so many words can
tell: the interval does not lie above zero. Four hearings of one text are few, and theirs says little. Lost:
turns without an answer, counted nowhere else.
"""

CAPACITY = """
Everybody speaks for about 2 s, waits for the final and 1.5 s more, and speaks again: more than people do in a
conversation. Carried: no turn lost, text ready for ≥ 90 %, computing p95 ≤ 300 ms; the first step that is not
carried is the last one tried. Slots: what the worker gives itself by what it measures at its start. Clients
and broker run on the same cores.
"""

DETECTOR = """
Voice activity in real time, each session in a phase of its own; waiting: from a frame to its answer.
"""

INTERRUPTIONS = """
The whole house as processes, an open microphone at its socket, and a voice that speaks without an end. Half
of what people do is a backchannel, a third an interruption, a sixth a cough (a burst of noise, 0.12 to
0.4 s). Wrong: an answer that was stopped by what is no interruption, or an interruption that did not stop it.
Echo of EVA's own voice is not in this set. Aims: pause ≤ 150 ms after the first sound, decision ≤ 600 ms,
fewer than 5 % of backchannels taken for interruptions. A partial that comes too late is no evidence, so the
figures hang on how fast the machine is at the moment.
"""


DEATHS = """
The whole house as processes with two workers that listen (Whisper tiny int8, words known). Every other time
the one that listens is killed, between 2 s before the last sound and 0.15 s behind it; the other claims the
session and hears what the gateway has kept. The killed one starts anew beside it, on the same two cores.
"""


def paragraphs(*texts: str) -> str:
    """Returns the texts one below the other, prose in lines of ``WIDTH``."""
    return "\n\n".join(_filled(text.strip()) for text in texts if text.strip())


def _filled(text: str) -> str:
    return text if text.startswith(("|", "#", "!")) else textwrap.fill(" ".join(text.split()), WIDTH)
