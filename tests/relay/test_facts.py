"""What connections learn about their master for later ones."""

from __future__ import annotations

from tap.relay.facts import ASK_AGAIN_SECONDS, MasterFacts


def test_a_master_is_asked_at_most_once_a_minute_whether_it_speaks_tls_and_not_when_that_is_known() -> None:
    facts = MasterFacts("eu")
    assert facts.is_worth_asking(0.0)
    assert not facts.is_worth_asking(0.0)
    assert not facts.is_worth_asking(ASK_AGAIN_SECONDS - 0.001)
    assert facts.is_worth_asking(ASK_AGAIN_SECONDS)
    assert not facts.is_worth_asking(ASK_AGAIN_SECONDS + 1)
    for known in (True, False):
        facts.speaks_tls = known
        assert not facts.is_worth_asking(1000.0)
    assert [next(facts.ordinals) for _ in range(2)] == [1, 2]


def test_histories_learned_by_one_link_are_known_to_others() -> None:
    first = MasterFacts("eu")
    second = MasterFacts("us", first.memory)
    first.memory.history("a" * 40)
    assert second.memory.elsewhere("a" * 40) == "eu"
