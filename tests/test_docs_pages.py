"""The Python blocks of README.md and docs/*.md run, page by page and in order, in a folder of their own."""

import re
from pathlib import Path

import pytest
import sklearn

ROOT = Path(__file__).parents[1]
BLOCKS = {
    str(page.relative_to(ROOT)): blocks
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    if page.exists() and (blocks := re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S))
}
NEEDS = {
    "README.md": ["pandas"],
    "docs/c.md": ["pandas"],
    "docs/explaining.md": ["pandas"],
    "docs/index.md": ["pandas"],
    "docs/inspecting.md": ["matplotlib"],
    "docs/larger-than-memory.md": ["pandas", "pyarrow.parquet"],
    "docs/more-than-one-machine.md": ["dask.array", "distributed"],
    "docs/onnx.md": ["onnx", "onnxruntime", "pandas", "skl2onnx"],
    "docs/saving.md": ["safetensors", "skops"],
    "docs/tabular.md": ["pandas"],
    "docs/tuning.md": ["optuna"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", BLOCKS)  # none of them outside a checkout
def test_blocks_run(page, tmp_path, monkeypatch):
    for module in NEEDS.get(page, []):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {}  # a page takes nothing for granted
    with sklearn.config_context():
        for block in BLOCKS[page]:
            if "MLflowCallback" in block:  # tests/tracking has it
                continue
            if "import mlflow" not in block:  # it asks pip what to note down; tests/exports/test_registries.py has it
                exec(block, names)
    if "plt" in names:
        names["plt"].close("all")
