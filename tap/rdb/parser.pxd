from tap.rdb.integers cimport i64, i64_of_i32, u32
from tap.rdb.states cimport *
from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *
from tap.rdb.values cimport Values


cdef class Parser(Values):
    cdef object crc
    cdef bint checks
    cdef readonly str checksum
    cdef bint names_version
    cdef long long freq
    cdef long long idle
    cdef long long key_position
    cdef readonly long long keys

    cdef Py_ssize_t take(self, object data) except -1
    cdef Py_ssize_t step(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t magic(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t record(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t opcode(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, int c) except -1
    cdef Py_ssize_t attribute(self, Py_ssize_t i, Py_ssize_t j) except -1
    cdef Py_ssize_t aux(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t lengths(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, int count) except -1
    cdef Py_ssize_t key_record(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t unknown_type(self, Py_ssize_t i) except -1
    cdef Py_ssize_t key_name(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t value_end(self, Py_ssize_t i) except -1
    cdef Py_ssize_t resp(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t check(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
