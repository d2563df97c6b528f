from __future__ import annotations

from services.gateway.mic import MicRing


def ring_of(frames: int, *, samples: int = 10, max_s: float = 60.0) -> MicRing:
    ring = MicRing(1000, max_s=max_s)
    for number in range(frames):
        ring.append(bytes([number, 0]) * samples, 100.0 + number)
    return ring


def test_frames_are_kept_until_nobody_needs_them() -> None:
    ring = ring_of(5)
    assert (ring.first_seq, ring.next_seq) == (0, 5)
    ring.trim(3)
    assert (ring.first_seq, ring.get(2)) == (3, None)
    frame = ring.get(3)
    assert frame is not None
    assert (frame.start, frame.pcm[0]) == (30, 3)
    ring.trim(99)
    assert ring.first_seq == 5
    assert ring.get(5) is None


def test_the_oldest_frames_go_when_the_ring_is_full() -> None:
    ring = ring_of(10, max_s=0.05)
    assert (ring.first_seq, ring.next_seq) == (5, 10)


def test_a_sample_is_known_by_the_arrival_of_its_frame() -> None:
    ring = ring_of(5)
    assert (ring.arrival(0), ring.arrival(19), ring.arrival(49)) == (100.0, 101.0, 104.0)
    assert ring.arrival(50) is None, "it has not come"
    ring.trim(2)
    assert ring.arrival(5) is None, "it is gone"


def test_a_lease_starts_at_the_first_frame_that_is_sent_to_it() -> None:
    ring = ring_of(5)
    assert ring.start_of(2) == 20
    assert ring.start_of(5) == 50
