/* C (m, n) = finish([C +] A B), one kernel for the three products of a layer, for REAL.
 *
 *                       n: panels of VECTORS vectors
 *                      +---------+---------+----+         A(i, k) is a[i * a_row + k * a_k]: with a_k = 1 the rows
 *                   k  | B  b b b|         |    |         of A lie in memory, with a_row = 1 its columns.
 *                      |    b b b|         |    |         B and C are row-major, row strides ldb and ldc.
 *            k         +---------+---------+----+
 *        +--------+    +---------+---------+----+         A register tile (c) is ROWS x VECTORS vectors of C. Each
 *    m   | A  a   |    | C  c c c|         |    |         step in k loads VECTORS vectors of B, broadcasts ROWS
 *        |    a   |    |    c c c|         |    |         elements of A and does ROWS * VECTORS multiply-adds.
 *        |    a   |    |    c c c|         |    |
 *        +--------+    +---------+---------+----+         The last panel's last vector may be part of one.
 *
 *   forward          Z = f(X W + b)      A = X (rows, n_in),     B = W
 *   weight gradient  G = X^T D           A = X with a_row = 1,   B = D
 *   input gradient   E = (D W^T) f'(a)   A = D (rows, n_out),    B = W^T, kept transposed
 *
 * Rows and vectors are split evenly into tiles, so that a remainder never makes a tile of one row. k runs in blocks,
 * so that the panel of B, PANEL_BYTES, stays in the first-level cache while the rows pass over it, and meanwhile the
 * next panel is fetched into the second level, a line each step. Rows of B whose stride is a multiple of ALIAS_BYTES
 * would fall on the same few sets of the first-level cache: such a panel is copied side by side first, if enough rows
 * of A repay it. A few tiles of C that are complete are finished (bias and activation, or the activation's derivative)
 * while they are hot.
 *
 * Few columns would leave most of a vector empty. Where the rows of A lie in memory, up to DOT_COLUMNS of them are dot
 * products over LANES virtual lanes; where its columns do, the transpose B^T A is computed, which has long rows.
 *
 * Every element of C is one chain of multiply-adds in ascending k, or for a dot product one for each virtual lane and
 * their fold. Which it is depends on n and depth alone: the same bits for any split into tiles and any vector width.
 */
/* Registers: ROWS * VECTORS accumulators, VECTORS of B, one of A. */
#if FM_VECTOR_BYTES == 64
#define MOST_VECTORS 4
#define MOST_ROWS(vectors) ((vectors) == 4 ? 6 : 8)
#else
#define MOST_VECTORS 3
#define MOST_ROWS(vectors) ((vectors) == 3 ? 4 : (vectors) == 2 ? 6 : 8)
#endif
#define PANEL_BYTES 32768
#define ALIAS_BYTES 512
#define ALIAS_ROWS 32
#define FINISHED_TILES 4
#define DOT_COLUMNS 4
#define DOT_ROWS 4

/* What the register tiles over one panel of B share. */
typedef struct {
    const REAL *b; /* (depth, vectors), row stride ldb */
    ptrdiff_t ldb, depth;
    ptrdiff_t part; /* lanes of the last vector */
    const REAL *next; /* the panel to fetch meanwhile, row stride next_row, or b itself, 0 */
    ptrdiff_t next_row, next_line;
    ptrdiff_t a_row, a_k, ldc;
    int accumulate;
} FN(panel);

#define LOAD_VECTOR(p, v)                                                                                      \
    ((v) < last || whole ? *(const FN(vector) *)((p) + (v) * VECTOR_LANES) : FN(load_part)((p) + (v) * VECTOR_LANES, part))

/* count register tiles, one below the other. rows, vectors and whole (the last vector is a whole one) are constants
 * where it is inlined. */
INLINE void FN(register_tiles)(const int rows, const int vectors, const int whole, const FN(panel) *panel,
                               ptrdiff_t count, REAL *c, const REAL *a)
{
    const ptrdiff_t a_row = panel->a_row, a_k = panel->a_k, ldb = panel->ldb, ldc = panel->ldc;
    const ptrdiff_t depth = panel->depth, part = panel->part, next_row = panel->next_row;
    const int last = vectors - 1;
    for (ptrdiff_t t = 0; t < count; t++, c += rows * ldc, a += rows * a_row) {
        FN(vector) sum[8][MOST_VECTORS];
        const REAL *ak = a, *bk = panel->b, *next = panel->next + t * panel->next_line;
        if (panel->accumulate) {
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) sum[r][v] = LOAD_VECTOR(c + r * ldc, v);
        } else {
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) sum[r][v] = (FN(vector)){0};
        }
        for (ptrdiff_t k = 0; k < depth; k++) {
            FN(vector) row[MOST_VECTORS];
            if (vectors == MOST_VECTORS) __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) row[v] = LOAD_VECTOR(bk, v);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                FN(vector) x = FN(splat)(ak[r * a_row]);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) sum[r][v] = FN(vfma)(x, row[v], sum[r][v]);
            }
            ak += a_k;
            bk += ldb;
            if (vectors == MOST_VECTORS) next += next_row;
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
            for (int v = 0; v < last; v++) *(FN(vector) *)(c + r * ldc + v * VECTOR_LANES) = sum[r][v];
            if (whole)
                *(FN(vector) *)(c + r * ldc + last * VECTOR_LANES) = sum[r][last];
            else
                FN(store_part)(c + r * ldc + last * VECTOR_LANES, sum[r][last], part);
        }
    }
}
#define TILE_CASE(rows, vectors)                                                                               \
    case (vectors) * 16 + (rows): FN(register_tiles)(rows, vectors, whole, panel, count, c, a); break;
