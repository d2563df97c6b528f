"""One turn of the mind, from its work to its report: asked, told, and asked again where that is needed.

Again, because a route broke off in mid-answer: what is in segments stands, the rest is taken back, and
another route goes on behind it. Or because the model has called functions of the worker's own: they run side
by side, and it goes on with their results. Functions of the client are told to the gateway, which asks anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from services.llm import prompt
from services.llm.account import Account
from services.llm.borders import is_sentence
from services.llm.chain import Answer, Chain
from services.llm.engine import Question
from services.llm.options import Options
from services.llm.telling import Telling
from services.llm.toolbox import Toolbox
from services.llm.turn import Turn
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown, EngineFailed, EvaError
from shared.messages import ChatMessage, MindDone, ToolCall, ToolSpec, ToolUse
from shared.observe import Log

log = Log("eva.llm")

MOST_ROUNDS: Final = 8
"""Of calls in one turn; then the model must answer with what it has."""
HOLD_ON_S: Final = 1.0
"""A function that takes longer is bridged with a word, if nothing was said yet."""
HOLD_ON: Final = {"en": "One moment.", "fr": "Un instant."}
VOICE_S: Final = 0.2
"""Of the bound on the first segment, for what lies behind the first token."""
_LEAST_FIRST_S: Final = 0.05
LEAST_LEFT_S: Final = 0.3
"""With less of the turn left, no other route is asked to go on."""


class NeedsTools(EvaError):
    """A speculative turn cannot be answered without running something: it is to be asked when it is sure."""

    code = "needs_tools"


class Rounds:
    """Of one turn."""

    def __init__(
        self,
        turn: Turn,
        *,
        chain: Chain,
        toolbox: Toolbox,
        options: Options,
        bus: Bus,
        clock: Callable[[], float],
    ) -> None:
        self._turn, self._work = turn, turn.work
        self._chain, self._toolbox, self._options = chain, toolbox, options
        self._bus, self._clock = bus, clock
        self._telling = Telling(bus, turn, options.bounds, clock=clock)
        self._account = Account()
        self._messages = list(turn.work.messages)
        self._spoken_before = turn.work.spoken
        """In this round, by earlier attempts."""
        self._round_at = 0
        """Where this round begins in the text that was told."""
        self._broken: EngineFailed | None = None
        """How the newest route broke off that no other has gone on for."""
        self._tried: set[str] = set()
        self._rounds = self._client_calls = 0

    async def run(self) -> MindDone:
        """Answers. Raises ``EvaError`` if that cannot be done, in whole or from somewhere on."""
        while await self._ask():
            pass
        if not self._client_calls:
            await self._telling.finish()
        return self._done()

    @property
    def first_token_s(self) -> float:
        """From being taken up to the first token; 0: there was none yet."""
        return self._telling.told.first_token_s

    @property
    def _spoken(self) -> str:
        """What of this round has been said: the next route goes on behind it."""
        said = self._telling.captions.text[self._round_at :].strip()
        return " ".join(part for part in (self._spoken_before, said) if part)

    async def _ask(self) -> bool:
        """Asks once and tells the answer; returns whether it is to be asked again."""
        spoken, question, answer = self._spoken, self._question(), None
        try:
            async with self._chain.answer(question, without=self._tried) as answer:
                if self._broken is not None and answer.mind.is_degraded and is_sentence(spoken):
                    return False  # a makeshift could only say that it has lost the thread
                self._took_up(answer)
                try:
                    calls = await self._telling.tell(answer.pieces, spoken=spoken)
                finally:
                    self._settle(answer, question)
        except EngineFailed as error:
            return await self._goes_on_after(error, answer)
        return bool(calls) and not self._telling.is_over and await self._run(calls)

    def _question(self) -> Question:
        work, now_s = self._work, self._clock()
        messages = prompt.build(
            self._messages,
            persona=work.persona or self._options.persona,
            summary=work.summary,
            language=work.language,
            spoken=self._spoken,
            moods=self._options.mood_sentence,
            budget_tokens=self._options.context_tokens,
        )
        first_token_s = None
        if work.first_ms and not self._telling.has_spoken:
            gone_s = self._turn.waited_s + now_s - self._turn.began_s
            first_token_s = max(_LEAST_FIRST_S, work.first_ms / 1000 - gone_s - VOICE_S)
        return Question(
            messages=messages,
            language=self._turn.language,
            tools=self._tools() if self._rounds < MOST_ROUNDS else (),
            tool_choice=self._tool_choice,
            max_tokens=self._turn.max_tokens(self._options.bounds) if work.max_tokens else 0,
            temperature=work.temperature,
            remaining_s=self._turn.due_s - now_s,
            first_token_s=first_token_s,
            route=work.model,
        )

    @property
    def _tool_choice(self) -> str:
        """Behind the results of the worker's own functions the model is free again."""
        choice = self._work.tool_choice
        return choice if not self._rounds or choice == "none" else "auto"

    def _tools(self) -> Sequence[ToolSpec]:
        """The client's and the worker's own; the client's go before where names are the same.

        Where the client forbids calls or wants a certain one no others are offered, because many servers do
        not know ``tool_choice``; where it wants any, that is one of its own.
        """
        names = {tool.name for tool in self._work.tools}
        all_tools = [*self._work.tools, *(tool for tool in self._toolbox.specs if tool.name not in names)]
        match self._tool_choice:
            case "auto":
                return all_tools
            case "none":
                return []
            case "required":
                return self._work.tools or all_tools
            case name:
                return [tool for tool in all_tools if tool.name == name]

    def _took_up(self, answer: Answer) -> None:
        if self._broken is not None:
            log.info("mind.switched", to=answer.mind.route, turn=self._work.turn)
            self._broken = None
            self._account.switches += 1
        self._account.add(answer.mind, answer.report)

    def _settle(self, answer: Answer, question: Question) -> None:
        told = self._telling.told
        self._account.settle(
            answer.mind, told.usage, question.messages, self._telling.captions.text[self._round_at :]
        )

    async def _goes_on_after(self, error: EngineFailed, answer: Answer | None) -> bool:
        """Returns whether another route is to go on; False: what was said may stand as the answer.

        Raises:
            EngineFailed: neither.
        """
        telling = self._telling
        if answer is None:
            if self._broken is not None and is_sentence(self._spoken):
                return False
            raise error
        if telling.told.usage is not None:  # it had said that it was through
            await telling.complete()
            return False
        await telling.break_off()
        if self._turn.due_s - self._clock() < LEAST_LEFT_S:
            self._broken = error
            if is_sentence(self._spoken):
                return False
            raise error
        self._broken = error
        self._tried.add(answer.mind.route)
        return True

    # ------------------------------------------------------------ functions

    async def _run(self, calls: Sequence[ToolUse]) -> bool:
        """Runs the worker's own; returns whether the model is to be asked again with the results."""
        if self._rounds >= MOST_ROUNDS:
            return False
        of_client = {tool.name for tool in self._work.tools}
        own = [call for call in calls if call.name not in of_client]
        others = [call for call in calls if call.name in of_client]
        if own and self._work.is_speculative:
            raise NeedsTools("a function would have to be run before the person's turn is over")
        results = await self._results(own)
        for call, result in zip(own, results, strict=True):
            await self._tell(call, by_client=False, result=result)
        for call in others:
            await self._tell(call, by_client=True)
        self._client_calls = len(others)
        if others:
            return False
        self._messages.append(ChatMessage(role="assistant", content=self._spoken, tool_calls=list(calls)))
        self._messages += [
            ChatMessage(role="tool", content=result, tool_call_id=call.id)
            for call, result in zip(own, results, strict=True)
        ]
        self._rounds += 1
        self._spoken_before, self._round_at = "", len(self._telling.captions.text)
        return True

    async def _results(self, calls: Sequence[ToolUse]) -> list[str]:
        failed: EvaError | None = None
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._result(call), name=f"call {call.name}") for call in calls]
            try:
                await self._bridge(running)
            except EvaError as error:  # a task group would wrap it
                failed = error
                for task in running:
                    task.cancel()
        if failed is not None:
            raise failed
        return [task.result() for task in running]

    async def _result(self, call: ToolUse) -> str:
        if all(tool.name != call.name for tool in self._toolbox.specs):
            return f"There is no function {call.name}."
        return await self._toolbox.call(call)

    async def _bridge(self, running: Sequence[asyncio.Task[str]]) -> None:
        if not running or self._telling.has_spoken or self._work.audio is None:
            return
        _, late = await asyncio.wait(running, timeout=HOLD_ON_S)
        if late:
            await self._telling.say(HOLD_ON.get(self._turn.language, HOLD_ON["en"]))

    async def _tell(self, call: ToolUse, *, by_client: bool, result: str = "") -> None:
        work = self._work
        told = ToolCall(
            turn=work.turn,
            attempt=work.attempt,
            call=call,
            by="client" if by_client else "server",
            result=result,
        )
        with contextlib.suppress(BusDown) if not by_client else contextlib.nullcontext():
            await self._bus.publish(subjects.event(work.gw, work.sid, "llm"), told)

    # ------------------------------------------------------------ the report

    def _done(self) -> MindDone:
        told, account = self._telling.told, self._account
        report = account.report(
            queue_s=self._turn.waited_s,
            first_token_s=told.first_token_s,
            first_segment_s=told.first_segment_s,
            is_cut_short=self._broken is not None or self._telling.is_over,
        )
        return MindDone(
            turn=self._work.turn,
            attempt=self._work.attempt,
            engine=account.mind.name if account.mind else "",
            model=account.mind.model if account.mind else "",
            is_degraded=account.is_degraded,
            tool_calls=self._client_calls,
            is_cut_short=self._telling.is_cut_short,
            input_tokens=report.input_tokens,
            output_tokens=report.output_tokens,
            report=report,
            **self._telling.figures(),
        )
