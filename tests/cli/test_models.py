"""The commands for one model, as a shell runs them: what they print, what they write, and what they refuse."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine

import fastmlp
from fastmlp.cli import files, main, parser

pandas = pytest.importorskip("pandas")
pytest.importorskip("safetensors")
pyarrow = pytest.importorskip("pyarrow")
feather, parquet = pytest.importorskip("pyarrow.feather"), pytest.importorskip("pyarrow.parquet")

SHORT = ["--members", "2", "--epochs", "3", "-q"]


@pytest.fixture(scope="module")
def wine():
    frame = load_wine(as_frame=True).frame.iloc[:, [0, 4, 9, 12, 13]].rename(columns={"target": "cultivar"})
    frame["cultivar"] = frame["cultivar"].map(dict(enumerate(["barolo", "grignolino", "barbera"])))
    frame["strong"] = frame.pop("alcohol") > 13
    frame["bottled"] = pandas.date_range("2001-01-01", periods=len(frame), freq="3D")
    frame["empty"] = np.nan
    frame.loc[::7, "magnesium"] = np.nan
    return frame


@pytest.fixture(scope="module")
def folder(wine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    wine.to_csv(folder / "wine.csv", index=False)
    wine.to_csv(folder / "semicolons.csv", index=False, sep=";")
    wine.to_csv(folder / "wine.tsv.gz", index=False, sep="\t")
    wine.to_parquet(folder / "wine.parquet")
    wine.to_feather(folder / "wine.feather")
    with pyarrow.ipc.new_stream(folder / "stream.arrow", (table := pyarrow.Table.from_pandas(wine)).schema) as stream:
        stream.write_table(table)
    (folder / "parts").mkdir()
    wine[:100].to_parquet(folder / "parts" / "1.parquet")
    wine[100:].to_parquet(folder / "parts" / "2.parquet")
    load_diabetes(as_frame=True).frame.to_csv(folder / "diabetes.csv", index=False)
    (folder / "zero.csv").touch()
    (folder / "header.csv").write_text("a,b\n")
    (folder / "broken.csv").write_text('a,b\n1,2\n1,2,3\n"')
    (folder / "broken.parquet").write_bytes(b"PAR1 and no more")
    (folder / "none").mkdir()
    return folder


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "wine.fastmlp"
    assert main(["train", str(folder / "wine.csv"), "--target", "cultivar", "-o", str(path), *SHORT]) == 0
    return path


def _run(capsys, *args):
    code = main([str(arg) for arg in args])
    return code, *capsys.readouterr()


def test_train_says_what_it_found_and_how_good_the_model_is(folder, tmp_path, capsys):
    path = tmp_path / "model.fastmlp"
    code, said, errors = _run(
        capsys, "train", folder / "wine.csv", "-t", "cultivar", "--holdout", "0.25", "-o", path, *SHORT[:-1]
    )
    lines = said.splitlines()
    assert code == 0 and lines[0] == f"178 rows, 7 columns in {folder / 'wine.csv'}"
    assert lines[1] == "target cultivar: classification, for its 3 values are no numbers"
    assert lines[2:6] == [
        "numbers: magnesium, color_intensity, proline", "categories: strong", "dates: bottled", "empty: empty",
    ]  # fmt: skip
    model = fastmlp.load(path)
    assert model.random_state == 0 and len(model.members_) == 2 and model.callbacks is None
    assert lines[6].startswith("out of fold: accuracy 0.") and lines[7].startswith("45 rows set aside: accuracy 0.")
    assert lines[-1].startswith("2 networks in ") and lines[-1].endswith(f"written to {path}")
    assert "network 1: 3 epochs, validation score 0." in errors


def test_scores_are_those_of_rows_that_no_network_was_trained_on(folder, wine, tmp_path, capsys):
    path = tmp_path / "model.fastmlp"
    args = ["train", folder / "wine.parquet", "-t", "cultivar", "--holdout", "0.25", "-o", path, "--json", *SHORT]
    code, said, _ = _run(capsys, *args)
    result = json.loads(said)
    assert code == 0 and result["rows"] == 178 and result["task"] == "classification" and result["members"] == 2
    assert result["columns"]["dates"] == ["bottled"]
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import train_test_split

    rows, held_out = train_test_split(np.arange(178), test_size=0.25, random_state=0, stratify=wine["cultivar"])
    model = fastmlp.load(path)
    predicted = model.predict(wine.iloc[held_out].drop(columns="cultivar"))
    expected = accuracy_score(wine["cultivar"].iloc[held_out], predicted)
    assert result["scores"]["45 rows set aside"]["accuracy"] == expected
    again = fastmlp.TabularMLPClassifier(n_members=2, max_iter=3, random_state=0)
    again.fit(wine.iloc[rows].drop(columns="cultivar"), wine["cultivar"].to_numpy(dtype=str)[rows])
    assert result["scores"]["out of fold"]["accuracy"] == pytest.approx(again.oof_score_, abs=1e-12)


def test_texts_that_are_all_dates_are_dates(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("day,when,mixed,other\n2001-01-02,2001-01-02T03:04:05,2001-01-02,1\n,2002-01-02 03:04:05,soon,2\n")
    table = files.read_file(str(path))
    assert table["day"].isna().tolist() == [False, True] and table["when"][0].hour == 3
    assert [table[name].dtype.kind == "M" for name in table] == [True, True, False, False]


@pytest.mark.parametrize("name", ["wine.tsv.gz", "wine.parquet", "wine.feather", "stream.arrow", "parts"])
def test_every_kind_of_file_is_predicted(folder, model, wine, name, tmp_path, capsys):
    path, args = tmp_path / "out.csv", []
    if name == "wine.tsv.gz":
        args = ["--delimiter", "\t"]
    assert _run(capsys, "predict", model, folder / name, "-o", path, "--keep", "proline", *args)[0] == 0
    with open(path, newline="") as file:
        rows = [*csv.DictReader(file)]
    expected = fastmlp.load(model)
    X = wine.drop(columns="cultivar")
    assert [row["prediction"] for row in rows] == expected.predict(X).tolist()
    shares = [float(row["probability of barolo"]) for row in rows]
    np.testing.assert_array_equal(shares, expected.predict_proba(X)[:, list(expected.classes_).index("barolo")])
    assert [float(row["proline"]) for row in rows] == wine["proline"].tolist()


@pytest.mark.parametrize("ending, read", [("parquet", parquet.read_table), ("feather", feather.read_table)])
def test_predictions_go_to_other_files_and_to_the_terminal(folder, model, tmp_path, capsys, ending, read):
    path = tmp_path / f"out.{ending}"
    assert _run(capsys, "predict", model, folder / "wine.csv", "-o", path, "--labels-only")[0] == 0
    table = read(path)
    assert table.column_names == ["prediction"]
    code, said, _ = _run(capsys, "predict", model, folder / "wine.csv", "--labels-only")
    assert code == 0 and said.splitlines() == ["prediction", *table.column("prediction").to_pylist()]


def test_the_task_is_that_of_the_target(folder, tmp_path, capsys):
    frame = pandas.DataFrame({"x": np.arange(60.0), "y": np.arange(60) % 3, "z": np.linspace(0, 1, 60)})
    frame["gaps"] = frame["y"].astype(float).where(frame["x"] > 9)
    frame["money"] = [f"{value:.2f}" for value in frame["z"]]
    path, out = tmp_path / "t.csv", tmp_path / "m.fastmlp"
    frame.to_csv(path, index=False)
    train = ["train", path, "-o", out, "--json", *SHORT, "-t"]
    for target, task, extra in (
        ("y", "classification", []), ("y", "regression", ["--task", "regression"]), ("z", "regression", []),
        ("gaps", "classification", []),
    ):  # fmt: skip
        code, said, errors = _run(capsys, *train, target, *extra)
        assert code == 0 and json.loads(said)["task"] == task, errors
        assert json.loads(said)["rows"] == (50 if target == "gaps" else 60)
        assert ("10 rows without a target are left out" in errors) == (target == "gaps")
    assert fastmlp.load(out).classes_.tolist() == [0, 1, 2]
    code, said, _ = _run(capsys, *train, "y", "--categorical", "x", "--drop", "z", "gaps")
    assert json.loads(said)["columns"] == {"categories": ["x"], "numbers": ["money"]}


def test_regression_and_a_time_limit(folder, tmp_path, capsys):
    path = tmp_path / "d.fastmlp"
    args = ["train", folder / "diabetes.csv", "-t", "target", "-o", path, "--members", 1, "--epochs", 4, "-q"]
    code, said, _ = _run(capsys, *args, "--time-limit", 60, "--jobs", 1, "--seed", 5)
    assert code == 0 and "target target: regression, for it has 214 numbers" in said and "out of fold: R2 " in said
    code, said, _ = _run(capsys, "predict", path, folder / "diabetes.csv")
    lines = said.splitlines()
    assert lines[0] == "prediction" and len(lines) == 443 and fastmlp.load(path).random_state == 5


@pytest.fixture(scope="module")
def windows(wine, tmp_path_factory):
    """The same table as a folder of Parquet, an Arrow file and CSV; three row groups in each file of the folder."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "parts").mkdir()
    for part in range(3):
        wine[60 * part : 60 * (part + 1)].to_parquet(folder / "parts" / f"{part}.parquet", row_group_size=20)
    wine.to_feather(folder / "wine.arrow", chunksize=30)
    wine.to_csv(folder / "wine.csv", index=False)
    return folder


