"""The C tables of kernels, as Cython sees them (simd/tables.h)."""

from libc.stdint cimport int32_t, uint32_t, uint64_t


cdef extern from "simd/tables.h" nogil:
    enum:
        FM_N_ACTIVATIONS
        FM_N_LOSSES
        FM_N_LOSS_NUMBERS
        FM_N_OPTIMIZERS
        FM_N_LAYER_KERNELS
        FM_MAX_STATES
        FM_MAX_MEMORY
        FM_COLUMNS
        FM_ROW_BYTES
        FM_PEAK_FLOPS
        FM_N_ISAS
        FM_TARGET_CODE
        FM_TARGET_BYTE
        FM_TARGET_REAL
        FM_ACTIVATION_identity
        FM_N_TARGETS
        FM_ANY
        FM_NOT_NEGATIVE
        FM_POSITIVE
        FM_OPTION_label_smoothing
        FM_OPTION_quantiles
        FM_OPTION_segments
        FM_ACTIVATION_softmax
        FM_OPTIMIZER_gradient

    ctypedef struct fm_csr:
        const void *indptr
        const void *indices
        const void *data

    ctypedef struct fm_update:
        double learning_rate, t, alpha, inverse_weight
        double momentum, nesterov, beta_1, beta_2, epsilon, weight_decay, clip_value
        double rate, second_rate, keep, decay
        double *memory

    ctypedef struct fm_activation_row:
        const char *name
        int hidden

    ctypedef struct fm_loss_row:
        const char *name
        int activation
        int target
        int domain
        int options

    ctypedef struct fm_loss_number_row:
        const char *name
        double initial, low, high
        bint closed

    ctypedef struct fm_loss_options:
        double *numbers
        const void *quantiles
        const ptrdiff_t *offsets
        ptrdiff_t n_segments

    ctypedef struct fm_optimizer_row:
        const char *name
        int n_states, n_memory, averages
        void (*prepare)(fm_update *u) noexcept nogil

    ctypedef void (*fm_epilogue)(void *z, const void *operand, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld) noexcept nogil
    ctypedef void (*fm_map)(void *out, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld) noexcept nogil
    ctypedef void (*fm_dropout)(
        void *out, const void *in_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, uint64_t key, ptrdiff_t first,
        uint32_t threshold, double scale
    ) noexcept nogil
    ctypedef void (*fm_loss)(
        void *z, const void *bias, const void *y, const double *weight, double *row_loss,
        ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options
    ) noexcept nogil
    ctypedef void (*fm_targets)(
        void *y, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
        const fm_loss_options *options
    ) noexcept nogil
    ctypedef void (*fm_softmax_segments)(
        void *z, const void *bias, ptrdiff_t rows, ptrdiff_t ld, const ptrdiff_t *offsets, ptrdiff_t n_segments
    ) noexcept nogil
    ctypedef void (*fm_sum_parts)(
        void *out, const void *first, ptrdiff_t stride, ptrdiff_t parts, ptrdiff_t count
    ) noexcept nogil
    ctypedef int (*fm_all_finite)(const void *x, ptrdiff_t count) noexcept nogil
    ctypedef void (*fm_product)(
        void *c, ptrdiff_t ldc, const void *a, ptrdiff_t a_row, ptrdiff_t a_k, const void *b, ptrdiff_t ldb,
        ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, int accumulate, fm_epilogue finish, const void *operand,
        ptrdiff_t operand_ld
    ) noexcept nogil
    ctypedef void (*fm_transpose)(
        void *out, ptrdiff_t ld, const void *w, ptrdiff_t w_ld, ptrdiff_t rows, ptrdiff_t n
    ) noexcept nogil
    ctypedef double (*fm_step)(
        void *w, const void *grad, void **state, ptrdiff_t count, const fm_update *u
    ) noexcept nogil
    ctypedef double (*fm_penalise)(
        void *grad, const void *w, ptrdiff_t count, const fm_update *u, double *norm
    ) noexcept nogil
    ctypedef void (*fm_blend)(void *w, const void *z, ptrdiff_t count, double share) noexcept nogil
    ctypedef void (*fm_max_norm)(
        void *w, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t first, ptrdiff_t count, double most
    ) noexcept nogil
    ctypedef void (*fm_rows)(
        void *x, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld
    ) noexcept nogil

    ctypedef void (*fm_csr_product)(
        void *z, const fm_csr *x, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
        const void *w, ptrdiff_t n, ptrdiff_t ld
    ) noexcept nogil
    ctypedef void (*fm_csr_cut)(
        int32_t *cuts, ptrdiff_t n_cuts, ptrdiff_t width, const fm_csr *x, const ptrdiff_t *index,
        ptrdiff_t first, ptrdiff_t rows
    ) noexcept nogil
    ctypedef void (*fm_csr_gradient)(
        void *grad, const fm_csr *x, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows, const int32_t *cuts,
        ptrdiff_t n_cuts, ptrdiff_t start, ptrdiff_t stop, const void *d, ptrdiff_t n, ptrdiff_t ld, int accumulate
    ) noexcept nogil

    ctypedef struct fm_codes:
        const int32_t *codes
        ptrdiff_t n_codes
        const ptrdiff_t *index
        ptrdiff_t first

    ctypedef void (*fm_scale)(
        void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *s, ptrdiff_t rows, ptrdiff_t n
    ) noexcept nogil
    ctypedef void (*fm_scale_gradient)(
        void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t d_ld, ptrdiff_t rows, ptrdiff_t n,
        int accumulate
    ) noexcept nogil
    ctypedef void (*fm_mix)(
        void *out, ptrdiff_t ld, const void *x, ptrdiff_t x_ld, const void *f, ptrdiff_t f_ld, const void *a,
        ptrdiff_t rows, ptrdiff_t n
    ) noexcept nogil
    ctypedef void (*fm_mix_slope)(
        void *out, ptrdiff_t out_ld, const void *d, ptrdiff_t d_ld, const void *a, ptrdiff_t rows, ptrdiff_t n
    ) noexcept nogil
    ctypedef void (*fm_mix_gradient)(
        void *grad, const void *d, ptrdiff_t d_ld, const void *x, ptrdiff_t x_ld, const void *f,
        ptrdiff_t f_ld, ptrdiff_t rows, ptrdiff_t n, int accumulate
    ) noexcept nogil
    ctypedef void (*fm_onehot_add)(
        void *z, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
        const void *w, ptrdiff_t rows, ptrdiff_t n
    ) noexcept nogil
    ctypedef void (*fm_onehot_gradient)(
        void *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns, const void *d,
        ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t start, ptrdiff_t stop, int accumulate
    ) noexcept nogil
    ctypedef void (*fm_embed)(
        void *out, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
        const void *table, ptrdiff_t width, ptrdiff_t rows
    ) noexcept nogil
    ctypedef void (*fm_embed_gradient)(
        void *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns, const void *d,
        ptrdiff_t ld, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, int accumulate
    ) noexcept nogil
    ctypedef void (*fm_expand)(
        void *out, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
        const void *on, const void *off, ptrdiff_t rows
    ) noexcept nogil
    ctypedef void (*fm_periodic)(
        void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *p, ptrdiff_t n_columns,
        ptrdiff_t k, ptrdiff_t width, ptrdiff_t rows
    ) noexcept nogil
    ctypedef void (*fm_periodic_gradient)(
        void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t ld, const void *p, ptrdiff_t k,
        ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, int accumulate
    ) noexcept nogil
    ctypedef void (*fm_periodic_input_gradient)(
        void *dx, ptrdiff_t dx_ld, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t ld, const void *p,
        ptrdiff_t n_columns, ptrdiff_t k, ptrdiff_t width, ptrdiff_t rows
    ) noexcept nogil
    ctypedef void (*fm_piecewise)(
        void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *edges, const void *p, const void *sums,
        ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows
    ) noexcept nogil
    ctypedef void (*fm_piecewise_sums)(
        void *sums, const void *p, ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width
    ) noexcept nogil
    ctypedef void (*fm_piecewise_gradient)(
        void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t ld, const void *edges,
        ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, int accumulate
    ) noexcept nogil
    ctypedef void (*fm_piecewise_input_gradient)(
        void *dx, ptrdiff_t dx_ld, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t ld,
        const void *edges, const void *p, ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows
    ) noexcept nogil
    ctypedef struct fm_window:
        ptrdiff_t channels
        ptrdiff_t in_ "in"[2]
        ptrdiff_t out[2]
        ptrdiff_t size[2]
        ptrdiff_t stride[2]
        ptrdiff_t dilation[2]
        ptrdiff_t before[2]

    ctypedef void (*fm_unfold)(
        void *u, ptrdiff_t ld, const void *x, const fm_window *w, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t first,
        ptrdiff_t count
    ) noexcept nogil
    ctypedef void (*fm_fold)(
        void *x, const void *u, ptrdiff_t ld, const fm_window *w, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t first,
        ptrdiff_t count
    ) noexcept nogil
    ctypedef void (*fm_frame)(
        void *out, ptrdiff_t out_height, ptrdiff_t out_width, const void *x, ptrdiff_t x_plane, ptrdiff_t channels,
        ptrdiff_t height, ptrdiff_t width, ptrdiff_t top, ptrdiff_t left
    ) noexcept nogil
    ctypedef void (*fm_shifted)(
        void *u, ptrdiff_t ld, const void *x, const ptrdiff_t *shifts, ptrdiff_t rows, ptrdiff_t count
    ) noexcept nogil
    ctypedef void (*fm_spread)(void *z, const void *values, ptrdiff_t channels, ptrdiff_t positions) noexcept nogil
    ctypedef void (*fm_plane_sums)(void *sums, const void *d, ptrdiff_t channels, ptrdiff_t positions) noexcept nogil
    ctypedef void (*fm_max_pool)(void *out, int32_t *places, const void *x, const fm_window *w) noexcept nogil
    ctypedef void (*fm_max_unpool)(void *x, const int32_t *places, const void *d, const fm_window *w) noexcept nogil
    ctypedef void (*fm_mean_pool)(void *out, const void *x, const fm_window *w) noexcept nogil
    ctypedef void (*fm_mean_unpool)(void *x, const void *d, const fm_window *w) noexcept nogil
    ctypedef void (*fm_add_share)(void *out, const void *x, double share, ptrdiff_t count) noexcept nogil
    ctypedef void (*fm_cell)(
        void *h, const void *before, void *cells, const void *z, void *const *own, ptrdiff_t at, ptrdiff_t rows,
        ptrdiff_t units
    ) noexcept nogil
    ctypedef void (*fm_cell_back)(
        void *dh, void *dcells, void *d, void *const *own, ptrdiff_t at, ptrdiff_t size, ptrdiff_t rows,
        ptrdiff_t units, int keep
    ) noexcept nogil
    ctypedef struct fm_augmentation:
        ptrdiff_t channels, height, width
        ptrdiff_t[2] shift
        int[2] flip
        double noise

    ctypedef void (*fm_augment)(
        void *x, void *room, uint64_t word, uint64_t key, const fm_augmentation *a
    ) noexcept nogil
    ctypedef void (*fm_norm)(
        void *z, void *own, const void *x, const void *s, const void *b, ptrdiff_t channels, ptrdiff_t positions,
        double epsilon
    ) noexcept nogil
    ctypedef void (*fm_norm_back)(
        void *out, const void *own, const void *d, const void *s, ptrdiff_t channels, ptrdiff_t positions
    ) noexcept nogil
    ctypedef void (*fm_plane_products)(
        void *sums, const void *d, const void *x, ptrdiff_t channels, ptrdiff_t positions
    ) noexcept nogil
    ctypedef void (*fm_add_rows)(
        void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *y, ptrdiff_t y_ld, ptrdiff_t rows,
        ptrdiff_t n
    ) noexcept nogil
    ctypedef void (*fm_ones)(void *out, ptrdiff_t count) noexcept nogil
    ctypedef void (*fm_logistic_slopes)(void *slopes, const void *z, ptrdiff_t count) noexcept nogil
    ctypedef void (*fm_seed)(
        void *delta, const void *slopes, const ptrdiff_t *targets, ptrdiff_t k, ptrdiff_t rows, ptrdiff_t ld
    ) noexcept nogil
    ctypedef void (*fm_softmax_seed)(
        void *delta, const void *p, const ptrdiff_t *targets, ptrdiff_t k, ptrdiff_t rows, ptrdiff_t ld,
        const ptrdiff_t *offsets
    ) noexcept nogil
    ctypedef void (*fm_path_points)(
        void *points, ptrdiff_t ld, const void *x, ptrdiff_t x_ld, const void *baseline, ptrdiff_t baseline_ld,
        double node, ptrdiff_t rows, ptrdiff_t n
    ) noexcept nogil
    ctypedef void (*fm_add_weighted)(double *sums, const void *values, double weight, ptrdiff_t count) noexcept nogil
    ctypedef void (*fm_times_path)(
        void *out, const double *means, const void *x, ptrdiff_t x_ld, const void *baseline,
        ptrdiff_t baseline_ld, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t n
    ) noexcept nogil

    ctypedef struct fm_kernels:
        bint portable
        fm_epilogue *forward
        fm_epilogue *parametric
        fm_epilogue *backward
        fm_map *map
        fm_dropout dropout
        fm_loss *loss
        fm_step *step
        fm_step *adjusted_step
        fm_penalise penalise
        fm_blend blend
        fm_max_norm max_norm
        fm_sum_parts sum_parts
        fm_all_finite all_finite
        fm_product product
        fm_transpose transpose
        fm_targets *targets
        fm_softmax_segments softmax_segments
        fm_rows *gather
        fm_csr_product csr_product[2][2]
        fm_csr_cut csr_cut[2][2]
        fm_csr_gradient csr_gradient[2][2]
        fm_scale scale
        fm_scale_gradient scale_gradient
        fm_mix mix
        fm_mix_slope mix_slope
        fm_mix_gradient mix_gradient
        fm_onehot_add onehot_add
        fm_onehot_gradient onehot_gradient
        fm_embed embed
        fm_embed_gradient embed_gradient
        fm_expand expand
        fm_periodic periodic
        fm_periodic_gradient periodic_gradient
        fm_periodic_input_gradient periodic_input_gradient
        fm_piecewise piecewise
        fm_piecewise_sums piecewise_sums
        fm_piecewise_gradient piecewise_gradient
        fm_piecewise_input_gradient piecewise_input_gradient
        fm_unfold unfold
        fm_fold fold
        fm_frame frame
        fm_shifted shifted
        fm_spread spread
        fm_plane_sums plane_sums
        fm_max_pool max_pool
        fm_max_unpool max_unpool
        fm_mean_pool mean_pool
        fm_mean_unpool mean_unpool
        fm_add_share add_share
        fm_cell gru
        fm_cell_back gru_back
        fm_cell lstm
        fm_cell_back lstm_back
        fm_norm norm
        fm_norm_back norm_back
        fm_plane_products plane_products
        fm_add_rows add_rows
        fm_augment augment
        fm_ones ones
        fm_logistic_slopes logistic_slopes
        fm_seed seed
        fm_softmax_seed softmax_seed
        fm_path_points path_points
        fm_add_weighted add_weighted
        fm_times_path times_path
        double (*multiply_adds)(ptrdiff_t iterations) noexcept nogil

    ctypedef struct fm_isa:
        const char *name
        const fm_kernels *kernels[2]

    int fm_available_isas(const fm_isa **out)
    bint fm_blas_is_wider()


cdef const fm_kernels *kernels_for(object dtype, object isa) except NULL
cdef bint blas_outruns(const fm_kernels *kernels) noexcept nogil
cdef int activation_number(name) except -1
cdef object activation_names(object activation, Py_ssize_t n_hidden)
cdef int loss_number(name) except -1
cdef int optimizer_number(name) except -1
cdef const fm_loss_row *loss_row(int number)
cdef const fm_optimizer_row *optimizer_row(int number)
cdef object offsets_of(object segments, ptrdiff_t n_outputs)
