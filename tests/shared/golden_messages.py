"""Golden bytes: each message as it was first sent.

A difference here means that a new process does not understand an old one: give the new field a default
instead, add a line for it, and leave the old line as it is.
"""

from __future__ import annotations

from shared import messages
from shared.messages import AudioFormat, ChatMessage, EngineFact, Message

OPUS = AudioFormat(codec="opus", rate_hz=48000)

GOLDEN: list[tuple[Message, str]] = [
    (
        messages.OpenEars(gw="g", sid="s", lease=2, rate_hz=8000, language="fr", end_silence_ms=700),
        "87a474797065a9656172732e6f70656ea26777a167a3736964a173a56c6561736502a7726174655f687acd1f40a86c616e6775616765a26672ae656e645f73696c656e63655f6d73cd02bc",
    ),
    (
        messages.EarsClaimed(
            worker="w", engine="whisper", device="cuda:0", model="base", is_degraded=True, languages=["en"]
        ),
        "87a474797065ac656172732e636c61696d6564a6776f726b6572a177a6656e67696e65a777686973706572a6646576696365a6637564613a30a56d6f64656ca462617365ab69735f6465677261646564c3a96c616e67756167657391a2656e",
    ),
    (
        messages.EarsRefused(code="busy", message="full", retry_after_ms=500),
        "84a474797065ac656172732e72656675736564a4636f6465a462757379a76d657373616765a466756c6cae72657472795f61667465725f6d73cd01f4",
    ),
    (
        messages.MicFrame(sid="s", seq=7, pcm=b"\x00\x01\xff\x7f"),
        "84a474797065a96d69632e6672616d65a3736964a173a373657107a370636dc4040001ff7f",
    ),
    (messages.EndUtterance(sid="s"), "82a474797065a76d69632e656e64a3736964a173"),
    (messages.CloseEars(sid="s"), "82a474797065a96d69632e636c6f7365a3736964a173"),
    (
        messages.EarsAlive(lease=2, worker="w", next_seq=100, needed_seq=70),
        "85a474797065aa656172732e616c697665a56c6561736502a6776f726b6572a177a86e6578745f73657164aa6e65656465645f73657146",
    ),
    (
        messages.SpeechStarted(lease=2, utterance=3, at_ms=1200),
        "84a474797065b3656172732e7370656563685f73746172746564a56c6561736502a97574746572616e636503a561745f6d73cd04b0",
    ),
    (
        messages.Partial(lease=2, utterance=3, text="Grüß"),
        "84a474797065ac656172732e7061727469616ca56c6561736502a97574746572616e636503a474657874a64772c3bcc39f",
    ),
    (
        messages.Final(
            lease=2,
            utterance=3,
            text="Grüß Gott",
            language="de",
            start_ms=1200,
            end_ms=2400,
            endpoint_ms=512.0,
            transcribe_ms=84.5,
            needed_seq=120,
            engine="whisper",
            device="cpu",
            model="base",
        ),
        "8da474797065aa656172732e66696e616ca56c6561736502a97574746572616e636503a474657874ab4772c3bcc39f20476f7474a86c616e6775616765a26465a873746172745f6d73cd04b0a6656e645f6d73cd0960ab656e64706f696e745f6d73cb4080000000000000ad7472616e7363726962655f6d73cb4055200000000000aa6e65656465645f73657178a6656e67696e65a777686973706572a6646576696365a3637075a56d6f64656ca462617365",
    ),
    (
        messages.EarsFailed(lease=2, utterance=0, code="draining", message="leaving"),
        "85a474797065ab656172732e6661696c6564a56c6561736502a97574746572616e636500a4636f6465a8647261696e696e67a76d657373616765a76c656176696e67",
    ),
    (
        messages.Generate(
            gw="g",
            sid="s",
            turn=3,
            attempt=2,
            messages=[ChatMessage(role="user", content="Hi")],
            remaining_ms=20000,
            language="en",
            voice="amy",
            speed=1.25,
            audio=OPUS,
            spoken="Well,",
            first_segment=1,
            is_canary=True,
        ),
        "8ea474797065ad776f726b2e67656e6572617465a26777a167a3736964a173a47475726e03a7617474656d707402a86d657373616765739182a4726f6c65a475736572a7636f6e74656e74a24869ac72656d61696e696e675f6d73cd4e20a86c616e6775616765a2656ea5766f696365a3616d79a57370656564cb3ff4000000000000a5617564696f82a5636f646563a46f707573a7726174655f687acdbb80a673706f6b656ea557656c6c2cad66697273745f7365676d656e7401a969735f63616e617279c3",
    ),
    (
        messages.Generate(gw="g", sid="s", turn=1, attempt=1, messages=[], remaining_ms=1),
        "8ea474797065ad776f726b2e67656e6572617465a26777a167a3736964a173a47475726e01a7617474656d707401a86d6573736167657390ac72656d61696e696e675f6d7301a86c616e6775616765a0a5766f696365a0a57370656564cb3ff0000000000000a5617564696fc0a673706f6b656ea0ad66697273745f7365676d656e7400a969735f63616e617279c2",
    ),
    (
        messages.TextDelta(turn=3, attempt=2, seq=0, text="Hello"),
        "85a474797065aa6d696e642e64656c7461a47475726e03a7617474656d707402a373657100a474657874a548656c6c6f",
    ),
    (
        messages.MindDone(
            turn=3,
            attempt=2,
            deltas=4,
            segments=2,
            engine="groq",
            model="llama",
            is_degraded=True,
            queue_ms=0.5,
            first_token_ms=190.0,
            first_segment_ms=250.0,
            total_ms=600.0,
            input_tokens=100,
            output_tokens=40,
        ),
        "8ea474797065a96d696e642e646f6e65a47475726e03a7617474656d707402a664656c74617304a87365676d656e747302a6656e67696e65a467726f71a56d6f64656ca56c6c616d61ab69735f6465677261646564c3a871756575655f6d73cb3fe0000000000000ae66697273745f746f6b656e5f6d73cb4067c00000000000b066697273745f7365676d656e745f6d73cb406f400000000000a8746f74616c5f6d73cb4082c00000000000ac696e7075745f746f6b656e7364ad6f75747075745f746f6b656e7328",
    ),
    (
        messages.Synthesize(
            gw="g",
            sid="s",
            turn=3,
            attempt=2,
            segment=1,
            text="Hello.",
            audio=AudioFormat(),
            remaining_ms=15000,
            take=2,
            language="en",
            voice="amy",
            speed=0.5,
        ),
        "8da474797065af776f726b2e73796e74686573697a65a26777a167a3736964a173a47475726e03a7617474656d707402a77365676d656e7401a474657874a648656c6c6f2ea5617564696f82a5636f646563a370636da7726174655f687acd5dc0ac72656d61696e696e675f6d73cd3a98a474616b6502a86c616e6775616765a2656ea5766f696365a3616d79a57370656564cb3fe0000000000000",
    ),
    (
        messages.AudioChunk(
            turn=3,
            attempt=2,
            segment=1,
            take=1,
            seq=0,
            start=0,
            samples=2,
            rate_hz=24000,
            codec="pcm",
            level=0.25,
            data=b"\x00\x01\x02\x03",
        ),
        "8da474797065ab766f6963652e6368756e6ba47475726e03a7617474656d707402a77365676d656e7401a474616b6501a373657100a5737461727400a773616d706c657302a7726174655f687acd5dc0a5636f646563a370636da56c6576656ccb3fd0000000000000a464617461c40400010203a77061636b65747390",
    ),
    (
        messages.AudioChunk(
            turn=3,
            attempt=2,
            segment=1,
            take=1,
            seq=1,
            start=2,
            samples=1920,
            rate_hz=48000,
            codec="opus",
            level=0.5,
            packets=[b"\xfc\x01", b"\xfc\x02"],
        ),
        "8da474797065ab766f6963652e6368756e6ba47475726e03a7617474656d707402a77365676d656e7401a474616b6501a373657101a5737461727402a773616d706c6573cd0780a7726174655f687acdbb80a5636f646563a46f707573a56c6576656ccb3fe0000000000000a464617461c400a77061636b65747392c402fc01c402fc02",
    ),
    (
        messages.SegmentDone(
            turn=3,
            attempt=2,
            segment=1,
            take=1,
            chunks=2,
            samples=1922,
            rate_hz=48000,
            engine="piper",
            device="cpu",
            model="amy",
            is_degraded=True,
            queue_ms=0.25,
            first_audio_ms=21.0,
            total_ms=40.0,
        ),
        "8fa474797065aa766f6963652e646f6e65a47475726e03a7617474656d707402a77365676d656e7401a474616b6501a66368756e6b7302a773616d706c6573cd0782a7726174655f687acdbb80a6656e67696e65a57069706572a6646576696365a3637075a56d6f64656ca3616d79ab69735f6465677261646564c3a871756575655f6d73cb3fd0000000000000ae66697273745f617564696f5f6d73cb4035000000000000a8746f74616c5f6d73cb4044000000000000",
    ),
    (
        messages.Working(stage="tts", worker="w", turn=3, attempt=2, segment=1, take=2, delivery=2, beat=5),
        "89a474797065ac776f726b2e776f726b696e67a57374616765a3747473a6776f726b6572a177a47475726e03a7617474656d707402a77365676d656e7401a474616b6502a864656c697665727902a46265617405",
    ),
    (
        messages.Failed(
            stage="llm", worker="w", turn=3, attempt=2, code="expired", message="too late", segment=-1, take=1
        ),
        "89a474797065ab776f726b2e6661696c6564a57374616765a36c6c6da6776f726b6572a177a47475726e03a7617474656d707402a4636f6465a765787069726564a76d657373616765a8746f6f206c617465a77365676d656e74ffa474616b6501",
    ),
    (messages.Cancel(sid="s", turn=3), "83a474797065a663616e63656ca3736964a173a47475726e03"),
    (
        messages.Facts(
            stage="stt",
            worker="w",
            state="ready",
            pid=42,
            engines=[
                EngineFact(
                    name="sphinx",
                    state="serving",
                    model="en-us",
                    model_sha256="ab",
                    device="cpu",
                    detail="fine",
                    hint="eva models pull",
                )
            ],
            device_wanted="auto",
            slots=4,
            busy=1,
            done=10,
            failed=1,
            last_success_s=0.5,
            languages=["en"],
            detail="d",
            numbers={"rtf": 0.25},
        ),
        "8fa474797065a56661637473a57374616765a3737474a6776f726b6572a177a57374617465a57265616479a37069642aa7656e67696e65739187a46e616d65a6737068696e78a57374617465a773657276696e67a56d6f64656ca5656e2d7573ac6d6f64656c5f736861323536a26162a6646576696365a3637075a664657461696ca466696e65a468696e74af657661206d6f64656c732070756c6cad6465766963655f77616e746564a46175746fa5736c6f747304a46275737901a4646f6e650aa66661696c656401ae6c6173745f737563636573735f73cb3fe0000000000000a96c616e67756167657391a2656ea664657461696ca164a76e756d6265727381a3727466cb3fd0000000000000",
    ),
]
