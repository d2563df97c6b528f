"""API keys: what they look like, what is kept of them, and how one is found."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import BadInput, ConfigError
from shared.keys import (
    KEY_PREFIX,
    KeyLimits,
    KeyRecord,
    digest_of,
    find_record,
    id_of,
    is_secret_of,
    new_secret,
    pack_record,
    read_key_file,
    read_record,
    record_of,
)

LONG = "x" * 32


def test_a_key_holds_256_random_bits_behind_its_prefix() -> None:
    made = {new_secret(KEY_PREFIX) for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert secret.startswith("eva_sk_")
        assert len(secret.removeprefix(KEY_PREFIX)) == 43  # 32 bytes in base64


def test_what_is_kept_is_the_hash_and_an_id_that_follows_from_it() -> None:
    record = record_of("eva_sk_a", "kitchen", limits=KeyLimits(sessions=1), now=5.0)
    assert record.digest == hashlib.sha256(b"eva_sk_a").hexdigest() == digest_of("eva_sk_a")
    assert record.id == id_of("eva_sk_a") == "key_" + record.digest[:16]
    data = pack_record(record)
    assert b"eva_sk_a" not in data
    assert read_record(data) == record


def test_only_the_key_itself_opens() -> None:
    record = record_of("eva_sk_a", "kitchen")
    assert is_secret_of(record, "eva_sk_a")
    for wrong in ("", "eva_sk_b", "eva_sk_a ", record.digest, "eva_sk_é"):
        assert not is_secret_of(record, wrong)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x81\xa2id\x01", b"\x81\xa2id\xa1\xff", b"no"])
def test_bytes_that_are_no_record_open_nothing(data: bytes) -> None:
    assert read_record(data) is None


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "x" * 65, "\x7f"])
def test_a_name_that_cannot_stand_in_a_list_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        record_of("secret", name)


@pytest.mark.parametrize("name", ["a", "kitchen", "Ada's phone", "é", "x" * 64])
def test_a_name_may_be_what_people_write(name: str) -> None:
    assert record_of("secret", name).name == name


def test_a_file_has_a_key_on_each_line_but_for_comments() -> None:
    records = read_key_file(f"# keys\n\n{LONG}\n  {LONG}b  \r\n")
    assert [record.name for record in records] == ["line 3 of the keys' file", "line 4 of the keys' file"]
    assert is_secret_of(records[1], f"{LONG}b")


@pytest.mark.parametrize("line", ["short", "x" * 31, "two words that are long enough to be one", "é" * 40])
def test_a_line_that_could_be_guessed_is_named_by_its_number_alone(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2") as refused:
        read_key_file(f"{LONG}\n{line}\n")
    assert line not in str(refused.value)


def test_a_key_is_found_by_name_or_id_among_those_that_hold() -> None:
    one, two = record_of("1", "a"), record_of("2", "b")
    old = record_of("3", "b", now=1.0)
    revoked = KeyRecord(id=old.id, name="b", digest=old.digest, revoked_at=2.0)
    assert find_record([one, two, revoked], "b") == two
    assert find_record([one, two], one.id) == one
    with pytest.raises(BadInput, match="no key that holds"):
        find_record([revoked], "b")
    with pytest.raises(BadInput, match="2 keys are called 'b'"):
        find_record([two, old], "b")


ROOT = Path(__file__).resolve().parents[2]
HASHES = {"digest", "digest_of", "hexdigest"}


def names(node: ast.AST) -> set[str]:
    """All names and attributes within a piece of source."""
    nodes = list(ast.walk(node))
    plain = {one.id for one in nodes if isinstance(one, ast.Name)}
    return plain | {one.attr for one in nodes if isinstance(one, ast.Attribute)}


def comparisons(source: str) -> Iterator[str]:
    """Where hashes of keys are compared: ``compare_digest``, or an operator beside a hash."""
    for node in ast.walk(ast.parse(source)):
        called = names(node.func) if isinstance(node, ast.Call) else set()
        is_prefix = bool(called & {"startswith", "endswith"})
        if "compare_digest" in called or (
            (isinstance(node, ast.Compare) or is_prefix) and names(node) & HASHES
        ):
            yield ast.unparse(node)


def test_hashes_of_keys_are_compared_in_one_place_and_in_constant_time() -> None:
    keepers = [ROOT / "shared" / "keys.py", *(ROOT / "eva").glob("api_keys*.py")]
    paths = [*keepers, *(ROOT / "services" / "gateway").rglob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix(): [*comparisons(path.read_text(encoding="utf-8"))] for path in paths
    }
    expected = {"shared/keys.py": ["hmac.compare_digest(record.digest, digest_of(secret))"]}
    assert {path: there for path, there in found.items() if there} == expected


@pytest.mark.parametrize(
    "source",
    ["record.digest == digest_of(secret)", "x.hexdigest() in known", "record.digest.startswith(guess)"],
)
def test_a_comparison_that_tells_by_its_time_would_be_found(source: str) -> None:
    assert [*comparisons(source)] == [source]
