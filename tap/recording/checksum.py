# cython: boundscheck=False, wraparound=False
"""The sum under every IP and TCP checksum, RFC 1071. Every recorded byte goes through it; compiled, without the GIL."""

import cython


@cython.locals(
    view="const unsigned char[::1]",
    p=cython.p_const_uchar,
    i=cython.Py_ssize_t,
    n=cython.Py_ssize_t,
    total=cython.ulonglong,
)
def ones_sum(data: bytes | memoryview) -> int:
    """The one's complement sum of the 16-bit words of data, most significant byte first; an odd last byte is a high one.

    0 to 65535; of two representations of zero, 65535 unless every byte is 0.
    """
    n = len(data)
    if n == 0:
        return 0
    if cython.compiled:
        view = data
        p = cython.address(view[0])
        total = 0
        with cython.nogil:
            i = 0
            # Words of memory order, as RFC 1071 (2) B allows; right where that is little-endian and words are read
            # from any address, as on x86-64 and arm64. 2^32 of them fit.
            while i + 8 <= n:
                total += cython.cast("const unsigned int *", p + i)[0]
                total += cython.cast("const unsigned int *", p + i + 4)[0]
                i += 8
            while i + 2 <= n:
                total += p[i] | cython.cast(cython.ulonglong, p[i + 1]) << 8
                i += 2
            if i < n:
                total += p[i]
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
        return (total & 0xFF) << 8 | total >> 8
    number = int.from_bytes(data, "big")
    if n & 1:
        number <<= 8
    return number and (number % 0xFFFF or 0xFFFF)
