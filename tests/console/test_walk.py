"""What the keys do."""

from __future__ import annotations

from tap.console.picture import EVENTS, FAULTS, HELP, LINK, OVERVIEW
from tap.console.walk import STOPPED, Walk

ROWS = ["a", "b", "c"]


def walked(*keys: str, links: int = 0) -> tuple[Walk, list[str]]:
    ended: list[str] = []
    walk = Walk(lambda: ended.append("ended"))
    walk.last = 5
    for key in keys:
        walk.press(key, ROWS, links)
        if key not in ("up", "down", "page up", "page down", "home", "end"):
            walk.last = 5
    return walk, ended


def test_arrows_choose_a_row_and_enter_opens_it() -> None:
    assert walked("down")[0].key == "b"
    assert walked("down", "down", "down", "down")[0].key == "c"
    assert walked("end", "up")[0].key == "b"
    assert walked("page down", "home")[0].key == "a"
    walk, _ = walked("enter")
    assert (walk.page, walk.key) == (LINK, "a")
    assert walked("down", "right")[0].page == LINK


def test_pages_open_and_go_back() -> None:
    for key, page in (("f", FAULTS), ("e", EVENTS), ("?", HELP)):
        assert walked(key)[0].page == page
        assert walked(key, "esc")[0].page == OVERVIEW
        assert walked(key, "left")[0].page == OVERVIEW
        assert walked(key, key)[0].page == OVERVIEW
    assert walked("f", "e")[0].page == EVENTS


def test_a_page_moves_as_far_as_it_reaches() -> None:
    assert walked("e", "down", "down")[0].scroll == 2
    assert walked("e", "page down")[0].scroll == 5
    assert walked("e", "end", "up")[0].scroll == 4
    assert walked("e", "up")[0].scroll == 0
    assert walked("e", "end", "esc", "e")[0].scroll == 0


def test_q_ends_at_once_where_no_replica_would_lose_its_link() -> None:
    assert walked("q")[1] == ["ended"]


def test_q_asks_where_replicas_would_lose_their_links() -> None:
    walk, ended = walked("q", links=2)
    assert not ended
    assert walk.notice.startswith("q again ends the tap: 2 replicas lose their links.")
    assert walked("q", "q", links=1)[1] == ["ended"]
    walk, ended = walked("q", "down", "q", links=1)
    assert not ended
    assert walk.key is None
    assert walked("q", "x", links=1)[0].notice == ""


def test_ctrl_z_says_why_it_does_not_stop_the_tap() -> None:
    assert walked("ctrl-z")[0].notice == STOPPED


def test_a_row_that_has_gone_gives_the_cursor_to_the_first_one() -> None:
    walk, _ = walked("end")
    assert walk.at(ROWS) == 2
    assert walk.at(["a", "b"]) == 0
    walk.press("enter", [], 0)
    assert walk.page == OVERVIEW
