"""/healthz and /readyz."""

from __future__ import annotations

from tests.control.asking import asked
from tests.support import wait_until


def test_a_tap_is_ready_while_its_links_listen() -> None:
    with asked(links={"orders": "127.0.0.1:1", "sessions": "127.0.0.1:2"}) as tap:
        assert tap.client.get("/healthz").json == {"status": "ok"}
        assert (tap.client.get("/readyz").status, tap.client.get("/readyz").json) == (200, {"ready": True, "text": ""})
        tap.thread.call(lambda: tap.thread.tap.faults.add("refuse link=orders name=closed"))
        wait_until(lambda: tap.client.get("/readyz").status == 503)
        assert tap.client.get("/readyz").json == {
            "ready": False,
            "text": "these links do not listen at present: orders",
        }
        tap.thread.call(lambda: tap.thread.tap.faults.remove("closed"))
        wait_until(lambda: tap.client.get("/readyz").status == 200)
