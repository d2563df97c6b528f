"""Models whose tensors lie in other files, made by ``onnx`` itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shared.models import Installed, Model, ModelBroken, ModelFile, directory, verify
from shared.onnx_file import external_files
from tests.models import tiny_voice


def in_two_files(models_dir: Path, name: str = "en_US-two-low") -> Installed:
    """A tiny voice whose weights lie in ``weights.bin``."""
    path = tiny_voice.install(models_dir, name)
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return Installed(name, "tts", directory(models_dir, "tts", name), None)


def pinned(item: Installed) -> Installed:
    """The same as if the manifest named all three files."""
    names = (f"{item.name}.onnx", f"{item.name}.onnx.json", "weights.bin")
    files = tuple(
        ModelFile(name, "", 0, hashlib.sha256((item.path / name).read_bytes()).hexdigest()) for name in names
    )
    return Installed(
        item.name, "tts", item.path, Model(item.name, "tts", ("en",), "CC0", "", "main", files, False, "")
    )


def test_a_model_of_one_file_needs_no_other(tmp_path: Path) -> None:
    assert external_files(tiny_voice.install(tmp_path)) == []


def test_a_file_that_breaks_off_names_no_other_and_is_left_to_the_runtime(tmp_path: Path) -> None:
    whole = tiny_voice.install(tmp_path)
    whole.write_bytes(whole.read_bytes()[:3000])
    assert external_files(whole) == []


def test_tensors_are_found_in_other_files_wherever_a_graph_may_hold_them(tmp_path: Path) -> None:
    def outside(location: str) -> onnx.TensorProto:
        tensor = numpy_helper.from_array(np.zeros(3, np.float32), location)
        onnx.external_data_helper.set_external_data(tensor, location)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        return tensor

    sparse = helper.make_sparse_tensor(outside("values.bin"), outside("indices.bin"), [9])
    branch = helper.make_graph([], "branch", [], [], [outside("branch.bin")])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=branch),
        helper.make_node("Constant", [], ["z"], value=outside("constant.bin")),
    ]
    graph = helper.make_graph(nodes, "main", [], [], [outside("weights.bin")], sparse_initializer=[sparse])
    inner = helper.make_node("Constant", [], ["w"], value=outside("function.bin"))
    function = helper.make_function("own", "f", [], ["w"], [inner], [helper.make_opsetid("", 18)])
    path = tmp_path / "all.onnx"
    path.write_bytes(helper.make_model(graph, functions=[function]).SerializeToString())
    assert external_files(path) == [
        "branch.bin", "constant.bin", "function.bin", "indices.bin", "values.bin", "weights.bin",
    ]  # fmt: skip


def test_a_model_whose_other_file_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    item = in_two_files(tmp_path)
    (item.path / "weights.bin").unlink()
    with pytest.raises(
        ModelBroken, match=r"keeps tensors in another file, weights\.bin, which is missing"
    ) as no:
        verify(item)
    assert no.value.file == item.path / "en_US-two-low.onnx"
    assert no.value.hint


def test_a_model_whose_other_file_is_not_fixed_by_a_hash_is_refused_each_time(tmp_path: Path) -> None:
    item = in_two_files(tmp_path)
    for _ in range(2):
        with pytest.raises(ModelBroken, match=r"weights\.bin, whose content nobody has fixed by a hash"):
            verify(item)


def test_a_model_whose_other_file_is_pinned_is_whole_until_that_one_is_swapped(tmp_path: Path) -> None:
    item = pinned(in_two_files(tmp_path))
    assert set(verify(item)) == {"en_US-two-low.onnx", "en_US-two-low.onnx.json", "weights.bin"}
    assert set(verify(item)) == {"en_US-two-low.onnx", "en_US-two-low.onnx.json", "weights.bin"}
    weights = item.path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelBroken, match="is not the file it should be") as swapped:
        verify(item)
    assert swapped.value.file == weights


def test_a_path_that_leaves_the_model_s_folder_is_refused(tmp_path: Path) -> None:
    item = in_two_files(tmp_path)
    (item.path / "weights.bin").rename(tmp_path / "weights.bin")
    model = item.path / "en_US-two-low.onnx"
    model.write_bytes(model.read_bytes().replace(b"weights.bin", b"../weig.bin"))
    with pytest.raises(ModelBroken, match=r"\.\./weig\.bin, which is missing"):
        verify(item)
    (item.path.parent / "weig.bin").write_bytes(b"there")
    with pytest.raises(ModelBroken, match="nobody has fixed by a hash"):
        verify(item)
