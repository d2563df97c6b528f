"""Files that name servers, names for the model, arguments and results: what is pure of foreign functions."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from services.llm.mcp_config import ServerSpec, parse_servers
from services.llm.mcp_tools import MAX_NAME_CHARS, MAX_RESULT_BYTES, arguments, capped, flat, names
from services.llm.settings import LlmSettings
from shared.messages import ToolSpec


def servers(**entries: Any) -> tuple[ServerSpec, ...]:
    return parse_servers(json.dumps({"mcpServers": entries}))


def test_a_file_names_servers_that_are_started_and_such_that_are_there() -> None:
    started, there = servers(
        files={"command": "files", "args": ["--all"], "env": {"KEY": "k"}, "type": "stdio"},
        house={"url": "http://127.0.0.1:1/mcp", "headers": {"x-key": "k"}, "timeoutS": 10},
    )
    assert started == ServerSpec(name="files", command="files", args=("--all",), env={"KEY": "k"})
    assert started.timeout_s == 5
    assert (there.url, there.headers, there.timeout_s) == ("http://127.0.0.1:1/mcp", {"x-key": "k"}, 10)
    assert "k'" not in repr((started, there)), "secrets are not shown"


def test_a_server_that_is_disabled_is_left_out() -> None:
    assert servers(files={"command": "files", "disabled": True}) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "truncated"),
        ("{}", "mcpServers"),
        ('{"mcpServers": {"a": {"args": "x"}}}', "args"),
        ('{"mcpServers": {"a b": {"command": "x"}}}', "a server's name"),
        ('{"mcpServers": {"a": {}}}', "either a command or a url"),
        ('{"mcpServers": {"a": {"command": "x", "url": "http://h"}}}', "either a command or a url"),
        ('{"mcpServers": {"a": {"url": "ftp://h"}}}', "begin with http"),
        ('{"mcpServers": {"a": {"url": "http://"}}}', "begin with http"),
        ('{"mcpServers": {"a": {"command": "x", "timeoutS": 0}}}', "timeoutS"),
        ('{"mcpServers": {"a": {"command": "x", "timeoutS": 61}}}', "timeoutS"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_servers(text)


def test_the_mind_refuses_to_start_without_the_file_that_it_was_told_of(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="No such file"):
        LlmSettings(llm_mcp=str(tmp_path / "none.json"))
    broken = tmp_path / "broken.json"
    broken.write_text('{"mcpServers": {"a": {}}}')
    with pytest.raises(ValueError, match="either a command or a url"):
        LlmSettings(llm_mcp=str(broken))
    good = tmp_path / "good.json"
    good.write_text('{"mcpServers": {"a": {"command": "x"}}}')
    assert [server.name for server in LlmSettings(llm_mcp=str(good)).mcp_servers] == ["a"]
    assert LlmSettings().mcp_servers == ()


def test_a_name_that_several_have_begins_with_the_servers_but_for_the_first() -> None:
    look, other = ToolSpec(name="look"), ToolSpec(name="look", description="another")
    assert names({"a": [look], "b": [other, ToolSpec(name="go")]}) == {
        "look": ("a", look),
        "b_look": ("b", other),
        "go": ("b", ToolSpec(name="go")),
    }


def test_names_fit_what_providers_take_and_stay_different() -> None:
    long = "x" * 100
    specs = [ToolSpec(name=name) for name in ("files.read", "files/read", "", long, long + "y", long + "z")]
    named = names({"s": specs})
    assert [spec for _, spec in named.values()] == specs
    assert list(named)[:3] == ["files_read", "s_files_read", "_"]
    assert all(0 < len(name) <= MAX_NAME_CHARS for name in named)
    assert list(named)[-1].endswith("_2")


def test_arguments_are_an_object() -> None:
    assert arguments("") == {}
    assert arguments('{"a": [1]}') == {"a": [1]}
    for text in ("[]", "{", "null", "[" * 100_000):
        with pytest.raises(ValueError, match="no "):
            arguments(text)


def test_a_result_becomes_text() -> None:
    resource = SimpleNamespace(type="resource", resource=SimpleNamespace(uri="file:///a", text="words"))
    binary = SimpleNamespace(type="resource", resource=SimpleNamespace(uri="file:///b", blob="AA=="))
    link = SimpleNamespace(type="resource_link", uri="file:///c")
    image = SimpleNamespace(type="image", data="AA==")
    text = SimpleNamespace(type="text", text="one")
    assert flat([text, image, resource, binary, link]) == "one\n[image]\nwords\n[file:///b]\n[file:///c]"
    assert flat([text], {"one": 1}) == "one"
    assert flat([], {"é": 1}) == '{"é": 1}'
    assert flat([]) == ""


def test_a_long_result_is_cut_between_characters() -> None:
    cut = capped("a" + "é" * MAX_RESULT_BYTES)
    assert MAX_RESULT_BYTES - 2 <= len(cut.encode()) <= MAX_RESULT_BYTES
    assert cut.endswith("é … (cut)")
    assert capped("é" * 10) == "é" * 10
    assert capped("\ud800") == "?"
