from tap.rdb.tokens cimport *


cdef class Tape:
    cdef object reader
    cdef readonly object source
    cdef const unsigned char *s
    cdef readonly bytearray arena
    cdef unsigned char *a
    cdef readonly long long[::1] numbers
    cdef readonly double[::1] scores
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t used
    cdef Py_ssize_t base

    cpdef bytes text(self, Py_ssize_t start, Py_ssize_t size)
    cdef int open(self, const unsigned char *s, object source) except -1
    cdef int flush(self) except -1
    cdef int say(self, long long token) except -1
    cdef int say1(self, long long token, long long a) except -1
    cdef int say2(self, long long token, long long a, long long b) except -1
    cdef int say4(self, long long token, long long a, long long b, long long c, long long d) except -1
    cdef int add(self, long long number) except -1
    cdef int room(self, Py_ssize_t size) except -1
    cdef int copy(self, bytes data) except -1
