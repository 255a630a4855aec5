from tap.rdb.keys cimport Key, begun
from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *


cdef class JsonText:
    cdef bytearray data
    cdef unsigned char *p
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    cdef int make_room(self, Py_ssize_t size) except -1
    cdef int put(self, int c) except -1
    cdef int raw(self, bytes text) except -1
    cdef int text(self, JsonText other) except -1
    cdef int integer(self, long long value) except -1
    cdef int quoted_integer(self, long long value) except -1
    cdef int string(self, const unsigned char *p, Py_ssize_t size) except -1


cdef class JsonLines:
    cdef object write
    cdef object spool
    cdef object only
    cdef JsonText out
    cdef JsonText value
    cdef dict kinds
    cdef readonly long long records
    # the open key
    cdef Key key
    cdef bint open
    cdef bint wanted
    cdef long long logical
    cdef bint has_ttl
    cdef long long index
    cdef bint spilled
    cdef object long
    # a stream
    cdef long long entries
    cdef long long fields
    cdef object groups
    cdef bytes name

    cdef int begin(self, Tape tape, Py_ssize_t at) except -1
    cdef int end(self, Tape tape, Py_ssize_t at) except -1
    cdef int element(self, const unsigned char *p, Py_ssize_t start, Py_ssize_t size) except -1
    cdef int number(self, long long value) except -1
    cdef int before(self) except -1
    cdef int after(self) except -1
    cdef int score(self, double value) except -1
    cdef int expiry(self, long long at) except -1
