"""Scenarios as files: their content, and explanations of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap.errors import ConfigError
from tap.faults import parse
from tap.scenario import library, load
from tap.scenario.actions import ACTIONS, Action
from tap.scenario.load import CONDITIONS, find

WHOLE = """
title = "A cut"
servers = ["Redis >= 7", "Valkey"]
both = { repl-timeout = 3, repl-diskless-sync = true }
workload = { rate = 10, preload = "1mb" }
steps = [
  { fault = "cut at=rdb:50% name=mid" },
  { do = "attach" },
  { wait = "fault_fired", where = { fault = "mid", phase = "rdb" }, times = 2, within = "3s" },
  { remove = "mid" },
  { do = "write 1kb", only = "Valkey" },
]

[expect]
resync = "full"
reason = "first_sync"
no_data_loss_before_offset = "acked"

[expect.on."Valkey"]
resync = "none"
converged = false

[expect.on."Valkey >= 9"]
converged = true
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_scenario_is_read_from_its_file(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, WHOLE))
    assert scenario.name == "mine"
    assert scenario.source == str(tmp_path / "mine.toml")
    assert scenario.both == {"repl-timeout": "3", "repl-diskless-sync": "yes"}
    assert scenario.workload.preload == 2**20
    assert scenario.attaches
    assert [str(step) for step in scenario.steps] == [
        "fault cut at=rdb:50% name=mid",
        "attach",
        "wait for fault_fired fault=mid phase=rdb 2 times",
        "remove mid",
        "write 1kb",
    ]
    assert scenario.fits("Valkey 8.1.1")
    assert not scenario.fits("Redis 6.2.14")


def test_what_a_file_leaves_out_is_usual(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, "title = 'a'\nsteps = [{ wait = 'ack' }]"))
    assert (scenario.why, scenario.servers, scenario.master, scenario.replica, scenario.both) == ("", (), {}, {}, {})
    assert scenario.workload.model_dump() == {"kind": "mixed", "rate": 300, "preload": 256 * 1024}
    (step,) = scenario.steps
    assert (step.within, step.where, step.times, step.only, step.remove, step.do) == (20.0, {}, 1, None, None, None)
    assert scenario.expect.model_dump() == {
        "resync": None, "reason": (), "max_full": None, "within": None, "converged": True, "acked_offset": None,
        "link_up": True, "no_data_loss_before_offset": None, "replica_exits": False, "zombie": False,
        "refused_writes": None, "settle": 20.0, "on": {},
    }  # fmt: skip
    assert not scenario.attaches
    assert scenario.fits("anything")


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("no_data_loss_before_offset = 'fault'", "no_data_loss_before_offset", "fault"),
        ("no_data_loss_before_offset = '0'", "no_data_loss_before_offset", 0),
        (f"no_data_loss_before_offset = '{'9' * 19}'", "no_data_loss_before_offset", int("9" * 19)),
        ("reason = ['first_sync', 'unknown']", "reason", ("first_sync", "unknown")),
        *(
            (f"reason = '{reason}'", "reason", (reason,))
            for reason in (
                "first_sync", "replication_id_unknown", "offset_out_of_backlog", "offset_ahead_of_master", "legacy_sync",
                "master_refused_psync", "forced_by_fault", "unknown",
            )
        ),
        ("max_full = 0", "max_full", 0),
        ("within = '250ms'", "within", 0.25),
        ("settle = '1m'", "settle", 60.0),
        ("refused_writes = false", "refused_writes", False),
        ("acked_offset = 'ahead'", "acked_offset", "ahead"),
    ],
)  # fmt: skip
def test_what_can_be_expected(line: str, name: str, value: object, tmp_path: Path) -> None:
    assert getattr(load(written(tmp_path, f"title = 'a'\nsteps = []\nexpect = {{ {line} }}")).expect, name) == value


