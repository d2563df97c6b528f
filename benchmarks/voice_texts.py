"""What the voice's report says of how its figures were taken."""

INTRODUCTION = """ The same voice file, as many threads, one machine: EVA, piper-tts 1.8.0 called in the
same process, and wyoming-piper's server as a process of its own where it is at hand. They take turns
sentence by sentence, so that noise meets all alike. Where only voices with random weights are at hand,
times are those of real voices (cost does not depend on the values of weights) and nothing is said about
sound.
"""

FIRST = """
From the written text to the first audio that can be played, for a sentence of 3, 12 and 40 words. EVA: from
the segment's text to its first encoded chunk of 60 ms, through spoken text, phonemes, the chain, its judge,
edges and loudness. piper-tts: to the first chunk that `synthesize` yields, which is the whole sentence.
wyoming-piper: to its first `audio-chunk`, by a socket on this machine. They speak in turn, 150 ms apart:
ONNX Runtime's threads, as the other two use them, spin on for a while, and hold the cores.
"""

WHOLE = """
The same sentences to their last sample. The real-time factor is computing for a second of sound; processor
time counts all threads. EVA cuts silence off a line's edges, which makes its sound shorter and its factor
no smaller.
"""

LOAD = """
One worker with its chain, lanes and threads, and people who each hear three sentences of 12 words in a
turn, pause for 0.2 to 1.2 s, and begin again; the next sentence is asked for when no more than 2 s are left
to play. A turn is broken when a chunk comes more than 5 ms after the sound before it has been played. The
limit is the most streams of which at most 1 % of the turns were broken. First audio: from the order to the
first chunk.
"""

FAULTS = """
Whole houses as processes, two workers of the voice, `POST /tts` with raw samples. The broken voices are
whole until faster speech is asked for, so no check at the start finds them; then ONNX Runtime itself makes
the fault. Silence: the longest time in which a listener who plays what has come hears nothing in mid-sound.
"""

LAST_STEPS = """
Each format fed with the pieces of a streamed voice (2048 samples at 22.05 kHz): computing until its first
chunk of 60 ms, the sound that must have been made by then, and the format's own delay. A phrase that was
said before comes from the worker's cache; judging is the price of never sending a broken sound.
"""
