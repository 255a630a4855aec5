# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Integers as RDBs encode them, read at p[i], and tests for their decimal text."""

import cython


@cython.exceptval(check=False)
def u16(p: cython.p_const_uchar, i: cython.Py_ssize_t) -> cython.longlong:
    return p[i] | p[i + 1] << 8


@cython.exceptval(check=False)
def u32(p: cython.p_const_uchar, i: cython.Py_ssize_t) -> cython.longlong:
    return p[i] | p[i + 1] << 8 | p[i + 2] << 16 | cython.cast(cython.longlong, p[i + 3]) << 24


@cython.exceptval(check=False)
def i64(p: cython.p_const_uchar, i: cython.Py_ssize_t) -> cython.longlong:
    return as_signed(u32(p, i) | cython.cast(cython.ulonglong, u32(p, i + 4)) << 32)


@cython.exceptval(check=False)
def big32(p: cython.p_const_uchar, i: cython.Py_ssize_t) -> cython.longlong:
    return cython.cast(cython.longlong, p[i]) << 24 | p[i + 1] << 16 | p[i + 2] << 8 | p[i + 3]


@cython.exceptval(check=False)
def big64(p: cython.p_const_uchar, i: cython.Py_ssize_t) -> cython.longlong:
    return as_signed(cython.cast(cython.ulonglong, big32(p, i)) << 32 | big32(p, i + 4))


@cython.exceptval(check=False)
def i64_of_i32(value: cython.longlong) -> cython.longlong:
    return value - 2**32 if value >= 2**31 else value


@cython.exceptval(check=False)
def as_signed(value: cython.ulonglong) -> cython.longlong:
    """Reinterpret 64 bits as a signed number."""
    if not cython.compiled:
        value = (value + 2**63) % 2**64 - 2**63
    return cython.cast(cython.longlong, value)


@cython.exceptval(check=False)
def back_length(entry: cython.longlong) -> cython.Py_ssize_t:
    """The number of bytes in a listpack entry's back length, which has seven bits in each."""
    if entry <= 127:
        return 1
    if entry < 16383:
        return 2
    if entry < 2097151:
        return 3
    if entry < 268435455:
        return 4
    return 5


@cython.locals(j=cython.Py_ssize_t)
def is_integer(p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.bint:
    """Whether p[i:n] is the decimal text of a 64-bit integer, as a server would write it."""
    j = i
    if j < n and p[j] == 45:
        j += 1
    if j == n or p[j] == 48:
        return n - i == 1 and j < n
    while j < n:
        if not 48 <= p[j] <= 57:
            return False
        j += 1
    if n - i < 19:
        return True
    return -(2**63) <= int(bytes(p[i:n])) < 2**63


@cython.locals(
    p=cython.p_const_uchar, i=cython.Py_ssize_t, n=cython.Py_ssize_t, c=cython.int, digits=cython.int, points=cython.int
)
def is_score(text: bytes) -> bool:
    """Whether a server could write this text for a score: any number but NaN."""
    p = text
    n = len(text)
    i = 1 if n and p[0] == 45 else 0
    digits = 0
    points = 0
    while i < n:
        c = p[i]
        if 48 <= c <= 57:
            digits += 1
        elif c == 46:
            points += 1
        else:
            break
        i += 1
    if i == n and digits and points < 2:
        return True  # nearly all are of this form, and float() would take a tenth of the time that the RDB takes
    try:
        return float(text) == float(text)
    except ValueError:
        return False
