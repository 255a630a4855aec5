from tap.rdb.integers cimport as_signed, big32, i64_of_i32, u16, u32
from tap.rdb.lzf cimport Expander
from tap.rdb.packed cimport Packed
from tap.rdb.states cimport *
from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *


cdef class Strings:
    cdef Tape tape
    cdef Packed packed
    cdef Expander expander
    cdef readonly bint values
    cdef bytearray leftover
    cdef Py_ssize_t wanted
    cdef long long base
    cdef long long limit
    cdef int state
    cdef int after
    cdef readonly object problem
    cdef long long db
    cdef Py_ssize_t key_start
    cdef Py_ssize_t key_size
    cdef bytes key
    cdef bint key_open
    cdef int kind
    cdef long long number
    cdef long long size
    cdef long long expanded
    cdef bint emits
    cdef bint blob
    cdef Py_ssize_t window
    cdef Py_ssize_t window_end
    cdef long long long_at

    cdef Py_ssize_t need(self, Py_ssize_t i, long long size) except -1
    cdef Py_ssize_t bad(self, Py_ssize_t i, str why, str kind=*) except -1
    cdef Py_ssize_t length(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t counted(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t header(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t string(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, bint emits, int then) except -1
    cdef Py_ssize_t whole(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, long long most) except -1
    cdef Py_ssize_t expand_whole(self, const unsigned char *p, Py_ssize_t i) except -1
    cdef int begin_window(self) except -1
    cdef Py_ssize_t raw(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t blob_string(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, int form, int role) except -1
    cdef Py_ssize_t blob_raw(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t compressed(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef bint blob_done(self) except -1