#define TILE_CASES_4(vectors) TILE_CASE(1, vectors) TILE_CASE(2, vectors) TILE_CASE(3, vectors) TILE_CASE(4, vectors)
#define TILE_CASES_6(vectors) TILE_CASES_4(vectors) TILE_CASE(5, vectors) TILE_CASE(6, vectors)
#define TILE_CASES_8(vectors) TILE_CASES_6(vectors) TILE_CASE(7, vectors) TILE_CASE(8, vectors)
#if FM_VECTOR_BYTES == 64
#define TILE_SHAPES TILE_CASES_8(1) TILE_CASES_8(2) TILE_CASES_8(3) TILE_CASES_6(4)
#else
#define TILE_SHAPES TILE_CASES_8(1) TILE_CASES_6(2) TILE_CASES_4(3)
#endif
#define TILE_DISPATCH(name, whole_)                                                                            \
    static void FN(name)(int rows, int vectors, const FN(panel) *panel, ptrdiff_t count, REAL *c, const REAL *a) \
    {                                                                                                          \
        enum { whole = whole_ };                                                                               \
        switch (vectors * 16 + rows) { TILE_SHAPES }                                                           \
    }
TILE_DISPATCH(whole_tiles, 1)
TILE_DISPATCH(part_tiles, 0)

/* The panel's rows side by side, whole vectors each. */
INLINE void FN(copy_panel)(REAL *restrict out, ptrdiff_t vectors, const REAL *restrict b, ptrdiff_t ldb,
                           ptrdiff_t depth, ptrdiff_t part)
{
    for (ptrdiff_t k = 0; k < depth; k++, b += ldb)
        for (ptrdiff_t v = 0; v < vectors; v++, out += VECTOR_LANES)
            *(FN(vector) *)out = (v == vectors - 1) ? FN(load_part)(b + v * VECTOR_LANES, part)
                                                    : *(const FN(vector) *)(b + v * VECTOR_LANES);
}

