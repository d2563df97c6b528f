from eva.strip import describe, served_by, strip
from services.gateway.chat_protocol import EngineReport, Timeline


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
