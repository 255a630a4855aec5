from tap.operate.comparison.siphash cimport SipHash
from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *


cdef class Digest:
    cdef SipHash hash
    cdef SipHash more
    cdef object put
    cdef object only
    cdef bint expiries
    cdef bint functions
    cdef readonly long long keys
    cdef readonly dict aux
    # what is held for each partition
    cdef bytearray buffer
    cdef unsigned char *b
    cdef Py_ssize_t used[256]
    cdef unsigned long long sums_lo[256]
    cdef unsigned long long sums_hi[256]
    cdef long long counts[256]
    cdef double[::1] pun
    cdef long long[::1] pun_bits
    # beside keys
    cdef list beside
    cdef bint in_function
    # the open key
    cdef bint open
    cdef long long db
    cdef bytes name
    cdef long long logical
    cdef long long expiry
    cdef bint has_ttl
    cdef bint is_sum
    cdef Py_ssize_t size
    cdef int part
    cdef unsigned long long lo
    cdef unsigned long long hi
    cdef unsigned long long extra
    cdef bint lacks

    cdef int begin(self, Tape tape, Py_ssize_t at) except -1
    cdef int end(self, long long elements) except -1
    cdef int record(self, long long kind, long long elements) except -1
    cdef int head(self, Py_ssize_t o, Py_ssize_t size, long long kind, long long elements) except -1
    cdef int number(self, Py_ssize_t o, unsigned long long value) except -1
    cdef int flush(self, int k) except -1
    cdef int string(self, const unsigned char *p, Py_ssize_t start, Py_ssize_t size) except -1
    cdef double decimal(self, const unsigned char *p, Py_ssize_t start, Py_ssize_t size) except? -1
    cdef int integer(self, long long value) except -1
    cdef int string_end(self, Py_ssize_t size) except -1
    cdef int score(self, double value) except -1
    cdef int element(self) except -1
    cdef int rarer(self, Tape tape, Py_ssize_t at, long long token) except -1
