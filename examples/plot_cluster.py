"""
From a folder of Parquet to a model, by a cluster
=================================================

Rows lie in files that several machines can read. A cluster of Dask trains one network on all of them: replicas of it,
which are averaged every few updates. The model depends on the number of replicas, and not on that of the machines.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client, LocalCluster

import fastmlp
from fastmlp.dask import DaskMLPClassifier

# %%
# The files
# ---------
# Four files of 2,000 rows, sorted by their label, as exports of databases often are.

rng = np.random.default_rng(0)
X = rng.standard_normal((8_000, 8), dtype=np.float32)
y = (np.abs(X[:, 0] * X[:, 1] + X[:, 2]) > 1).astype(np.int64)
order = np.argsort(y, kind="stable")
columns = {f"f{j}": X[order, j] for j in range(8)} | {"label": y[order]}
table = pa.table(columns)

folder = Path(tempfile.mkdtemp())
for part in range(4):
    pq.write_table(table.slice(2000 * part, 2000), folder / f"{part}.parquet", row_group_size=200)
source = fastmlp.scan_parquet(folder, target="label")

# %%
# The cluster
# -----------
# Two processes on this machine stand for two machines. ``Client("tcp://scheduler:8786")`` is the way to a cluster that
# is there already; dask-jobqueue, dask-kubernetes and dask-cloudprovider start one.
# In a script, which the processes import, a ``LocalCluster`` stands under ``if __name__ == "__main__":``.

common = {"hidden_layer_sizes": (32,), "batch_size": 50, "max_iter": 6, "random_state": 0}
model = DaskMLPClassifier(**common, n_replicas=4)
with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR") as cluster:
    with Client(cluster) as client:
        model.set_params(client=client).fit(source)

# %%
# The same bits elsewhere
# -----------------------
# One thread of this process runs the same tasks, and comes to the same weights.

with ThreadPoolExecutor(1) as executor:
    again = DaskMLPClassifier(**common, n_replicas=4, client=executor).fit(source)
print(all((one == other).all() for one, other in zip(model.coefs_, again.coefs_, strict=True)))

# %%
# Beside one process
# ------------------
# The estimator of one process has all rows, and no averages.

alone = fastmlp.MLPClassifier(**common).fit(source)
fig, ax = plt.subplots(figsize=(6, 3.5))
ax.plot(range(1, 7), model.loss_curve_, "o-", label="4 replicas")
ax.plot(range(1, 7), alone.loss_curve_, "o-", label="one process")
ax.set(xlabel="passes over the rows", ylabel="training loss")
ax.legend()
fig.tight_layout()

# %%
# The model
# ---------
# Fitted, it is a model of one process, which files, pipelines and exports take.

local = model.to_local()
X_test = rng.standard_normal((2000, 8), dtype=np.float32)
y_test = np.abs(X_test[:, 0] * X_test[:, 1] + X_test[:, 2]) > 1
accuracy = np.mean(local.predict(pd.DataFrame(X_test, columns=source.names)) == y_test)
print(f"{type(local).__name__}: {accuracy:.3f} of the rows are right")
