import socket
from pathlib import Path

import pytest

from eva.place import QUIET, CannotStart, free_port, held, url_of


def test_a_data_directory_is_made_and_held_by_one_at_a_time(tmp_path: Path) -> None:
    place = tmp_path / "new" / "data"
    with held(place, "http://x:1"):
        assert (place / "logs").is_dir()
        with (
            pytest.raises(CannotStart, match=r"already runs on the data directory .*http://x:1"),
            held(place, "b"),
        ):
            pass
    with held(place, "http://x:2"):
        pass


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CannotStart, match=r"/file cannot be written: .*directory") as caught,
        held(tmp_path / "file", "x"),
    ):
        pass
    assert "--data-dir" in caught.value.hint


def test_a_port_in_use_is_said_with_another_to_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} of 127.0.0.1 is in use") as caught:
            free_port("127.0.0.1", port)
    assert "--port" in caught.value.hint
    assert free_port("127.0.0.1", port) == port


def test_port_0_is_any_free_one_that_the_kernel_gives_to_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", free_port("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        assert port in QUIET
        assert free_port("127.0.0.1", 0) != port


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotStart, match=r"192\.0\.2\.1:0 cannot be listened on"):
        free_port("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8"),
        ("0.0.0.0", "http://127.0.0.1:8"),
        ("::", "http://[::1]:8"),
        ("::1", "http://[::1]:8"),
        ("box.lan", "http://box.lan:8"),
    ],
)
def test_what_listens_everywhere_is_reached_at_home(host: str, url: str) -> None:
    assert url_of(host, 8) == url
