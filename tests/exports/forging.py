"""Files of fastmlp taken apart, changed and put together again with a checksum that is right."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

import fastmlp
from fastmlp.exports import files


def taken_apart(path):
    """The document and the tensors of a file."""
    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()["fastmlp"]), {name: file.get_tensor(name) for name in file.keys()}


def sealed(content):
    """The content with its checksum made right, if it has one."""
    content = bytearray(content)
    if content[8 : 8 + len(files._MAGIC)] != files._MAGIC:
        return bytes(content)
    start = files._START.match(content, 8 + len(files._MAGIC))
    if start is not None and start[2] is not None:
        at = start.start(2)
        content[at : at + 64] = files._digest(content, at).encode()
    return bytes(content)


def put_together(document, tensors, text=None):
    """The content of a file; `text` in place of the document's own JSON, from "class" on."""
    size = sum(tensor.nbytes for tensor in tensors.values())
    start = {"version": document.get("version", 1), "blake2b": "0" * 64, "data_bytes": size}
    rest = {name: value for name, value in document.items() if name not in start}
    written = json.dumps(start, separators=(",", ":"))[:-1] + "," + (text or json.dumps(rest)[1:])
    return sealed(safetensors.numpy.save(tensors, {"fastmlp": written}))


def with_header(document, entries, data):
    """The content of a file whose header names tensors as it likes: `entries` is the JSON after the metadata."""
    text = json.dumps({"version": 1, "blake2b": "0" * 64, "data_bytes": len(data)}, separators=(",", ":"))[:-1]
    text += "," + json.dumps({name: document[name] for name in ("class", "params", "fitted")})[1:]
    header = '{"__metadata__":' + json.dumps({"fastmlp": text}, separators=(",", ":")) + "," + entries + "}"
    return sealed(struct.pack("<Q", len(header)) + header.encode() + data)


def at(node, *path):
    """What is within a document: names within objects that stand for dicts, numbers within lists."""
    for step in path:
        if _is_dict(node) and step != "dict":
            node = next(pair for pair in node["dict"] if pair[0] == step)[1]
        else:
            node = node[step]
    return node


def _is_dict(node):
    """Whether an object stands for a dict, as a list of pairs."""
    return isinstance(node, dict) and "dict" in node


def put(*path):
    """A change of a document: the last argument is put where the others lead."""
    *path, last, value = path

    def change(document, tensors):
        node = at(document, *path)
        if _is_dict(node):
            node["dict"][:] = [pair for pair in node["dict"] if pair[0] != last] + [[last, value]]
        else:
            node[last] = value

    return change


def tensor(name, make):
    """A change of a tensor: what a function makes of it takes its place."""

    def change(document, tensors):
        tensors[name] = np.ascontiguousarray(make(tensors[name]))

    return change


def refusal(content, folder):
    """What `load` says of a file, without its name."""
    path = folder / "forged"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        fastmlp.load(path)
    name = repr(str(path)) + " "
    assert type(caught.value) is ValueError and str(caught.value).startswith(name)
    return str(caught.value).removeprefix(name)


def refusal_of(change, document, tensors, folder):
    """What `load` says of a file after a change."""
    change(document, tensors)
    return refusal(put_together(document, tensors), folder)
