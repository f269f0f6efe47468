/* Products with CSR rows, for REAL weights and any index and value type: cost follows the non-zeros. */

#define CSR_KERNELS(suffix, INDEX, VALUE)                                                                      \
    static void FN(csr_product_##suffix)(void *z_, const fm_csr *x, const ptrdiff_t *index, ptrdiff_t first,   \
                                         ptrdiff_t rows, const void *w_, ptrdiff_t n, ptrdiff_t ld)            \
    {                                                                                                          \
        const INDEX *indptr = x->indptr, *indices = x->indices;                                                \
        const VALUE *data = x->data;                                                                           \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict z = ALIGNED((REAL *)z_ + i * ld);                                                   \
            ptrdiff_t row = ROW_OF(i);                                                                         \
            memset(z, 0, sizeof(REAL) * (size_t)ld);                                                           \
            for (ptrdiff_t k = (ptrdiff_t)indptr[row]; k < (ptrdiff_t)indptr[row + 1]; k++) {                  \
                const REAL *restrict w = (const REAL *)w_ + (ptrdiff_t)indices[k] * n;                         \
                REAL value = (REAL)data[k];                                                                    \
                for (ptrdiff_t j = 0; j < n; j++) z[j] = FN(fma)(value, w[j], z[j]);                           \
            }                                                                                                  \
        }                                                                                                      \
    }                                                                                                          \
    /* cuts (rows, n_cuts): where, from the start of a row, its columns reach 0, width, 2 width, ... */        \
    static void FN(csr_cut_##suffix)(int32_t *cuts, ptrdiff_t n_cuts, ptrdiff_t width, const fm_csr *x,        \
                                     const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows)                  \
    {                                                                                                          \
        const INDEX *indptr = x->indptr, *indices = x->indices;                                                \
        for (ptrdiff_t i = 0; i < rows; i++, cuts += n_cuts) {                                                 \
            ptrdiff_t row = ROW_OF(i), start = (ptrdiff_t)indptr[row], end = (ptrdiff_t)indptr[row + 1], t = 0; \
            for (ptrdiff_t k = start; k < end; k++)                                                            \
                for (; t * width <= (ptrdiff_t)indices[k]; t++) cuts[t] = (int32_t)(k - start);                \
            for (; t < n_cuts; t++) cuts[t] = (int32_t)(end - start);                                          \
        }                                                                                                      \
    }                                                                                                          \
    static void FN(csr_gradient_##suffix)(void *grad_, const fm_csr *x, const ptrdiff_t *index,                \
                                          ptrdiff_t first, ptrdiff_t rows, const int32_t *cuts,                \
                                          ptrdiff_t n_cuts, ptrdiff_t start, ptrdiff_t stop, const void *d_,   \
                                          ptrdiff_t n, ptrdiff_t ld, int accumulate)                           \
    {                                                                                                          \
        const INDEX *indptr = x->indptr, *indices = x->indices;                                                \
        const VALUE *data = x->data;                                                                           \
        if (!accumulate) memset(grad_, 0, sizeof(REAL) * (size_t)((stop - start) * n));                        \
        for (ptrdiff_t i = 0; i < rows; i++, cuts += n_cuts) {                                                 \
            const REAL *restrict d = ALIGNED((const REAL *)d_ + i * ld);                                       \
            const ptrdiff_t row_start = (ptrdiff_t)indptr[ROW_OF(i)], end = row_start + cuts[1];               \
            for (ptrdiff_t k = row_start + cuts[0]; k < end; k++) {                                            \
                REAL *restrict grad = (REAL *)grad_ + ((ptrdiff_t)indices[k] - start) * n;                     \
                REAL value = (REAL)data[k];                                                                    \
                for (ptrdiff_t j = 0; j < n; j++) grad[j] = FN(fma)(value, d[j], grad[j]);                     \
            }                                                                                                  \
        }                                                                                                      \
    }
CSR_KERNELS(i32_f32, int32_t, float)
CSR_KERNELS(i32_f64, int32_t, double)
CSR_KERNELS(i64_f32, int64_t, float)
CSR_KERNELS(i64_f64, int64_t, double)
