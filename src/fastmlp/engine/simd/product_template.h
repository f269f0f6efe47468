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
 * Rows and vectors are split evenly into tiles, so that a remainder never makes a tile of one row but in a last slab. k runs in blocks,
 * so that the panel of B, FM_PANEL_BYTES, stays in the first-level cache while the rows pass over it. Where B is large,
 * the next panel is fetched into the second level meanwhile, a line each step. Rows of B whose stride is a multiple of
 * FM_ALIAS_BYTES would fall on the same few sets of the first-level cache: such a panel is copied side by side first, if
 * enough rows of A repay it. Columns of A that lie far apart are copied if they serve several panels: into slabs of a few
 * columns each, in which the steps of a tile follow each other. A few tiles of C that are complete are finished (bias and
 * activation, or the activation's derivative) while they are hot.
 *
 * A single row of A reads B once, row after row, with as many vectors of C in registers as there are.
 *
 * Few columns would leave most of a vector empty. Where the rows of A lie in memory, up to FM_DOT_COLUMNS of them are dot
 * products over LANES virtual lanes; where its columns do, the transpose B^T A is computed, which has long rows.
 *
 * Every element of C is one chain of multiply-adds in ascending k, or for a dot product one for each virtual lane and
 * their fold. Which it is depends on the kind of the product (whose columns of A, whether it adds), n and depth: the same
 * bits for any split into tiles and any vector width.
 */
/* Registers: ROWS * VECTORS accumulators, VECTORS of B, one of A. */
#if FM_REGISTERS == 32
#define MOST_VECTORS 4
#define MOST_ROWS(vectors) ((vectors) == 4 ? 6 : 8)
#else
#define MOST_VECTORS 3
#define MOST_ROWS(vectors) ((vectors) == 3 ? 4 : (vectors) == 2 ? 6 : 8)
#endif
/* Vectors of C that a product with a single row keeps in registers, beside one element of A. */
#if FM_REGISTERS == 32
#define ROW_VECTORS 16
#else
#define ROW_VECTORS 12
#endif
/* Rows of C that a slab serves: two tiles' at least. */
#define SLAB ((2 * MOST_ROWS(MOST_VECTORS) + VECTOR_LANES - 1) / VECTOR_LANES * VECTOR_LANES)
/* Rows of a tile of dot products with n columns, whose sums are LANES each: as many as have their sums in registers. */
#define DOT_PARTS (FM_ROW_BYTES / FM_VECTOR_BYTES)
#define MOST_DOT_ROWS 4
#define DOT_ROWS(n) (FM_VECTOR_BYTES <= 16 ? 1 : MOST_DOT_ROWS * (n) * DOT_PARTS <= FM_REGISTERS ? MOST_DOT_ROWS : 2)

/* A panel of B, k-block included, and what the register tiles over it share. */
typedef struct {
    const REAL *b; /* (depth, vectors), row stride ldb */
    ptrdiff_t ldb, depth;
    int vectors;
    ptrdiff_t part; /* lanes of the last vector */
    ptrdiff_t a_row, a_k, ldc;
    int accumulate;
    const REAL *next; /* the panel to fetch meanwhile, row stride next_row; NULL: none */
    ptrdiff_t next_row;
    fm_epilogue finish; /* of the panel of C, or NULL */
    const REAL *operand;
    ptrdiff_t operand_ld;
} FN(panel);

#define LOAD_VECTOR(p, v)                                                                                      \
    ((v) < last || whole ? *(const FN(vector) *)((p) + (v) * VECTOR_LANES) : FN(load_part)((p) + (v) * VECTOR_LANES, part))

/* count register tiles, one below the other. rows, vectors, whole (the last vector is a whole one) and fetch are
 * constants where it is inlined; a tile that fetches takes one line of each row of the next panel. Nothing is done to
 * the sums but to store them: with a call or a branch on them GCC keeps them in memory, at 0.6 times the speed. */
INLINE void FN(register_tiles)(const int rows, const int vectors, const int whole, const int fetch,
                               const FN(panel) *panel, ptrdiff_t count, REAL *c, const REAL *a, const REAL *next)
{
    const ptrdiff_t a_row = panel->a_row, a_k = panel->a_k, ldb = panel->ldb, ldc = panel->ldc;
    const ptrdiff_t depth = panel->depth, part = panel->part, next_row = panel->next_row;
    const int last = vectors - 1;
    for (; count > 0; count--, c += rows * ldc, a += rows * a_row, next += LANES) {
        FN(vector) sum[8][MOST_VECTORS];
        const REAL *ak = a, *bk = panel->b, *line = next;
        if (panel->accumulate) {
            UNROLLED for (int r = 0; r < rows; r++)
                UNROLLED for (int v = 0; v < vectors; v++) sum[r][v] = LOAD_VECTOR(c + r * ldc, v);
        } else {
            UNROLLED for (int r = 0; r < rows; r++)
                UNROLLED for (int v = 0; v < vectors; v++) sum[r][v] = (FN(vector)){0};
        }
        for (ptrdiff_t k = 0; k < depth; k++) {
            FN(vector) row[MOST_VECTORS];
            if (fetch) {
                PREFETCH(line);
                line += next_row;
            }
            UNROLLED for (int v = 0; v < vectors; v++) row[v] = LOAD_VECTOR(bk, v);
            UNROLLED for (int r = 0; r < rows; r++) {
                FN(vector) x = FN(splat)(ak[r * a_row]);
                UNROLLED for (int v = 0; v < vectors; v++) sum[r][v] = FN(vfma)(x, row[v], sum[r][v]);
            }
            ak += a_k;
            bk += ldb;
        }
        UNROLLED for (int r = 0; r < rows; r++) {
            UNROLLED for (int v = 0; v < last; v++) *(FN(vector) *)(c + r * ldc + v * VECTOR_LANES) = sum[r][v];
            if (whole)
                *(FN(vector) *)(c + r * ldc + last * VECTOR_LANES) = sum[r][last];
            else
                FN(store_part)(c + r * ldc + last * VECTOR_LANES, sum[r][last], part);
        }
    }
}

#define TILE_CASE(rows, vectors)                                                                               \
    case (vectors) * 16 + (rows):                                                                              \
        FN(register_tiles)(rows, vectors, whole, fetch, panel, count, c, a, next);                             \
        break;
#define TILE_CASES_4(vectors) TILE_CASE(1, vectors) TILE_CASE(2, vectors) TILE_CASE(3, vectors) TILE_CASE(4, vectors)
#define TILE_CASES_6(vectors) TILE_CASES_4(vectors) TILE_CASE(5, vectors) TILE_CASE(6, vectors)
#define TILE_CASES_8(vectors) TILE_CASES_6(vectors) TILE_CASE(7, vectors) TILE_CASE(8, vectors)
#if FM_REGISTERS == 32
#define WIDE_TILES TILE_CASES_6(4)
#define TILES TILE_CASES_8(1) TILE_CASES_8(2) TILE_CASES_8(3) WIDE_TILES
#else
#define WIDE_TILES TILE_CASES_4(3)
#define TILES TILE_CASES_8(1) TILE_CASES_6(2) WIDE_TILES
#endif
#define TILE_DISPATCH(name, whole_, fetch_, cases)                                                             \
    static void FN(name)(const FN(panel) *panel, int rows, ptrdiff_t count, REAL *c, const REAL *a,            \
                         const REAL *next)                                                                     \
    {                                                                                                          \
        enum { whole = whole_, fetch = fetch_ };                                                               \
        switch (panel->vectors * 16 + rows) { cases default: UNREACHABLE; }                        \
    }
TILE_DISPATCH(whole_tiles, 1, 0, TILES)
TILE_DISPATCH(part_tiles, 0, 0, TILES)
TILE_DISPATCH(fetching_tiles, 0, 1, WIDE_TILES)

/* All tiles over one panel: c (m, .) from a (m, depth) */
static void FN(panel_product)(const FN(panel) *panel, REAL *c, const REAL *a, ptrdiff_t m)
{
    const int most = MOST_ROWS(panel->vectors);
    const ptrdiff_t tiles = (m + most - 1) / most, taller = m % tiles; /* the first ones are a row taller */
    /* lines of a row of the next panel, which may begin within one */
    const ptrdiff_t lines = panel->next ? (panel->vectors * VECTOR_LANES + LANES - 1) / LANES + 1 : 0;
    const ptrdiff_t ldc = panel->ldc, n = (panel->vectors - 1) * VECTOR_LANES + panel->part;
    for (ptrdiff_t t = 0, end; t < tiles; t = end) {
        const ptrdiff_t rows = m / tiles + (t < taller), i = m / tiles * t + (t < taller ? t : taller);
        end = (t < taller) ? taller : tiles;
        if (t < lines && lines < end) end = lines;
        if (panel->finish && t + FM_FINISHED_TILES < end) end = t + FM_FINISHED_TILES;
        if (t < lines)
            FN(fetching_tiles)(panel, (int)rows, end - t, c + i * ldc, a + i * panel->a_row, panel->next + t * LANES);
        else if (panel->part == VECTOR_LANES)
            FN(whole_tiles)(panel, (int)rows, end - t, c + i * ldc, a + i * panel->a_row, panel->b);
        else
            FN(part_tiles)(panel, (int)rows, end - t, c + i * ldc, a + i * panel->a_row, panel->b);
        if (panel->finish)
            panel->finish(c + i * ldc, panel->operand + i * panel->operand_ld, rows * (end - t), n, ldc);
    }
}

/* ---- a single row of A: B is read once, along its rows ---- */

/* c (vectors,) = [c +] a b; vectors and whole (the last vector is a whole one) are constants where it is inlined */
INLINE void FN(row_tile)(const int vectors, const int whole, const FN(panel) *panel, REAL *c, const REAL *a)
{
    const ptrdiff_t part = panel->part, a_k = panel->a_k, ldb = panel->ldb;
    const int last = vectors - 1;
    const REAL *b = panel->b;
    FN(vector) sum[ROW_VECTORS];
    UNROLLED for (int v = 0; v < vectors; v++) sum[v] = panel->accumulate ? LOAD_VECTOR(c, v) : (FN(vector)){0};
    for (ptrdiff_t k = 0; k < panel->depth; k++, a += a_k, b += ldb) {
        FN(vector) x = FN(splat)(*a);
        UNROLLED for (int v = 0; v < vectors; v++) sum[v] = FN(vfma)(x, LOAD_VECTOR(b, v), sum[v]);
    }
    UNROLLED for (int v = 0; v < last; v++) *(FN(vector) *)(c + v * VECTOR_LANES) = sum[v];
    if (whole)
        *(FN(vector) *)(c + last * VECTOR_LANES) = sum[last];
    else
        FN(store_part)(c + last * VECTOR_LANES, sum[last], part);
}

#define ROW_CASE(vectors)                                                                                      \
    case vectors:                                                                                              \
        if (panel->part == VECTOR_LANES)                                                                       \
            FN(row_tile)(vectors, 1, panel, c, a);                                                             \
        else                                                                                                   \
            FN(row_tile)(vectors, 0, panel, c, a);                                                             \
        break;

static void FN(row_tiles)(const FN(panel) *panel, REAL *c, const REAL *a)
{
    switch (panel->vectors) {
        ROW_CASE(1) ROW_CASE(2) ROW_CASE(3) ROW_CASE(4) ROW_CASE(5) ROW_CASE(6)
        ROW_CASE(7) ROW_CASE(8) ROW_CASE(9) ROW_CASE(10) ROW_CASE(11) ROW_CASE(12)
#if ROW_VECTORS == 16
        ROW_CASE(13) ROW_CASE(14) ROW_CASE(15) ROW_CASE(16)
#endif
        default: UNREACHABLE;
    }
}

static void FN(single_row)(REAL *c, const REAL *a, ptrdiff_t a_k, const REAL *b, ptrdiff_t ldb, ptrdiff_t n,
                           ptrdiff_t depth, int accumulate)
{
    const ptrdiff_t vectors = (n + VECTOR_LANES - 1) / VECTOR_LANES;
    const ptrdiff_t panels = (vectors + ROW_VECTORS - 1) / ROW_VECTORS;
    for (ptrdiff_t p = 0; p < panels; p++) {
        const ptrdiff_t v = vectors * p / panels, width = vectors * (p + 1) / panels - v;
        const FN(panel) panel = {
            .b = b + v * VECTOR_LANES, .ldb = ldb, .depth = depth, .vectors = (int)width,
            .part = (v + width == vectors) ? n - (vectors - 1) * VECTOR_LANES : VECTOR_LANES,
            .a_k = a_k, .accumulate = accumulate};
        FN(row_tiles)(&panel, c + v * VECTOR_LANES, a);
    }
}

/* out (depth, vectors), row stride ld: the panel's rows in whole vectors, of the last of which a part is there. */
INLINE void FN(copy_panel)(REAL *restrict out, ptrdiff_t ld, ptrdiff_t vectors, const REAL *restrict b, ptrdiff_t ldb,
                           ptrdiff_t depth, ptrdiff_t part)
{
    const ptrdiff_t whole = (part < VECTOR_LANES) ? vectors - 1 : vectors;
    for (ptrdiff_t k = 0; k < depth; k++, b += ldb, out += ld) {
        for (ptrdiff_t v = 0; v < whole; v++)
            *(FN(vector) *)(out + v * VECTOR_LANES) = *(const FN(vector) *)(b + v * VECTOR_LANES);
        if (whole < vectors)
            *(FN(vector) *)(out + whole * VECTOR_LANES) = FN(load_part)(b + whole * VECTOR_LANES, part);
    }
}

/* Add LANES steps of dot products to their sums, `left` of them there; rows, n and whole (all are) are constants where it
 * is inlined. */
INLINE void FN(dot_steps)(const int rows, const int n, const int whole, FN(vector) (*sum)[FM_DOT_COLUMNS][DOT_PARTS],
                          const REAL *a, ptrdiff_t a_row, const REAL *bt, ptrdiff_t wide, ptrdiff_t left)
{
    UNROLLED for (int p = 0; p < DOT_PARTS; p++, a += VECTOR_LANES, bt += VECTOR_LANES, left -= VECTOR_LANES) {
        const ptrdiff_t part = left < 0 ? 0 : left < VECTOR_LANES ? left : VECTOR_LANES;
        UNROLLED for (int r = 0; r < rows; r++) {
            FN(vector) x = whole ? *(const FN(vector) *)(a + r * a_row) : FN(load_part)(a + r * a_row, part);
            UNROLLED for (int j = 0; j < n; j++)
                sum[r][j][p] = FN(vfma)(x, *(const FN(vector) *)(bt + j * wide), sum[r][j][p]);
        }
    }
}

/* c (rows, n) = a b, bt (n, wide) being the transpose of b with zeros behind depth; n is a constant where inlined */
INLINE void FN(dot_tile)(const int rows, const int n, REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t a_row,
                         const REAL *bt, ptrdiff_t wide, ptrdiff_t depth)
{
    FN(vector) sum[MOST_DOT_ROWS][FM_DOT_COLUMNS][DOT_PARTS];
    ptrdiff_t k = 0;
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int j = 0; j < n; j++)
            UNROLLED for (int p = 0; p < DOT_PARTS; p++) sum[r][j][p] = (FN(vector)){0};
    for (; k + LANES <= depth; k += LANES) FN(dot_steps)(rows, n, 1, sum, a + k, a_row, bt + k, wide, LANES);
    if (k < depth) FN(dot_steps)(rows, n, 0, sum, a + k, a_row, bt + k, wide, depth - k);
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
    _Alignas(FM_ROW_BYTES) REAL bt[FM_PANEL_BYTES / sizeof(REAL)];
    const ptrdiff_t wide = WHOLE_GROUPS(depth);
    for (ptrdiff_t j = 0; j < n; j++)
        for (ptrdiff_t k = 0; k < wide; k++) bt[j * wide + k] = (k < depth) ? b[k * ldb + j] : (REAL)0;
#define DOT_CASE(n)                                                                                            \
    case n:                                                                                                    \
        for (; i + DOT_ROWS(n) <= m; i += DOT_ROWS(n))                                                         \
            FN(dot_tile)(DOT_ROWS(n), n, c + i * ldc, ldc, a + i * a_row, a_row, bt, wide, depth);             \
        for (; i < m; i++) FN(dot_tile)(1, n, c + i * ldc, ldc, a + i * a_row, a_row, bt, wide, depth);        \
        break;
    ptrdiff_t i = 0;
    switch (n) { DOT_CASE(1) DOT_CASE(2) DOT_CASE(3) DOT_CASE(4) }
#undef DOT_CASE
}

