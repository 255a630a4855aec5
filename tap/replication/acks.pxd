cdef bint are_acks(const unsigned char *q, Py_ssize_t n) noexcept
cdef Py_ssize_t after_ack(const unsigned char *q, Py_ssize_t at, Py_ssize_t n) noexcept
cdef bint begins(const unsigned char *q, Py_ssize_t at, Py_ssize_t n, bytes words) noexcept
cdef Py_ssize_t after_number(const unsigned char *q, Py_ssize_t at, Py_ssize_t n) noexcept
cdef long long number(const unsigned char *q, Py_ssize_t at) noexcept
