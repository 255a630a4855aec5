from tap.rdb.integers cimport as_signed, back_length, i64, is_score, u16, u32
from tap.rdb.states cimport *
from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *

cdef class Packed:
    cdef Tape tape
    cdef bint values
    cdef public str problem
    cdef int form
    cdef int role
    cdef long long size
    cdef long long position
    cdef readonly long long elements
    cdef long long announced
    cdef long long left
    cdef long long entry
    cdef long long previous
    cdef long long tail
    cdef int width
    cdef long long last
    cdef int part
    cdef bint done
    cdef bint dispatches
    cdef bint made
    # of a stream's node
    cdef unsigned long long ms
    cdef unsigned long long seq
    cdef int step
    cdef long long live
    cdef long long dead
    cdef long long fields
    cdef long long field
    cdef long long flags
    cdef long long seq_delta
    cdef long long own_fields
    cdef long long kept
    cdef long long ms_delta
    cdef long long entry_start
    cdef readonly long long living
    cdef bytearray name
    cdef public list names
    cdef public dict templates

    cdef int begin(self, int form, int role, long long size) except -1
    cdef Py_ssize_t walk(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, bint made) except -1
    cdef Py_ssize_t listpack(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t ziplist(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t intset(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t zipmap(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t pass_string(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef bint number(self, long long value) except -1
    cdef bint string(self, const unsigned char *p, Py_ssize_t start, Py_ssize_t size) except -1
    cdef int item(self, Py_ssize_t start, Py_ssize_t size) except -1
    cdef bint node_number(self, long long value) except -1
    cdef bint node_string(self, const unsigned char *p, Py_ssize_t start, Py_ssize_t size) except -1
    cdef bint node_value_passed(self) except -1
    cdef int say_name(self) except -1
    cdef int say_entry(self, long long fields) except -1
    cdef bint keep(self, bytes name, bint whole) except -1
    cdef bint template_entry(self, long long value) except -1
    cdef Py_ssize_t broken(self, str why) except -1
    cdef int announce(self, long long unknown) except -1
    cdef Py_ssize_t finish(self, Py_ssize_t i, long long counted) except -1
