"""The work queues, declared alike by those that fill and those that drain them."""

from __future__ import annotations

from shared.bus import WorkQueue
from shared.subjects import work_of_stage

LLM_WORK = WorkQueue(name="eva-llm", subject=work_of_stage("llm"), capacity=500)
TTS_WORK = WorkQueue(name="eva-tts", subject=work_of_stage("tts"), capacity=2000)