def test_files_larger_than_memory_are_read_by_windows(windows, wine, tmp_path, capsys):
    path = tmp_path / "model.fastmlp"
    train = ["train", windows / "parts", "-t", "cultivar", "-o", path, "--window-rows", "60", *SHORT]
    code, said, _ = _run(capsys, *train, "--drop", "bottled")
    assert code == 0 and said.startswith(f"178 rows, 7 columns in {windows / 'parts'}, read by windows\n")
    assert "numbers: magnesium, color_intensity, proline\ncategories: strong\nempty: empty\n" in said
    features = ["magnesium", "color_intensity", "proline", "strong", "empty"]
    source = fastmlp.scan_parquet(windows / "parts", target="cultivar", features=features, window_rows=60)
    expected = fastmlp.TabularMLPClassifier(2, max_iter=3, random_state=0).fit(source)
    assert f"out of fold: accuracy {expected.oof_score_:.4g}\n" in said
    own = fastmlp.load(path)
    np.testing.assert_array_equal(own.predict_proba(wine[features]), expected.predict_proba(wine[features]))
    outputs = []
    for more in ([], ["--window-rows", "60"]):
        assert (
            _run(capsys, "predict", path, windows / "parts", "--keep", "proline", "-o", tmp_path / "o.csv", *more)[0]
            == 0
        )
        outputs.append((tmp_path / "o.csv").read_text())
    assert outputs[0] == outputs[1] and outputs[0].count("\n") == 179


