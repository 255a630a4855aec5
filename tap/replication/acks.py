# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""REPLCONF ACK: the only request that comes all the time, thousands a second if clients WAIT.

Redis 7.0 replication.c, replicationSendAck: an array of three words. From 7.2 on a replica with an AOF adds FACK and the
offset up to which the AOF is on disk. Any other spelling, and an incomplete one, is left to RequestReader. Written in
Cython's pure-Python mode.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cpython.buffer import Py_buffer, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
    from cython.cimports.libc.string import memcmp

COMPILED: bool = cython.compiled

_ACK = cython.declare(bytes, b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n")
_ACK_FACK = cython.declare(bytes, b"*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n")
_OFFSET = cython.declare(cython.Py_ssize_t, len(_ACK))  # the place of the offset in both
_FACK = cython.declare(bytes, b"$4\r\nFACK\r\n")
_MAX_DIGITS = cython.declare(cython.Py_ssize_t, 18)  # 64 bits hold every number of 18 digits


@cython.locals(n=cython.Py_ssize_t, at=cython.Py_ssize_t, q=cython.p_const_uchar)
def acknowledged(data: bytes | memoryview) -> tuple[int, int | None] | None:
    """The offset, and the one on disk, if the data are exactly one acknowledgement; else None."""
    if cython.compiled:
        view = cython.declare(Py_buffer)
        PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
        q, n = cython.cast(cython.p_const_uchar, view.buf), view.len
    else:
        q, n = bytes(data), len(data)
    try:
        if after_ack(q, 0, n) != n:
            return None
        at = after_number(q, _OFFSET, n)
        return number(q, _OFFSET), None if at == n else number(q, at + len(_FACK))
    finally:
        if cython.compiled:
            PyBuffer_Release(cython.address(view))


@cython.locals(
    n=cython.Py_ssize_t, at=cython.Py_ssize_t, end=cython.Py_ssize_t, digits=cython.Py_ssize_t, q=cython.p_const_uchar
)
def acknowledgements(
    data: bytes | memoryview, skips_newlines: bool = False
) -> tuple[list[tuple[int, int | None, int, int]], int]:
    """The consecutive acknowledgements at the front of the data; skips_newlines: newlines may stand between them.

    Returns for each the offset, the one on disk, its first byte and its end; and the place of the first byte of anything
    else, or of an incomplete acknowledgement.
    """
    found: list[tuple[int, int | None, int, int]] = []
    if cython.compiled:
        view = cython.declare(Py_buffer)
        PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
        q, n = cython.cast(cython.p_const_uchar, view.buf), view.len
    else:
        q, n = bytes(data), len(data)
    at = 0
    try:
        while at < n:
            if skips_newlines and q[at] == 10:
                at += 1
                continue
            end = after_ack(q, at, n)
            if end < 0:
                break
            digits = after_number(q, at + _OFFSET, n)
            fsynced = None if digits == end else number(q, digits + len(_FACK))
            found.append((number(q, at + _OFFSET), fsynced, at, end))
            at = end
        return found, at
    finally:
        if cython.compiled:
            PyBuffer_Release(cython.address(view))


def are_acknowledgements(data: bytes) -> bool:
    """Whether the data are one or more whole acknowledgements and nothing else."""
    return are_acks(data, len(data))


@cython.locals(at=cython.Py_ssize_t)
def are_acks(q: cython.p_const_uchar, n: cython.Py_ssize_t) -> cython.bint:
    at = 0
    while 0 <= at < n:
        at = after_ack(q, at, n)
    return at == n > 0


def after_ack(q: cython.p_const_uchar, at: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The end of the acknowledgement that begins at *at*; -1 if there is none, or an incomplete one."""
    if begins(q, at, n, _ACK):
        return after_number(q, at + _OFFSET, n)
    if begins(q, at, n, _ACK_FACK):
        at = after_number(q, at + _OFFSET, n)
        if at >= 0 and begins(q, at, n, _FACK):
            return after_number(q, at + len(_FACK), n)
    return -1


@cython.locals(size=cython.Py_ssize_t)
def begins(q: cython.p_const_uchar, at: cython.Py_ssize_t, n: cython.Py_ssize_t, words: bytes) -> cython.bint:
    size = len(words)
    if n - at < size:
        return False
    if not cython.compiled:
        return q[at : at + size] == words
    return memcmp(q + at, cython.cast(cython.p_const_uchar, words), size) == 0


@cython.locals(size=cython.Py_ssize_t, end=cython.Py_ssize_t)
def after_number(q: cython.p_const_uchar, at: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The end of the bulk string of digits that begins at *at*; -1 if there is none, or an incomplete one."""
    if at >= n or q[at] != 0x24:
        return -1
    at += 1
    size = 0
    if at < n and q[at] == 48:  # 0: no number has length 0, and lengths have no leading zeros
        return -1
    while at < n and 48 <= q[at] <= 57 and size <= _MAX_DIGITS:
        size = size * 10 + q[at] - 48
        at += 1
    end = at + 2 + size
    if not 1 <= size <= _MAX_DIGITS or n - end < 2 or q[at] != 13 or q[at + 1] != 10:
        return -1
    at += 2
    while at < end:
        if not 48 <= q[at] <= 57:
            return -1
        at += 1
    return at + 2 if q[at] == 13 and q[at + 1] == 10 else -1


@cython.locals(value=cython.longlong)
def number(q: cython.p_const_uchar, at: cython.Py_ssize_t) -> cython.longlong:
    """The number in the bulk string of digits that begins at *at*."""
    while q[at] != 10:
        at += 1
    at += 1
    value = 0
    while q[at] != 13:
        value = value * 10 + q[at] - 48
        at += 1
    return value
