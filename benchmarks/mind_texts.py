"""What the mind's report says beside its figures: what was measured, how, and what it does not show."""

from __future__ import annotations

INTRODUCTION = """
Two providers that know nothing of each other, whose first tokens swing from 190 to 2100 ms in sick spells
(`tests/fakes/provider_latency.py`: a model of the published tail, no recording; 15 % of its turns above
500 ms, 12 % above 800 ms). A turn begins with the person's words at the gateway. Percentiles are nearest
ranks; p99 only where N is at least 100.
"""

TRACE = """
Virtual time: the loop's clock jumps and the network is in memory, so the figures do not depend on the
machine, and contain no computing. Real are both SDKs with their HTTP library, EVA's adapters, chain, worker,
gateway with turn machine and fillers, and the bus's behaviour; the provider is the tests' own HTTP server. A
new connection takes 30 ms, a token each 10 ms, and the voice, which is a stand-in, 60 ms from a segment to
its first sound. Four people at a time each ask 3 to 9 s behind the end of the last answer, ten turns a
conversation. The plain way is the `groq` SDK with its default retries and timeouts on the first provider
alone, behind the same gateway without fillers. Over 500, over 800: share of turns whose first token came
later. Extra: requests beyond one a turn; probes, which are no turns, are beside it. A turn that the scripted
companion answered is no model's answer and is counted so, its time as it is.
"""

LIVE = """
The same in real time: real processes of gateway and mind, broker, sockets and SDKs; a voice that costs
nothing. Three people type at once, with 0.3 to 1.2 s between turns. Alone: what the first provider would
have taken in the same turns.
"""

COST = """
Chain and adapter of EVA beside the bare SDK call in one process, turn about, against the same loopback
provider that has its answer of 13 tokens ready; processor time is that of the whole answer, the provider's
part is in both. Cut: from the provider's handing out of the token that completes the first segment to the
segment's arrival at a subscriber of the broker, with the real worker process; two sockets, SDK, worker and
broker are in it.
"""

FAULTS = """
Real processes of gateway, mind and voice, two providers, then the companion; for each fault a fresh worker,
warm by one good turn, then one turn that meets it: at the first provider, or at both. First sound: of any
kind. Left: connections at the providers and turns at the worker that were still there 10 s after the end.
"""
