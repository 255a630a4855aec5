cdef long long u16(const unsigned char *p, Py_ssize_t i) noexcept
cdef long long u32(const unsigned char *p, Py_ssize_t i) noexcept
cdef long long i64(const unsigned char *p, Py_ssize_t i) noexcept
cdef long long big32(const unsigned char *p, Py_ssize_t i) noexcept
cdef long long big64(const unsigned char *p, Py_ssize_t i) noexcept
cdef long long i64_of_i32(long long value) noexcept
cdef long long as_signed(unsigned long long value) noexcept
cdef Py_ssize_t back_length(long long entry) noexcept
cdef bint is_integer(const unsigned char *p, Py_ssize_t i, Py_ssize_t n) except -1
cpdef bint is_score(bytes text) except -1