def test_row_groups_are_set_aside(windows, wine, tmp_path, capsys):
    path = tmp_path / "model.fastmlp"
    train = ["train", windows / "parts", "-t", "cultivar", "-o", path, "--window-rows", "80", *SHORT, "--json"]
    code, said, errors = _run(capsys, *train, "--holdout", "0.3")
    scores = json.loads(said)["scores"]
    aside = sorted(np.random.default_rng(0).permutation(9)[:3])
    rows = [row for group in aside for row in range(20 * group, min(178, 20 * group + 20))]
    held_out = wine.iloc[rows]
    correct = fastmlp.load(path).predict(held_out.drop(columns="cultivar")) == held_out["cultivar"].to_numpy()
    assert code == 0 and scores[f"{len(rows)} rows set aside"]["accuracy"] == correct.mean()
    said = "has 9 row groups, of which --holdout would leave none to train on: write it with more row groups.\n"
    assert _run(capsys, *train, "--holdout", "0.95")[2].endswith(said)


@pytest.mark.parametrize("name", ["wine.arrow", "wine.csv"])
def test_other_files_are_read_by_windows_too(windows, wine, tmp_path, capsys, name):
    train = ["train", windows / name, "-t", "cultivar", "-o", tmp_path / "m.fastmlp", "--window-rows", "80", *SHORT]
    assert _run(capsys, *train, "--drop", "bottled", "empty")[0] == 0
    own = fastmlp.load(tmp_path / "m.fastmlp")
    wine.to_parquet(tmp_path / "wine.parquet", row_group_size=10)
    features = ["magnesium", "color_intensity", "proline", "strong"]
    source = fastmlp.scan_parquet(tmp_path / "wine.parquet", target="cultivar", features=features, window_rows=80)
    expected = fastmlp.TabularMLPClassifier(2, max_iter=3, random_state=0).fit(source)
    np.testing.assert_array_equal(own.predict_proba(wine[features]), expected.predict_proba(wine[features]))