/* c (m, n) = finish([c +] a b), panel by panel; slab: elements between the slabs of SLAB rows that A lies in, or 0 */
static void FN(panel_products)(REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_k, ptrdiff_t slab,
                               const REAL *b, ptrdiff_t ldb, ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, int accumulate,
                               fm_epilogue finish, const REAL *operand, ptrdiff_t operand_ld)
{
    _Alignas(FM_ROW_BYTES) REAL copy[FM_PANEL_BYTES / sizeof(REAL)];
    const ptrdiff_t vectors = (n + VECTOR_LANES - 1) / VECTOR_LANES;
    const ptrdiff_t panels = (vectors + MOST_VECTORS - 1) / MOST_VECTORS;
    const int aliased = ldb * (ptrdiff_t)sizeof(REAL) % FM_ALIAS_BYTES == 0 && m >= FM_ALIAS_ROWS && depth > 1;
    const int far = a_row != 1 && depth * n * (ptrdiff_t)sizeof(REAL) >= FM_FETCH_BYTES;
    for (ptrdiff_t p = 0; p < panels; p++) {
        const ptrdiff_t v = vectors * p / panels, width = vectors * (p + 1) / panels - v;
        const ptrdiff_t block = FM_PANEL_BYTES / (width * FM_VECTOR_BYTES);
        for (ptrdiff_t k = 0; k < depth || k == 0; k += block) {
            const int last = k + block >= depth;
            const REAL *bk = b + k * ldb + v * VECTOR_LANES;
            FN(panel) panel = {
                .b = bk, .ldb = ldb, .depth = last ? depth - k : block, .vectors = (int)width,
                .part = (v + width == vectors) ? n - (vectors - 1) * VECTOR_LANES : VECTOR_LANES,
                .a_row = a_row, .a_k = a_k, .ldc = ldc, .accumulate = accumulate || k,
                .next = last ? bk - k * ldb + width * VECTOR_LANES : bk + block * ldb, .next_row = ldb,
                .finish = last ? finish : NULL, .operand = operand ? operand + v * VECTOR_LANES : NULL,
                .operand_ld = operand_ld};
            if (!far || width < MOST_VECTORS || (last && p + 1 == panels)) panel.next = NULL;
            if (aliased) {
                panel.b = copy;
                panel.ldb = width * VECTOR_LANES;
                FN(copy_panel)(copy, panel.ldb, width, bk, ldb, panel.depth, panel.part);
            }
            const ptrdiff_t rows = slab ? SLAB : m;
            for (ptrdiff_t i = 0; i < m; i += rows, panel.operand += panel.operand ? rows * operand_ld : 0)
                FN(panel_product)(&panel, c + i * ldc + v * VECTOR_LANES, a + i / rows * slab + k * a_k,
                                  m - i < rows ? m - i : rows);
        }
    }
}

