"""A recording made with --redact: nothing of the data is in the file, and it can be read as any other."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap import recording
from tap.config import Config
from tap.errors import ConfigError
from tap.recording import recorder
from tap.recording.masks import Masker, ReplyMasker
from tap.recording.recorder import Recorder
from tap.recording.redaction import Redaction
from tap.replication import events
from tests.recording.support import listening, tshark
from tests.recording.test_reader import read
from tests.recording.test_recorder import comments, config, exchange, sides
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import WITHIN, Servers, TapThread, client, follow, is_up, level, wait_until

SECRETS = (b"hidden-value", b"hidden-key", b"hidden-member")
STREAM = b"".join(
    (
        command("SELECT", "0"),
        command("SET", "hidden-key", "hidden-value" * 20_000),
        command("MULTI"),
        command("SADD", "hidden-key:s", "hidden-member"),
        command("EXEC"),
        command("REPLCONF", "GETACK", "*"),
    )
)
BOTH = ("values", "keys")