def test_what_is_wrong_with_windows_is_a_sentence(windows, tmp_path, capsys):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    for data, more, said in (
        (windows / "parts", ["-t", "cultivr"], "has no column 'cultivr'; did you mean 'cultivar'? It has magnesium,"),
        (windows / "parts", ["-t", "cultivar", "--drop", "stong"], "has no column 'stong'; did you mean 'strong'?"),
        (windows / "parts", ["-t", "cultivar", "--categorical", "stong"], "has no column 'stong'"),
        (windows / "parts", ["-t", "cultivar", "--window-rows", "9"], "has 20 rows, a window at most 9: set"),
        (windows / "none", ["-t", "cultivar"], f"There is no file {windows}/none."),
        (tmp_path / "broken.parquet", ["-t", "cultivar"], "broken.parquet cannot be read: "),
        (windows / "wine.csv", ["-t", "cultivar", "--delimiter", ";"], "has no column 'cultivar'"),
    ):  # fmt: skip
        window = [] if "--window-rows" in more else ["--window-rows", "60"]
        code, _, errors = _run(capsys, "train", data, "-o", tmp_path / "m.fastmlp", *SHORT, *more, *window)
        assert code == 1 and said in errors and errors.count("\n") == 1, errors


def test_show(model, tmp_path, capsys):
    code, said, _ = _run(capsys, "show", model)
    assert code == 0 and "model: TabularMLPClassifier\n" in said and "classes: barbera, barolo, grignolino\n" in said
    assert "columns: numbers: magnesium, color_intensity, proline; categories: strong; dates: bottled; empty:" in said
    shown = json.loads(_run(capsys, "show", model, "--json")[1])
    assert shown["networks"] == 2 and shown["parameters"] == {"max_iter": 3, "n_members": 2, "random_state": 0}
    X, y = load_wine(return_X_y=True)
    path = tmp_path / "mlp.fastmlp"
    fastmlp.MLPClassifier((5,), random_state=0, max_iter=2).fit(X, y).save(path)
    shown = json.loads(_run(capsys, "show", path, "--json")[1])
    assert shown["layers"] == [13, 5, 3] and shown["weights"] == 13 * 5 + 5 + 5 * 3 + 3 and shown["features"] == 13
    layers = [("conv", 2, 3, {"activation": "identity"}), ("pool", 5), ("dense", 4)]
    fastmlp.ConvClassifier(layers, data="series", random_state=0, max_iter=2).fit(X, y).save(path)
    shown = json.loads(_run(capsys, "show", path, "--json")[1])
    assert shown["layers"] == ["13", "2 x 1 x 13 identity", "2 x 1 x 2 MaxPool", "4 relu", "3 softmax"]
    fastmlp.MLPClassifier().save(path)
    assert _run(capsys, "show", path)[1].startswith("model: MLPClassifier\nfile: ")


