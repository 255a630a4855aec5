cimport cython

from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *


# A Key cannot be part of a reference cycle, and an RDB has millions: no_gc saves the garbage collector's header.
@cython.no_gc
@cython.freelist(1024)
cdef class Key:
    cdef readonly long long db
    cdef readonly bytes key
    cdef readonly long long rdb_type
    cdef readonly long long position
    cdef readonly long long serialized_bytes
    cdef readonly long long elements
    cdef long long logical
    cdef long long code
    cdef long long expiry
    cdef long long frequency
    cdef long long idleness
    cdef public object module


cpdef Key begun(Tape tape, Py_ssize_t at)


cdef class KeyReader:
    cdef readonly list found
    cdef Key current
    cdef object each
