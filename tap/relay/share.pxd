cimport cython

cdef double _TURN, _LONG, _WINDOW
cdef Py_ssize_t _BULK


cdef class Turns:
    cdef object _last
    cdef double _last_at, _other_at

    cpdef note(self, object link, double at)
    cpdef bint another(self, object link, double at)


cdef class Thread:
    cdef readonly Turns turns
    cdef readonly Turns brief


cdef class LinkAccount:
    cdef Thread _thread
    cdef double _at, _brief_from, _debt

    @cython.locals(turns=Turns)
    cpdef bint is_beside(self, double at, bint is_active=*)
    @cython.locals(brief=Turns)
    cpdef bint is_waited_for(self, double at, bint is_bulk)
    @cython.locals(debt=double)
    cpdef double rest(self, double took, double now, bint is_beside, double part, double credit)


cdef class LegShare:
    cdef public Py_ssize_t size
    cdef readonly bint is_waited_for
    cdef LinkAccount _account
    cdef object _wall, _cpu
    cdef double _began, _cpu_began, _doubles
    cdef Py_ssize_t _limit
    cdef int _suspected, _warned

    cpdef Py_ssize_t begin(self)
    @cython.locals(now=double, took=double, most=double, cost=double, size=Py_ssize_t, account=LinkAccount, is_beside=bint,
                   is_waited_for=bint)
    cpdef double used(self, Py_ssize_t read)