def test_a_network_for_matrices_predicts_too(tmp_path, capsys):
    frame = load_wine(as_frame=True).frame
    model = fastmlp.MLPClassifier((5,), random_state=0, max_iter=2).fit(frame.drop(columns="target"), frame["target"])
    path, data = tmp_path / "mlp.fastmlp", tmp_path / "wine.csv"
    model.save(path)
    frame.to_csv(data, index=False)
    code, said, _ = _run(capsys, "predict", path, data, "--labels-only")
    expected = model.predict(frame.drop(columns="target"))
    assert code == 0 and said.splitlines()[1:] == [str(label) for label in expected]
    model.fit(frame.drop(columns="target").to_numpy(), frame["target"]).save(path)
    said = f"fastmlp: {data} has 14 columns, and the model takes 13.\n"
    assert _run(capsys, "predict", path, data)[::2] == (1, said)
    frame.assign(ash="grey").to_csv(data, index=False)
    said = f"fastmlp: MLPClassifier takes numbers alone, and {data} has others.\n"
    assert _run(capsys, "predict", path, data)[::2] == (1, said)
    fastmlp.MLPClassifier().save(path)
    assert _run(capsys, "predict", path, data)[::2] == (1, f"fastmlp: {path} has a model that is not fitted.\n")


def test_export(model, tmp_path, capsys):
    pytest.importorskip("onnx")
    code, said, _ = _run(capsys, "export", model, "--c", tmp_path / "m.c", "--onnx", tmp_path / "m.onnx")
    assert code == 0 and said == f"written to {tmp_path / 'm.onnx'}\nwritten to {tmp_path / 'm.c'}\n"
    own = fastmlp.load(model)
    own.to_c(tmp_path / "own.c")
    assert (tmp_path / "m.c").read_bytes() == (tmp_path / "own.c").read_bytes()
    assert (tmp_path / "m.onnx").read_bytes() == own.to_onnx().SerializeToString()
    said = "fastmlp: Say what to write: --onnx FILE, --c FILE or both.\n"
    assert _run(capsys, "export", model) == (1, "", said)


def test_bad_files_are_a_sentence(folder, model, tmp_path, capsys):
    wine, target = folder / "wine.csv", ["-t", "cultivar", "-o", tmp_path / "m.fastmlp", *SHORT]
    for args, said in (
        (["train", folder / "wien.csv", *target], f"There is no file {folder}/wien.csv; did you mean {wine}?"),
        (["train", "/nowhere/at.csv", *target], "There is no file /nowhere/at.csv."),
        (["train", folder / "semicolons.csv", *target], "its delimiter is another, try --delimiter ';'."),
        (["train", wine, "--delimiter", ";", *target], "its delimiter is another, try --delimiter ','."),
        (["train", wine, "-t", "cultivr"], "has no column 'cultivr'; did you mean 'cultivar'? It has magnesium, "),
        (["train", wine, "--drop", "stong", *target], "has no column 'stong'; did you mean 'strong'?"),
        (["train", wine, "--drop", *"magnesium color_intensity proline strong bottled empty".split(), *target],
         "No column is left to predict from."),
        (["train", wine, "-t", "empty"], "The target 'empty' has no values."),
        (["train", wine, "--task", "regression", *target], "has values that are no numbers, and --task is regression."),
        (["train", folder / "zero.csv", *target], f"{folder}/zero.csv is empty."),
        (["train", folder / "header.csv", *target], f"{folder}/header.csv has no rows."),
        (["train", folder / "broken.csv", *target], f"{folder}/broken.csv cannot be read: "),
        (["train", folder / "broken.parquet", *target], f"{folder}/broken.parquet cannot be read: "),
        (["train", folder / "none", *target], f"{folder}/none has no files that end in .csv, "),
        (["train", folder, *target], f"{folder} has files of several kinds: arrow, csv, parquet."),
        (["train", wine, "-t", "cultivar", "-o", "/nowhere/m.fastmlp"], "/nowhere/m.fastmlp cannot be written: "),
        (["predict", wine, wine], f"'{wine}' is not a fastmlp file"),
        (["predict", model, folder / "diabetes.csv"], "lacks columns of the model: magnesium, color_intensity,"),
        (["predict", model, wine, "--keep", "id"], "has no column 'id'."),
        (["show", folder / "no.fastmlp"], "No such file or directory"),
    ):  # fmt: skip
        code, printed, errors = _run(capsys, *args)
        assert code == 1 and not printed.startswith("Traceback") and errors.startswith("fastmlp: "), args
        assert said in errors and errors.count("\n") == 1, errors
    assert not (tmp_path / "m.fastmlp").exists()
    (tmp_path / "mixed").mkdir()
    for name, columns in (("1.csv", "a,b"), ("2.csv", "a,c")):
        (tmp_path / "mixed" / name).write_text(f"{columns}\n1,2\n")
    assert _run(capsys, "train", tmp_path / "mixed", *target)[2].endswith("differ in their columns: b, c.\n")


