from tap.rdb.integers cimport big64, i64, is_integer, is_score, u32
from tap.rdb.states cimport *
from tap.rdb.strings cimport Strings
from tap.rdb.tokens cimport *


cdef class Values(Strings):
    cdef int type
    cdef int logical
    cdef int encoding
    cdef long long elements
    cdef long long left
    cdef int shape
    cdef int part
    cdef long long pending_ttl
    cdef long long minimum
    cdef long long nodes
    cdef int container
    cdef int stream_version
    cdef long long groups
    cdef long long consumers
    cdef long long producers
    cdef long long module
    cdef int module_after
    cdef bint module_says
    cdef long long module_position
    cdef long long classes
    cdef long long attributes
    cdef long long attributes_at
    cdef long long metadata_at
    cdef dict templates
    cdef long long templates_size
    cdef long long names_size
    cdef list fields
    cdef readonly int version
    cdef readonly bint valkey
    cdef int valkey_version
    cdef long long expires

    cdef bint begin_value(self) except -1
    cdef Py_ssize_t string_value(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef bint is_embedded(self, long long size) except -1
    cdef Py_ssize_t count(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t items(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t other_part(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n, int part) except -1
    cdef Py_ssize_t list_node(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef bint blob_done(self) except -1
    cdef Py_ssize_t stream(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t group(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t pass_on(self, Py_ssize_t i) except -1
    cdef Py_ssize_t idempotence(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t module_part(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t array(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
    cdef Py_ssize_t template(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
