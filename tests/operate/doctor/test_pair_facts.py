"""Figures that facts are asked for: rates, options, limits."""

from __future__ import annotations

import pytest

from tests.operate.doctor.pairs import info, pair


def test_the_peak_is_of_one_second_and_the_mean_of_all() -> None:
    facts = pair(written=(0, 100, 1100, 1200))
    assert (facts.peak_rate, facts.mean_rate, facts.watched) == (1000.0, 400.0, 3.0)
    assert (pair(samples=()).peak_rate, pair(samples=()).mean_rate, pair(samples=()).watched) == (0.0, 0.0, 0.0)
    assert pair(written=(500, 0)).peak_rate == 0  # another process, or another history


@pytest.mark.parametrize(
    ("text", "number"), [("60", 60), ("-1", -1), ("", None), ("1mb", None), ("²", None), ("9" * 30, None)]
)
def test_a_number_is_one_or_is_not_known(text: str, number: int | None) -> None:
    server = pair(of_master={"repl-timeout": text}, master={"used_memory": text}).master
    assert server.number("repl-timeout") == server.field_number("used_memory") == number
    assert server.number("no-such-option") is server.field_number("no_such_field") is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", (268435456, 67108864, 60)),
        ("normal 0 0 0 pubsub 1 2 3 replica 4 5 6", (4, 5, 6)),
        ("normal 0 0 0 slave 1mb 2 3", None),
        ("normal 0 0 0 slave 1", None),
        ("", None),
    ],
)
def test_the_output_buffer_limit_is_that_of_replicas(text: str, limit: tuple[int, int, int] | None) -> None:
    assert pair(of_master={"client-output-buffer-limit": text}).master.output_buffer_limit == limit


def test_resyncs_are_unknown_where_info_lacks_them() -> None:
    (sample, _) = pair().samples
    assert sample.resyncs is None
    counted = type(sample)(0.0, info({"sync_full": 1, "sync_partial_ok": 2, "sync_partial_err": 3}))
    assert counted.resyncs is not None
    assert counted.resyncs.sync_full == 1


def test_a_replica_logs_in_as_default_unless_it_has_a_user() -> None:
    assert [pair(of_replica={"masteruser": one}).replicas[0].user for one in ("", "repl", None)] == [
        "default",
        "repl",
        "default",
    ]