@pytest.mark.parametrize(
    "args, said",
    [
        ([], "the following arguments are required: COMMAND"),
        (["train", "x.csv"], "the following arguments are required: --target/-t"),
        (["train", "x.csv", "-t", "y", "--holdout", "1"], "argument --holdout: must be between 0 and 1, got 1"),
        (["train", "x.csv", "-t", "y", "--members", "0"], "argument --members: must be at least 1, got 0"),
        (["train", "x.csv", "-t", "y", "--time-limit", "0"], "argument --time-limit: must be above 0, got 0"),
        (["train", "x.csv", "-t", "y", "--epochs", "many"], "argument --epochs: invalid count value: 'many'"),
    ],
)
def test_wrong_arguments_end_with_2(args, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_help_has_examples(capsys):
    for command in ("train", "predict", "show", "export"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and f"  fastmlp {command} " in capsys.readouterr().out


def test_arrow_reads_where_pandas_is_not(folder, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "pandas" else True)
    table = files.read_file(str(folder / "wine.csv"))
    assert isinstance(table, pyarrow.Table) and table.num_rows == 178
    assert files.column(table, "magnesium", "")[:2] == [None, 100.0]
    assert files.columns_of(files.without(table, ["empty", "strong"])) == [
        "magnesium", "color_intensity", "proline", "cultivar", "bottled",
    ]  # fmt: skip
    kept = files.rows_where(table, np.arange(178) < 3)
    assert kept.num_rows == 3
    assert files.rows_where(table, np.array([5, 1])).column("proline").to_pylist() == [1450, 1050]
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(files.TableError, match=r'CSV needs pandas or PyArrow: pip install "fastmlp\[cli\]".'):
        files.read_file(str(folder / "wine.csv"))
    with pytest.raises(files.TableError, match=r'needs PyArrow: pip install "fastmlp\[arrow\]".'):
        files.read_file(str(folder / "wine.parquet"))


def test_a_full_disk_is_a_sentence(folder, tmp_path):
    unshare = shutil.which("unshare")
    mount = 'mount -t tmpfs -o size=64k none "$0" && shift 0 && exec "$@"'
    run = [unshare, "--mount", "sh", "-c", mount, str(tmp_path)]
    if unshare is None or subprocess.run([*run, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    command = [sys.executable, "-c", "import sys; from fastmlp.cli import main; sys.exit(main())"]
    path = str(tmp_path / "m.fastmlp")
    train = ["train", str(folder / "wine.csv"), "-t", "cultivar", "-o", path, *SHORT]
    ended = subprocess.run([*run, *command, *train], capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr == f"fastmlp: {path} cannot be written: No space left on device.\n"


def test_a_shell_completes_commands_options_and_files(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert main(["completion", "zsh"]) == 0 and capsys.readouterr().out.endswith(script)
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    (tmp_path / "c.sh").write_text(script)
    (tmp_path / "data.csv").touch()

    def completed(*words):
        given = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
        run = f"source c.sh; {given}; _fastmlp; echo ${{COMPREPLY[*]}}"
        return subprocess.run([bash, "-c", run], capture_output=True, text=True, cwd=tmp_path).stdout.split()

    assert completed("fastmlp", "tr") == ["train"]
    assert completed("fastmlp", "train", "--ta") == ["--target", "--task"]
    assert completed("fastmlp", "train", "da") == ["data.csv"]
    commands = parser()._subparsers._group_actions[0].choices
    assert set(completed("fastmlp", "''")) == {*commands}
