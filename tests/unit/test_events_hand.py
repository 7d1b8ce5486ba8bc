"""A consumer never commits past an event that is not dealt with, and keeps the order of each key."""

from hypothesis import given
from hypothesis import strategies as st

from ragmesh.storage.events.hand import Hand

steps = st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 30)), max_size=80)


@given(steps)
def test_whatever_the_order_of_acknowledgements_nothing_unsettled_is_committed_or_overtaken(order: list[str | int]):
    hand: Hand[tuple[str, int]] = Hand()
    delivered: list[tuple[str, int]] = []
    settled: set[int] = set()
    offset = 100

    for step in order:
        if isinstance(step, str):
            if hand.take(offset, step, (step, offset)):
                delivered.append((step, offset))
            offset += 1
        elif waiting := [one for one in delivered if one[1] not in settled]:
            _, chosen = waiting[step % len(waiting)]
            settled.add(chosen)
            if follower := hand.settle(chosen):
                delivered.append(follower)

        unsettled = [taken for taken in range(100, offset) if taken not in settled]
        assert hand.committable == (None if offset == 100 else min(unsettled, default=offset))
        assert len(hand) == len(unsettled)

    for key in "abc":
        offsets = [at for one, at in delivered if one == key]
        assert offsets == sorted(offsets)
        assert sum(at not in settled for at in offsets) <= 1


def test_settling_twice_is_no_harm():
    hand: Hand[str] = Hand()
    hand.take(1, "a", "first")
    hand.take(2, "a", "second")

    assert hand.settle(1) == "second"
    assert hand.settle(1) is None
    assert hand.committable == 2
