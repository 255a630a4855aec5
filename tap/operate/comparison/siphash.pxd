cimport cython

cdef extern from *:
    """
    #define SIPHASH_MASK 0xFFFFFFFFFFFFFFFFULL
    """
    const unsigned long long MASK "SIPHASH_MASK"


@cython.final
cdef class SipHash:
    cdef unsigned long long begin0
    cdef unsigned long long begin1
    cdef unsigned long long begin2
    cdef unsigned long long begin3
    cdef unsigned long long v0
    cdef unsigned long long v1
    cdef unsigned long long v2
    cdef unsigned long long v3
    cdef unsigned long long tail
    cdef int filled
    cdef unsigned long long total
    cdef readonly unsigned long long lo
    cdef readonly unsigned long long hi
    cdef unsigned char digits[24]

    cdef int begin(self) except -1
    cdef int mix(self, unsigned long long word) except -1
    cdef int word(self, unsigned long long number) except -1
    cdef int feed(self, const unsigned char *p, Py_ssize_t start, Py_ssize_t size) except -1
    cdef Py_ssize_t decimal(self, long long number) except -1
    cdef int end(self) except -1
