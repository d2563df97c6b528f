from eva.strip import describe, served_by, strip, way
from services.gateway.chat_protocol import EngineReport, Timeline
from shared.messages import RouteReport


def test_the_strip_of_a_spoken_turn_names_every_part_and_their_sum() -> None:
    timeline = Timeline(endpoint_ms=512.2, stt_ms=83.9, llm_ms=3, tts_ms=21, send_ms=1, response_ms=621.1)
    assert strip(timeline) == "endpoint 512 · stt 84 · llm 3 · tts 21 · send 1 → 621 ms"


def test_the_strip_of_a_typed_turn_leaves_the_ears_out() -> None:
    assert (
        strip(Timeline(llm_ms=3, tts_ms=21, send_ms=1, response_ms=25)) == "llm 3 · tts 21 · send 1 → 25 ms"
    )


def test_the_strip_says_when_something_had_to_be_done_again() -> None:
    shown = strip(Timeline(response_ms=25, attempts=2, repeats=1))
    assert shown.endswith("→ 25 ms, 2 attempts, 1 repeated")


def test_the_engines_that_served_are_named_by_what_they_do() -> None:
    engines = {
        "tts": EngineReport(engine="piper", model="amy", device="cuda:0"),
        "stt": EngineReport(engine="sphinx", device="cpu", is_degraded=True),
        "llm": EngineReport(engine="companion"),
    }
    assert served_by(engines) == "ears sphinx (cpu, degraded) · mind companion · voice piper amy (cuda:0)"
    assert served_by({}) == ""
    assert describe(engines["llm"]) == "companion"


def test_the_strip_says_from_when_on_a_silence_was_bridged() -> None:
    shown = strip(Timeline(response_ms=900, first_sound_ms=452.4, fillers=1))
    assert shown.endswith("→ 900 ms, bridged as of 452 ms")


def test_the_way_to_the_mind_names_its_route_and_its_times() -> None:
    report = RouteReport(route="groq:big", queue_ms=1.2, first_token_ms=98, first_segment_ms=117)
    assert way(report) == "way groq:big: queue 1 · first token 98 · first segment 117 ms"
    cold = RouteReport(route="groq:big", connect_ms=60, first_token_ms=158, first_segment_ms=177)
    assert way(cold) == "way groq:big: queue 0 · connect 60 · first token 158 · first segment 177 ms"


def test_the_way_to_the_mind_says_what_else_was_tried() -> None:
    assert way(RouteReport(route="a", is_hedged=True, has_hedge_won=True)).endswith(
        "ms, hedged, and the hedge won"
    )
    assert way(RouteReport(route="a", is_hedged=True, retries=1)).endswith("ms, hedged in vain, 1 retry")
    assert way(RouteReport(route="a", retries=2, switches=1)).endswith("ms, 2 retries, 1 switch")
    assert way(RouteReport(route="a", switches=2)).endswith("ms, 2 switches")
    assert way(RouteReport(route="a", is_cut_short=True)).endswith("ms, cut short")


def test_an_answer_without_a_route_shows_no_way() -> None:
    assert way(None) == way(RouteReport()) == ""
