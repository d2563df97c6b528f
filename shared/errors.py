"""The tree of errors. *Ours* are defects or broken surroundings, *theirs* are a client's mistakes.

Data stands in fields, so that a caller can decide without reading the text; ``code`` is what a client sees.
"""

from __future__ import annotations

from typing import ClassVar


class EvaError(Exception):
    """Anything that EVA raises on purpose."""

    code: ClassVar[str] = "internal"


class BadInput(EvaError):
    """Theirs: the client sent something that cannot be used; nothing else is lost."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class MalformedMessage(EvaError):
    """Bytes on the bus that are no message of ours; counted, never passed on as ``None``."""

    code = "malformed_message"

    def __init__(self, size_bytes: int, reason: str) -> None:
        super().__init__(f"malformed message of {size_bytes} bytes: {reason}")
        self.size_bytes, self.reason = size_bytes, reason


class BusDown(EvaError):
    """The broker is not reachable; what was to be sent was not sent."""

    code = "broker_lost"


class NoResponders(EvaError):
    """Nobody serves this subject now."""

    code = "no_responders"

    def __init__(self, subject: str) -> None:
        super().__init__(f"nobody serves {subject}")
        self.subject = subject


class RequestTimedOut(EvaError):
    """A request was taken but not answered in time."""

    code = "request_timeout"

    def __init__(self, subject: str, timeout_s: float) -> None:
        super().__init__(f"no answer on {subject} within {timeout_s:.3f} s")
        self.subject, self.timeout_s = subject, timeout_s


class QueueFull(EvaError):
    """A work queue holds as much as it may; the caller decides who is told."""

    code = "busy"

    def __init__(self, subject: str) -> None:
        super().__init__(f"the work queue behind {subject} is full")
        self.subject = subject


class EngineFailed(EvaError):
    """An engine gave no usable output; the caller goes to the next in its chain."""

    code = "engine_failed"

    def __init__(self, engine: str, reason: str) -> None:
        super().__init__(f"{engine}: {reason}")
        self.engine, self.reason = engine, reason


class EngineNotReady(EngineFailed):
    """An engine is being made ready and will serve soon; no fault of its."""


class EngineRefused(EvaError):
    """An engine cannot be used here at all (model missing or broken, no such device); said at start."""

    code = "engine_refused"

    def __init__(self, engine: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{engine}: {reason}")
        self.engine, self.reason, self.hint = engine, reason, hint


class ConfigError(EvaError):
    """The settings cannot work; the process says so in one line and exits with 2."""

    code = "config"