/* The product with columns of A that lie far apart: as many as there is room for are copied, to serve all panels. */
static void FN(packed_product)(REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t a_k, const REAL *b, ptrdiff_t ldb,
                               ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, int accumulate, fm_epilogue finish,
                               const REAL *operand, ptrdiff_t operand_ld)
{
    enum {
        ROOM = FM_PACKED_BYTES / sizeof(REAL),
        PANEL_DEEP = FM_PANEL_BYTES / (MOST_VECTORS * FM_VECTOR_BYTES),
        DEEP = PANEL_DEEP * SLAB <= ROOM ? PANEL_DEEP : ROOM / SLAB /* one slab at least: vectors of one element */
    };
    _Alignas(FM_ROW_BYTES) REAL packed[ROOM];
    const ptrdiff_t room = ROOM / (SLAB * (depth < DEEP ? depth : DEEP)), slabs = (m + SLAB - 1) / SLAB;
    const ptrdiff_t blocks = (slabs + room - 1) / room;
    for (ptrdiff_t s = 0; s < blocks; s++) {
        const ptrdiff_t i = slabs * s / blocks * SLAB, end = slabs * (s + 1) / blocks * SLAB;
        const ptrdiff_t rows = (end < m ? end : m) - i;
        for (ptrdiff_t k = 0; k < depth; k += DEEP) {
            const ptrdiff_t deep = (depth - k < DEEP) ? depth - k : DEEP;
            for (ptrdiff_t j = 0; j < rows; j += SLAB) {
                const ptrdiff_t wide = (rows - j < SLAB) ? rows - j : SLAB, last = (wide - 1) / VECTOR_LANES;
                FN(copy_panel)(packed + j * deep, SLAB, last + 1, a + k * a_k + i + j, a_k, deep, wide - last * VECTOR_LANES);
            }
            FN(panel_products)(c + i * ldc, ldc, packed, 1, SLAB, SLAB * deep, b + k * ldb, ldb, rows, n, deep,
                               accumulate || k, (k + DEEP < depth) ? NULL : finish,
                               operand ? operand + i * operand_ld : NULL, operand_ld);
        }
    }
}

