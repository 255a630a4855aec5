cdef class Blocks:
    cdef readonly set flows
    cdef readonly Py_ssize_t size
    cdef object _last
    cdef object _buffer
    cdef unsigned char *_p
    cdef Py_ssize_t _capacity

    cdef int _grow(self, Py_ssize_t needed) except -1


cdef class TcpFlow:
    cdef readonly object owner
    cdef bint _is_ipv4
    cdef Py_ssize_t _head
    cdef list _heads
    cdef unsigned long long _address_sum
    cdef unsigned long long _ip_sum
    cdef unsigned long long[2] _first
    cdef unsigned long long[2] _next
    cdef bint _acks

    cdef int put(
        self,
        Blocks out,
        unsigned long long time,
        int side,
        int flags,
        const unsigned char *data,
        Py_ssize_t n,
        bytes options,
    ) except -1
    cdef int _packet(
        self,
        Blocks out,
        unsigned long long time,
        int side,
        int flags,
        const unsigned char *data,
        Py_ssize_t at,
        Py_ssize_t size,
        bytes options,
    ) except -1