def test_options_are_spelled_as_redis_spells_them(tmp_path: Path) -> None:
    text = "title = 'a'\nsteps = [{ do = 'attach' }]\nboth = { a = true, b = false, c = 3, d = '1gb', e = '' }"
    assert load(written(tmp_path, text)).both == {"a": "yes", "b": "no", "c": "3", "d": "1gb", "e": ""}


@pytest.mark.parametrize("wait", [*CONDITIONS, "ack", "full_resync"])
def test_any_wait_may_have_a_limit_but_only_events_are_counted_and_looked_at(wait: str, tmp_path: Path) -> None:
    def loaded(more: str) -> None:
        load(written(tmp_path, f"title = 'a'\nsteps = [{{ wait = '{wait}', {more} }}]"))

    loaded("within = '1s'")
    for more in ("times = 2", "where = { offset = 1 }"):
        if wait in CONDITIONS:
            with pytest.raises(ConfigError, match=f"{more.split(' ')[0]} belongs to a wait for an event"):
                loaded(more)
        else:
            loaded(more)


def test_expectations_differ_by_server_and_later_ones_win(tmp_path: Path) -> None:
    expect = load(written(tmp_path, WHOLE)).expect
    assert expect.at("Redis 7.0.15").resync == "full"
    assert expect.at("Valkey 8.1.1").resync == "none"
    assert not expect.at("Valkey 8.1.1").converged
    assert expect.at("Valkey 9.1.2").converged
    assert expect.at("Valkey 9.1.2").reason == ("first_sync",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps = []", "mine.toml: 'title' is missing"),
        ("title = 'a'\nstep = []\nsteps = []", "line 2: unknown key 'step'; known: name, title"),
        ("title = 'a'\nstep = []\nsteps = []", "Did you mean 'steps'?"),
        (
            "title = 'a'\nsteps = [\n{ fualt = 'cut' },\n]",
            "line 3: unknown key 'step 1, fualt'; known: fault, remove, do",
        ),
        (
            "title = 'a'\nsteps = [\n{ do = 'attach' },\n{},\n]",
            "line 4: step 2: one of fault, remove, do, wait is expected",
        ),
        ("title = 'a'\nsteps = [{ do = 'attach', remove = 'x' }]", "remove and do found"),
        ("title = 'a'\nsteps = [{ do = 'atach' }]", "line 2: step 1, do: unknown action 'atach'; known: attach, write"),
        ("title = 'a'\nsteps = [{ do = 'write' }]", "'write' is not understood; it is written 'write SIZE'"),
        ("title = 'a'\nsteps = [{ do = 'write 3 apples' }]", "it is written 'write SIZE'"),
        ("title = 'a'\nsteps = [{ do = 'write lots' }]", "'lots' is not a size"),
        ("title = 'a'\nsteps = [{ do = 'kill it' }]", "kill what? 'it' is unknown; known: master, replica"),
        ("title = 'a'\nsteps = [{ do = '' }]", "nothing to do; known: attach"),
        ("title = 'a'\nsteps = [{ fault = 'cut at=rbd' }]", "step 1, fault: fault 'cut at=rbd': at: 'rbd' is not a"),
        ("title = 'a'\nsteps = [{ wait = 'fault_fird' }]", "nothing called 'fault_fird' can be waited for"),
        ("title = 'a'\nsteps = [{ wait = 'fault_fird' }]", "Did you mean 'fault_fired'?"),
        ("title = 'a'\nsteps = [{ wait = 'level', times = 2 }]", "times belongs to a wait for an event"),
        ("title = 'a'\nsteps = [{ do = 'attach', within = '3s' }]", "within belongs to a wait"),
        ("title = 'a'\nsteps = [{ wait = 'ack', where = { ofset = 3 } }]", "ack has no field 'ofset'"),
        (
            "title = 'a'\nsteps = [\n{ do = 'attach' },\n{ wait = 'full_resync', where = { 'reason.cod' = 'x' } }]",
            "line 4: step 2: full_resync.reason has no field 'cod'; "
            "known: causes, code, inference, known_from, text. Did you mean 'code'?",
        ),
        (
            "title = 'a'\nsteps = []",
            "mine.toml: no step and no expectation: there is nothing to do",
        ),
        ("title = 'a'\nsteps = []\n[expect]", "no step and no expectation"),
        ("title = 'a'\nsteps = [{ wait = 'ack', within = 'soon' }]", "step 1, within: 'soon' is not a time"),
        ("title = 'a'\nsteps = [{ wait = 'ack', only = 'MySQL' }]", "step 1, only: 'MySQL' names no servers"),
        ("title = 'a'\nsteps = [{ remove = 'x' }]", "line 2: step 1, remove: no fault is named 'x'; named: none"),
        ("title = 'a'\nsteps = []\n[expect]\nresync = 'maybe'", "line 4: expect.resync: input should be 'partial'"),
        (
            "title = 'a'\nsteps = []\n[expect]\nreason = 'first'",
            "line 4: expect.reason 1: unknown reason 'first'; known: first",
        ),
        ("title = 'a'\nsteps = []\n[expect]\nconverged = 'x'", "line 4: expect.converged: true or false is expected"),
        ("title = 'a'\nsteps = []\n[expect.on.\"Redis\"]\nresinc = 1", "line 4: unknown key 'expect.on.Redis.resinc'"),
        (
            "title = 'a'\nsteps = []\n[expect.on.\"Mongo\"]\nresync = 'full'",
            "line 3: expect.on.Mongo: 'Mongo' names no servers",
        ),
        ("title = 'a'\nsteps = []\n[expect]\nno_data_loss_before_offset = 'x'", "'x' is not an offset"),
        ("title = 'a'\nsteps = []\n[workload]\nrate = 100001", "line 4: workload.rate: 100000 or less is expected"),
        ("title = 'a'\nsteps = []\n[workload]\nrate = 0", "line 4: workload.rate: 1 or more is expected"),
        (
            "title = 'a'\nsteps = []\n[master]\nsave = []",
            "line 4: master.save: text, a number, true or false is expected",
        ),
        ("title = 'a'\nsteps = []\nmaster = 3", "line 3: master: a table is expected, as workload = "),
    ],
)
def test_a_mistake_is_explained(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert words in str(caught.value)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cut-in-command'"):
        find("cut-in-comand")
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        find("nowhere.toml")


@pytest.mark.parametrize("verb", ACTIONS)
def test_every_action_can_be_written_in_its_documented_form(verb: str) -> None:
    form, _ = ACTIONS[verb]
    words = form.replace("SIZE", "1kb").replace("TIME", "1s").replace("COMMAND", "SET a 1").split(" ")
    text = " ".join([verb, *(word.split("|")[-1] for word in words)]).strip()
    assert Action.parse(text).verb == verb


@pytest.mark.parametrize("scenario", library(), ids=lambda scenario: scenario.name)
def test_a_scenario_of_the_library_gives_its_reason(scenario: object) -> None:
    from tap.scenario import Scenario

    assert isinstance(scenario, Scenario)
    assert scenario.source == scenario.name
    assert scenario.title
    assert len(scenario.why.split()) > 12
    assert all(parse(step.fault) for step in scenario.steps if step.fault)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("set master requirepass sesame", "set master requirepass ***"),
        ("send ACL SETUSER bob '>se same' on", "send ACL SETUSER bob >*** on"),
        ("send  SET 'a b'  c", "send  SET 'a b'  c"),
        ("set replica maxmemory 1gb", "set replica maxmemory 1gb"),
    ],
)
def test_an_action_is_shown_without_its_secrets(text: str, told: str) -> None:
    action = Action.parse(text)
    assert action.text == told
    assert "same" in "".join(action.words) or "*" not in told


@pytest.mark.parametrize(
    "text", ["set master masterauth sesame more", "send AUTH 'sesame", "set nobody masterauth sesame"]
)
def test_a_mistake_in_an_action_repeats_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Action.parse(text)
    assert "sesame" not in str(caught.value)