/* c (rows, n) = a b, bt (n, wide) being the transpose of b with zeros behind depth; n is a constant where inlined */
INLINE void FN(dot_tile)(const int rows, const int n, REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t a_row,
                         const REAL *bt, ptrdiff_t wide, ptrdiff_t depth)
{
    enum { PARTS = FM_ROW_BYTES / FM_VECTOR_BYTES };
    FN(vector) sum[DOT_ROWS][DOT_COLUMNS][PARTS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
#pragma GCC unroll 4
            for (int p = 0; p < PARTS; p++) sum[r][j][p] = (FN(vector)){0};
    for (ptrdiff_t k = 0; k < wide; k += LANES) {
#pragma GCC unroll 4
        for (int p = 0; p < PARTS; p++) {
            const ptrdiff_t from = k + p * VECTOR_LANES, left = depth - from;
            const ptrdiff_t part = left < 0 ? 0 : left < VECTOR_LANES ? left : VECTOR_LANES;
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                FN(vector) x = FN(load_part)(a + r * a_row + from, part);
#pragma GCC unroll 4
                for (int j = 0; j < n; j++)
                    sum[r][j][p] = FN(vfma)(x, *(const FN(vector) *)(bt + j * wide + from), sum[r][j][p]);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < n; j++) {
            REAL lanes[LANES];
            memcpy(lanes, sum[r][j], sizeof lanes);
            c[r * ldc + j] = FN(fold_sum)(lanes);
        }
}

static void FN(dots)(REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t a_row, const REAL *b, ptrdiff_t ldb,
                     ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth)
{
    REAL bt[PANEL_BYTES / sizeof(REAL)] __attribute__((aligned(FM_ROW_BYTES)));
    const ptrdiff_t wide = WHOLE_GROUPS(depth);
    for (ptrdiff_t j = 0; j < n; j++)
        for (ptrdiff_t k = 0; k < wide; k++) bt[j * wide + k] = (k < depth) ? b[k * ldb + j] : (REAL)0;
#define DOT_CASE(n)                                                                                            \
    case n:                                                                                                    \
        for (; i + DOT_ROWS <= m; i += DOT_ROWS)                                                               \
            FN(dot_tile)(DOT_ROWS, n, c + i * ldc, ldc, a + i * a_row, a_row, bt, wide, depth);                \
        for (; i < m; i++) FN(dot_tile)(1, n, c + i * ldc, ldc, a + i * a_row, a_row, bt, wide, depth);        \
        break;
    ptrdiff_t i = 0;
    switch (n) { DOT_CASE(1) DOT_CASE(2) DOT_CASE(3) DOT_CASE(4) }
#undef DOT_CASE
}

static void FN(product)(void *c_, ptrdiff_t ldc, const void *a_, ptrdiff_t a_row, ptrdiff_t a_k, const void *b_,
                        ptrdiff_t ldb, ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, int accumulate, fm_epilogue finish,
                        const void *operand, ptrdiff_t operand_ld)
{
    REAL copy[PANEL_BYTES / sizeof(REAL)] __attribute__((aligned(FM_ROW_BYTES)));
    const ptrdiff_t room = (ptrdiff_t)(sizeof copy / sizeof(REAL));
    if (m == 0) return;
    if (n <= DOT_COLUMNS && a_row != 1 && depth >= LANES && n * WHOLE_GROUPS(depth) <= room && !accumulate) {
        FN(dots)(c_, ldc, a_, a_row, b_, ldb, m, n, depth);
        if (finish) finish(c_, operand, m, n, ldc);
        return;
    }
    if (n < LANES && a_row == 1 && m >= 2 * LANES && m * n <= room && !accumulate && !finish) {
        FN(product)(copy, m, b_, 1, ldb, a_, a_k, n, m, depth, 0, NULL, NULL, 0);
        FN(transpose)(c_, ldc, 0, copy, n, m);
        return;
    }
    const int aliased = ldb * (ptrdiff_t)sizeof(REAL) % ALIAS_BYTES == 0 && m >= ALIAS_ROWS && depth > 1;
    const ptrdiff_t vectors = (n + VECTOR_LANES - 1) / VECTOR_LANES;
    const ptrdiff_t panels = (vectors + MOST_VECTORS - 1) / MOST_VECTORS;
    for (ptrdiff_t p = 0; p < panels; p++) {
        const ptrdiff_t v = vectors * p / panels, width = vectors * (p + 1) / panels - v;
        const ptrdiff_t part = (v + width == vectors) ? n - (vectors - 1) * VECTOR_LANES : VECTOR_LANES;
        const ptrdiff_t tiles = (m + MOST_ROWS(width) - 1) / MOST_ROWS(width);
        const ptrdiff_t block = PANEL_BYTES / (width * FM_VECTOR_BYTES);
        REAL *c = (REAL *)c_ + v * VECTOR_LANES;
        for (ptrdiff_t k = 0; k < depth || k == 0; k += block) {
            const ptrdiff_t deep = (depth - k < block) ? depth - k : block;
            const REAL *b = (const REAL *)b_ + k * ldb + v * VECTOR_LANES;
            FN(panel) panel = {b, ldb, deep, part, b, 0, 0, a_row, a_k, ldc, accumulate || k};
            const int finished = finish && k + block >= depth;
            if (aliased) {
                FN(copy_panel)(copy, width, b, ldb, deep, part);
                panel.b = copy;
                panel.ldb = width * VECTOR_LANES;
            }
            /* the next panel's lines, a column of them for each of the first tiles; its rows may begin within a line */
            const REAL *next = (k + block < depth) ? b + block * ldb : b - k * ldb + width * VECTOR_LANES;
            const ptrdiff_t lines = (k + block < depth || p + 1 < panels) ? (width * VECTOR_LANES + LANES - 1) / LANES + 1 : 0;
            const ptrdiff_t taller = m % tiles; /* tiles of one row more than the others */
            for (ptrdiff_t t = 0, end; t < tiles; t = end) {
                const ptrdiff_t rows = m / tiles + (t < taller), i = m / tiles * t + (t < taller ? t : taller);
                end = (t < taller) ? taller : tiles;
                panel.next = b;
                panel.next_row = panel.next_line = 0;
                if (t < lines) {
                    end = (end < lines) ? end : lines;
                    panel.next = next + t * LANES;
                    panel.next_row = ldb;
                    panel.next_line = LANES;
                }
                if (finished) end = (end < t + FINISHED_TILES) ? end : t + FINISHED_TILES;
                (part == VECTOR_LANES ? FN(whole_tiles) : FN(part_tiles))(
                    (int)rows, (int)width, &panel, end - t, c + i * ldc, (const REAL *)a_ + i * a_row + k * a_k);
                if (finished)
                    finish(c + i * ldc, (const REAL *)operand + i * operand_ld + v * VECTOR_LANES, rows * (end - t),
                           (width - 1) * VECTOR_LANES + part, ldc);
            }
        }
    }
}
