"""The actions of a step, as its author writes them."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.scenario.actions import ACTIONS, BOTH, OWN_ONLY, TARGETS, Action


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("attach", Action("attach", "attach")),
        ("write 2mb", Action("write 2mb", "write", amount=2 * 2**20)),
        ("pause 1500ms", Action("pause 1500ms", "pause", amount=1.5)),
        ("send SET key 'a b'", Action("send SET key 'a b'", "send", words=("SET", "key", "a b"))),
        ("send PING", Action("send PING", "send", words=("PING",))),
        ("set replica save ''", Action("set replica save ''", "set", target="replica", words=("save", ""))),
        ("send CONFIG SET requirepass pw", Action("send CONFIG SET requirepass ***", "send",
         words=("CONFIG", "SET", "requirepass", "pw"))),
        ("send AUTH pw", Action("send AUTH ***", "send", words=("AUTH", "pw"))),
        ("set master masterauth pw", Action("set master masterauth ***", "set", target="master",
         words=("masterauth", "pw"))),
        *[(f"{verb} {target}", Action(f"{verb} {target}", verb, target=target))
          for verb, targets in TARGETS.items() if verb != "set" for target in targets],
    ],
)  # fmt: skip
def test_actions_are_understood(text: str, action: Action) -> None:
    assert Action.parse(text) == action


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing to do; known: attach, write,"),
        ("  ", "nothing to do"),
        ("'open", "no closing quotation"),
        ("promte replica", "unknown action 'promte'; known: attach, write, send, start, stop, restart, kill, disconnect, "
         "promote, demote, set, pause. Did you mean 'promote'?"),
        ("promote master", "promote what? 'master' is unknown; known: replica"),
        ("start replca", "Did you mean 'replica'?"),
        ("attach replica", "'attach replica' is not understood; it is written 'attach'"),
        ("write", "it is written 'write SIZE'"),
        ("write 1mb 2mb", "it is written 'write SIZE'"),
        ("write 5", "needs its unit"),
        ("pause", "it is written 'pause TIME'"),
        ("pause 5", "needs its unit"),
        ("send", "it is written 'send COMMAND'"),
        ("kill", "it is written 'kill master|replica'"),
        ("kill master now", "it is written 'kill master|replica'"),
        ("set master save", "it is written 'set master|replica OPTION VALUE'"),
        ("set master a b c", "it is written 'set master|replica OPTION VALUE'"),
        ("set workload a b", "set what? 'workload' is unknown; known: master, replica"),
    ],
)  # fmt: skip
def test_other_words_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Action.parse(text)
    assert said in str(raised.value)


def test_a_mistake_shows_no_password() -> None:
    for text in ("set master masterauth hunter2 more", "send AUTH hunter2 'open", "sned AUTH hunter2"):
        with pytest.raises(ConfigError) as raised:
            Action.parse(text)
        assert "hunter2" not in str(raised.value)


def test_every_action_is_described() -> None:
    assert all(does for _, does in ACTIONS.values())
    assert TARGETS.keys() < ACTIONS.keys()
    assert ACTIONS.keys() > OWN_ONLY
    assert BOTH == ("master", "replica")


@pytest.mark.parametrize(
    ("text", "own_only"),
    [
        *[
            (text, True)
            for text in ("kill replica", "start master", "restart replica", "promote replica", "demote master")
        ],
        *[(text, False) for text in ("start workload", "stop workload", "disconnect replica", "write 1kb", "attach")],
    ],
)
def test_what_is_done_to_servers_of_our_own_only(text: str, own_only: bool) -> None:
    assert Action.parse(text).is_own_only is own_only
