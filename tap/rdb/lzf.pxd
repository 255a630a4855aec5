cdef class Expander:
    cdef Py_ssize_t i
    cdef Py_ssize_t o
    cdef long long done
    cdef long long size

    cdef int begin(self, long long size) except -1
    cdef bint measure(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef bint expand(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, unsigned char *out, Py_ssize_t o, Py_ssize_t room) except -1