/* The product with few columns, with the columns of A in memory: the transpose's. */
static void FN(transposed_product)(REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t a_k, const REAL *b, ptrdiff_t ldb,
                                   ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth)
{
    _Alignas(FM_ROW_BYTES) REAL copy[FM_PANEL_BYTES / sizeof(REAL)];
    if (n == 1)
        FN(single_row)(copy, b, ldb, a, a_k, m, depth, 0);
    else
        FN(panel_products)(copy, m, b, 1, ldb, 0, a, a_k, n, m, depth, 0, NULL, NULL, 0);
    FN(transpose)(c, ldc, copy, m, n, m);
}

static void FN(product)(void *c_, ptrdiff_t ldc, const void *a_, ptrdiff_t a_row, ptrdiff_t a_k, const void *b_,
                        ptrdiff_t ldb, ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, int accumulate, fm_epilogue finish,
                        const void *operand, ptrdiff_t operand_ld)
{
    const ptrdiff_t room = FM_PANEL_BYTES / (ptrdiff_t)sizeof(REAL);
    if (m == 0) return;
    if (n <= FM_DOT_COLUMNS && a_row != 1 && depth >= LANES && n * WHOLE_GROUPS(depth) <= room && !accumulate) {
        FN(dots)(c_, ldc, a_, a_row, b_, ldb, m, n, depth);
        if (finish) finish(c_, operand, m, n, ldc);
        return;
    }
    if (n < LANES && a_row == 1 && m >= 2 * LANES && m * n <= room && !accumulate && !finish) {
        FN(transposed_product)(c_, ldc, a_, a_k, b_, ldb, m, n, depth);
        return;
    }
    if (m == 1) {
        FN(single_row)(c_, a_, a_k, b_, ldb, n, depth, accumulate);
        if (finish) finish(c_, operand, 1, n, ldc);
        return;
    }
    if (a_row == 1 && a_k * (ptrdiff_t)sizeof(REAL) >= FM_FAR_BYTES && n > 2 * MOST_VECTORS * VECTOR_LANES && depth > 0)
        FN(packed_product)(c_, ldc, a_, a_k, b_, ldb, m, n, depth, accumulate, finish, operand, operand_ld);
    else
        FN(panel_products)(c_, ldc, a_, a_row, a_k, 0, b_, ldb, m, n, depth, accumulate, finish, operand, operand_ld);
}
