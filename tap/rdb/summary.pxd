from tap.rdb.keys cimport Key, begun
from tap.rdb.tape cimport Tape
from tap.rdb.tokens cimport *


cdef class Database:
    cdef readonly long long db
    cdef readonly long long keys
    cdef readonly long long bytes
    cdef readonly long long elements
    cdef readonly long long expiring
    cdef long long first_expiry
    cdef long long last_expiry
    cdef long long counts[288]
    cdef long long sizes[288]
    cdef long long members[288]
    cdef readonly dict modules
    cdef readonly list by_size
    cdef readonly list by_elements
    cdef long long size_threshold
    cdef long long elements_threshold


cdef class Summary:
    cdef readonly dict databases
    cdef readonly dict aux
    cdef readonly dict heading
    cdef readonly long long announced
    cdef readonly long long functions
    cdef readonly set module_names
    cdef readonly long long largest
    cdef object only
    cdef bint wanted
    cdef Database current
    cdef long long db
    # the open key
    cdef long long logical
    cdef long long expiry
    cdef Key key
    cdef object module
    cdef int said
    cdef long long fields
    cdef object name
    cdef Py_ssize_t key_at
    cdef list text

    cdef int end_key(self, Tape tape, Py_ssize_t at) except -1
