"""What the mind sends of an answer, on the turn machine: what it takes back, and how segments are said."""

from __future__ import annotations

import msgspec

from services.gateway.chat_protocol import SegmentEvent, Token
from services.gateway.turn_io import Emit
from shared.messages import TextDelta
from tests.gateway.dialogue import Dialogue


def test_text_that_the_mind_takes_back_is_replaced_where_it_stood() -> None:
    talk = Dialogue()
    talk.ask(wants_audio=False)
    happened = talk.put(TextDelta(turn=1, attempt=1, seq=0, text="I think so. And then we"))
    happened += talk.put(TextDelta(turn=1, attempt=1, seq=1, text=" Then we left.", takes_back=12))
    happened += talk.put(TextDelta(turn=1, attempt=1, seq=2, text="No.", takes_back=500))
    tokens = [action.event for action in happened if isinstance(action, Emit)]
    shown = ""
    texts = []
    for token in tokens:
        assert isinstance(token, Token)
        shown = shown[: token.at] + token.text
        texts.append(shown)
    assert texts == ["I think so. And then we", "I think so. Then we left.", "No."]


def test_a_segment_tells_the_client_its_mood() -> None:
    talk = Dialogue()
    talk.ask()
    happened = talk.put(msgspec.structs.replace(talk.segment(0, "How nice!"), mood="joy"))
    events = [action.event for action in happened if isinstance(action, Emit)]
    assert [(event.text, event.mood) for event in events if isinstance(event, SegmentEvent)] == [
        ("How nice!", "joy")
    ]
