"""How the training of a network is cut: parameters into tiles, batches into chunks, groups and blocks of rows.

All of it follows from shapes alone, so that no result depends on the number of threads.
"""

from libc.stdint cimport int32_t

from .kernels cimport FM_COLUMNS, FM_ROW_BYTES
from .layers cimport WEIGHTS, Layer, Layers, Parameter, Trace
from .memory cimport Arena, ceil_div, padded
from .step cimport Columns, Job, Tile
from .threads cimport FM_MOST_ITEMS
from .tuning cimport (
    BLAS_WEIGHTS, BLOCK_ROWS, BLOCKS_EACH, CACHED_BYTES, CHUNK_BYTES, CHUNK_ROWS, GROUP_FLOPS, GROUPS,
    LARGE_BLOCK_ROWS, LARGE_BLOCKS_EACH, PAIR_FLOPS, RECURRENT_BYTES, RECURRENT_ROWS, TILE_ELEMENTS, TILE_ROWS, TILES,
)


cdef class Plan:
    """The tiles of a network's parameters, and workspaces that are kept from call to call while they fit.

    Parameters
    ----------
    layers : Layers
        The network's.
    """

    def __cinit__(self, Layers layers):
        self.layers = layers

    cdef cut_parameters(self, Job *job):
        """Tiles of each parameter's rows."""
        cdef int i, n_layers = job.net.n_layers
        cdef Parameter *p
        tiles = []
        for i in range(job.net.n_parameters):
            p = &job.net.parameters[i]
            pieces = min(ceil_div(p.rows * p.columns, TILE_ELEMENTS), max(TILES, p.rows // TILE_ROWS), p.rows)
            if job.net.layers[p.layer].size > 0:  # a number's embedding has much to compute for few elements
                pieces = max(pieces, min(TILES, p.rows))
            pieces = max(1, min(pieces, FM_MOST_ITEMS // (4 * n_layers)))
            rows = ceil_div(p.rows, pieces)
            if i == 0:
                job.cut_width = rows
                job.n_cuts = ceil_div(p.rows, rows) + 1
            tiles += [(i, start, min(start + rows, p.rows)) for start in range(0, p.rows, rows)]
            self._largest_tile = max(self._largest_tile, rows * p.columns)
        self._tiles = Arena()
        self._tiles.reserve("tiles", len(tiles) * sizeof(Tile))
        self._tiles.allocate()
        job.tiles = <Tile *> self._tiles.pointer("tiles")
        job.n_tiles = len(tiles)
        for i, (parameter, start, stop) in enumerate(tiles):
            job.tiles[i].parameter = parameter
            job.tiles[i].start = start
            job.tiles[i].stop = stop

    cdef cut_columns(self, Job *job):
        """Blocks of the weights' columns, as few as the phases can count."""
        cdef int i, l
        cdef const Layer *layer
        blocks = []
        for l in range(job.net.n_layers):
            layer = &job.net.layers[l]
            if not layer.weighted:
                continue
            n_out = job.net.parameters[layer.first + WEIGHTS].columns
            width = max(<ptrdiff_t> FM_COLUMNS, ceil_div(n_out, FM_MOST_ITEMS // (4 * job.net.n_layers)))
            blocks += [(l, first, min(width, n_out - first)) for first in range(0, n_out, width)]
        self._columns = Arena()
        self._columns.reserve("columns", len(blocks) * sizeof(Columns))
        self._columns.allocate()
        job.columns = <Columns *> self._columns.pointer("columns")
        job.n_columns = len(blocks)
        for i, (l, first, count) in enumerate(blocks):
            job.columns[i].layer = l
            job.columns[i].first = first
            job.columns[i].count = count

    cdef forget_batch(self):
        """Cut the next call's batches anew: other data are bound."""
        self._batch = 0

    cdef cut_batch(self, Job *job, ptrdiff_t batch_size):
        """How batches of this size are cut into chunks, groups and blocks of rows."""
        cdef ptrdiff_t itemsize = job.net.itemsize, largest = 0, kept = 0
        cdef int l
        if batch_size == self._batch:
            return
        widths = sum(padded(n, itemsize) for n in self.layers.units)
        job.chunk_rows = min(batch_size, CHUNK_ROWS, max(64, CHUNK_BYTES // (2 * itemsize * widths)))
        for l in range(job.net.n_layers):
            if job.net.layers[l].recurrence.steps > 0:
                kept += job.net.layers[l].own_ld
        if kept > 0:
            job.chunk_rows = min(job.chunk_rows, max(64, RECURRENT_BYTES // (itemsize * kept)))
        flops = 6 * self.layers.work * batch_size
        # what the cores fetch from each other: parameters once a group, or activations, states and deltas
        exchanged = batch_size * (self.layers.units[0] + 2 * sum(self.layers.units[1:]) + kept)
        for l in range(job.net.n_layers):
            if job.net.layers[l].kind.dense:
                largest = max(largest, job.net.layers[l].n_in * job.net.layers[l].n_out)
        job.row_groups = 1 if job.reader.sparse or largest >= BLAS_WEIGHTS or batch_size > job.chunk_rows else GROUPS
        while job.row_groups > 1 and (
            job.row_groups * self.layers.n_params > exchanged
            or flops < (job.row_groups * GROUP_FLOPS if job.row_groups > 2 else PAIR_FLOPS)
            or (kept > 0 and batch_size < job.row_groups * RECURRENT_ROWS)
        ):
            job.row_groups //= 2
        if self.layers.n_params * itemsize > CACHED_BYTES:
            job.block_rows, job.blocks_each = LARGE_BLOCK_ROWS, LARGE_BLOCKS_EACH
        else:
            job.block_rows, job.blocks_each = BLOCK_ROWS, BLOCKS_EACH
        self._batch = batch_size

    cdef reserve(self, Job *job, ptrdiff_t batch_size, int n_threads):
        """Workspaces for batches of this size; kept from call to call while they fit."""
        cdef Trace *traces = job.net.traces
        cdef int last = job.net.n_layers - 1
        cdef ptrdiff_t itemsize = job.net.itemsize, chunk, block
        cdef ptrdiff_t last_ld = job.net.layers[last].ld
        cdef bint gathers = not job.reader.direct and not job.reader.sparse
        cdef Layer *layer
        cdef Parameter *p
        cdef Arena arena
        cdef int l

        job.inputs_ld = padded(self.layers.units[0], itemsize)
        chunk = job.chunk_rows
        if (batch_size > chunk or job.clip_norm > 0) and self._gradients is None:
            self._gradients = self.layers.reserve()
            self._gradients.allocate()
            for l in range(job.net.n_parameters):
                job.net.parameters[l].gradient = self._gradients.pointer(l)
        if (self._workspace is not None and self._workspace_batch == batch_size
                and self._workspace_threads >= n_threads and (job.inputs != NULL or not gathers)
                and (job.cuts != NULL) == job.reader.sparse):
            return
        # gone first: if memory runs out, the next call starts from nothing
        self._workspace = None
        job.group_stride = padded(self.layers.extent, itemsize)
        block = min(chunk, job.block_rows)
        arena = Arena()
        if gathers:
            arena.reserve("inputs", chunk * job.inputs_ld * itemsize)
        if job.reader.sparse:
            arena.reserve("cuts", chunk * job.n_cuts * sizeof(int32_t))
        for l in range(last + 1):
            layer = &job.net.layers[l]
            if l > 0 and layer.kind.transposes:
                p = &job.net.parameters[layer.first + WEIGHTS]
                p.transposed_ld = padded(p.rows, itemsize)
                arena.reserve(("transposed", l), p.columns * p.transposed_ld * itemsize)
            if layer.own_ld > 0:
                arena.reserve(("own", l), chunk * layer.own_ld * itemsize)
            if layer.shared < l:
                continue
            if l < last:
                arena.reserve(("activations", l), chunk * layer.ld * itemsize)
                if self.has_outputs(job, l):
                    arena.reserve(("outputs", l), chunk * layer.ld * itemsize)
            arena.reserve(("deltas", l), chunk * layer.ld * itemsize)
        if job.row_groups > 1:
            arena.reserve("groups", job.row_groups * job.group_stride * itemsize)
        arena.reserve("row_loss", chunk * sizeof(double))
        arena.reserve("tile_squares", job.n_tiles * sizeof(double))
        arena.reserve("tile_norms", job.n_tiles * sizeof(double))
        # a thread's scratch: a tile's gradient or, in the other phase, targets and weights of a block; and the kinds'
        job.scratch_weights = block * last_ld * itemsize
        job.scratch_size = max(self._largest_tile * itemsize, job.scratch_weights + block * <ptrdiff_t> sizeof(double))
        job.scratch_kinds = ceil_div(job.scratch_size, FM_ROW_BYTES) * FM_ROW_BYTES
        augments = job.augmentation.channels > 0  # in this call or a later one
        job.scratch_size = job.scratch_kinds + max(self.layers.scratch, job.inputs_ld * itemsize if augments else 0)
        arena.reserve("scratch", n_threads * job.scratch_size)
        arena.allocate()
        job.inputs = arena.pointer("inputs") if gathers else NULL
        job.cuts = <int32_t *> (arena.pointer("cuts") if job.reader.sparse else NULL)
        for l in range(last + 1):
            layer = &job.net.layers[l]
            if l > 0 and layer.kind.transposes:
                job.net.parameters[layer.first + WEIGHTS].transposed = arena.pointer(("transposed", l))
            traces[l].own = arena.pointer(("own", l)) if layer.own_ld > 0 else NULL
            traces[l].deltas = arena.pointer(("deltas", layer.shared))
            # the outputs of the last layer become its deltas where they stand
            traces[l].activations = arena.pointer(("activations", layer.shared)) if l < last else traces[l].deltas
        job.group_gradients = arena.pointer("groups") if job.row_groups > 1 else NULL
        job.row_loss = <double *> arena.pointer("row_loss")
        job.tile_squares = <double *> arena.pointer("tile_squares")
        job.tile_norms = <double *> arena.pointer("tile_norms")
        job.scratch = arena.pointer("scratch")
        self._workspace = arena
        self._workspace_batch = batch_size
        self._workspace_threads = n_threads

    cdef bint has_outputs(self, Job *job, int l):
        """Whether a hidden layer ever has outputs beside its activations."""
        return job.net.layers[l].map != NULL or job.net.layers[l].dropout.rate > 0

    cdef set_outputs(self, Job *job):
        """Say what the next layers read in this call."""
        cdef Trace *t
        cdef int l
        for l in range(job.net.n_layers):
            t = &job.net.traces[l]
            t.outputs = t.activations
            if l < job.net.n_layers - 1 and (job.net.layers[l].map != NULL or job.net.layers[l].dropout.on):
                t.outputs = self._workspace.pointer(("outputs", l))
