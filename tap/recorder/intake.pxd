from tap.capture.packets cimport Blocks, TcpFlow
from tap.replication.acks cimport are_acks


cdef class Gathering:
    cdef public Blocks blocks
    cdef public Py_ssize_t limit
    cdef public bint wants
    cdef readonly object pass_on


cdef class Intake:
    cdef public TcpFlow tcp
    cdef Gathering _gathering
    cdef long long[2] _received
    cdef bint[2] _is_plain


cdef unsigned long long now() noexcept
