"""`spiceloop netlist MODULE.py:FACTORY` with networks and files that cannot become a circuit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.workflows.command import names_all, refused, spiceloop

HEAD = """\
from __future__ import annotations
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.r = nn.Linear(3, 3), nn.Linear(3, 2), nn.ReLU()
        self.set_up()
    def set_up(self):
        pass
"""
SUPPORTED = (
    "Linear, BatchNorm1d after it, Identity, ReLU, Sigmoid, Tanh, Flatten, Dropout; one chain"
)


def forward(line: str, more: str = "") -> str:
    """A network whose forward returns the expression `line`, as a file."""
    body = f"class Mine(Net):\n{more}    def forward(self, x):\n        return {line}\n"
    return f"{HEAD}{body}\ndef make():\n    return Mine()\n"


def returns(expression: str) -> str:
    """A file whose factory returns `expression`."""
    return f"{HEAD}\ndef make():\n    return {expression}\n"


def quietly(expression: str) -> str:
    """A file whose factory returns `expression`, which torch warns of."""
    plain = "class Plain(Net):\n    def forward(self, x):\n        return self.b(x)\n"
    body = f"import warnings\n    warnings.simplefilter('ignore')\n    return {expression}\n"
    return f"{HEAD}{plain}def make():\n    {body}"


CASES = {
    "Conv2d": (returns("nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(4, 2))"),
               ["network.0", "Conv2d", SUPPORTED]),
    "no return": ("def make():\n    pass\n", ["NoneType", "end the factory with return"]),
    "LSTM": (returns("nn.Sequential(nn.LSTM(3, 2))"), ["network.0", "LSTM", SUPPORTED]),
    "BatchNorm first": (returns("nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))"),
                        ["network.0", "torch.nn.BatchNorm1d", "the Linear before it"]),
    "BatchNorm after an activation": (
        returns("nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.BatchNorm1d(2))"),
        ["network.2", "torch.nn.BatchNorm1d", "Linear, BatchNorm1d, activation, in this order"]),
    "BatchNorm of the batch": (
        returns("nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False))"),
        ["network.1", "running statistics", "track_running_stats=True"]),
    "BatchNorm of another size": (
        returns("nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(3))"),
        ["network.1", "3 features after 2 outputs"]),
    "BatchNorm of images": (returns("nn.Sequential(nn.Linear(3, 2), nn.BatchNorm2d(2))"),
                            ["network.1", "torch.nn.BatchNorm2d", SUPPORTED]),
    "GELU": (returns("nn.Sequential(nn.Linear(3, 2), nn.GELU())"),
             ["network.1", "GELU", SUPPORTED]),
    "functional softmax": (forward("F.softmax(self.b(self.a(x)), dim=1)"),
                           ["softmax", SUPPORTED, "leave it out"]),
    "softmax": (returns("nn.Sequential(nn.Linear(3, 2), nn.LogSoftmax(1))"),
                ["network.1", "torch.nn.LogSoftmax", "leave it out"]),
    "branch on values": (forward("self.a(x) if x.sum() > 0 else self.b(x)"),
                         ["Mine", "traced", "net.py:", "must not branch"]),
    "as_tensor": (forward("self.b(torch.as_tensor(x, dtype=torch.float32))"),
                  ["Mine", "net.py:1", "return self.b(torch.as_tensor(x", "leave out",
                   "inputs are tensors already"]),
    "a number of it": (forward("self.b(x) * float(x)"), ["float(x)", "leave out", "float, len"]),
    "quantised": (quietly("torch.ao.quantization.quantize_dynamic(Plain(), {nn.Linear})"),
                  ["got 'torch.ao.nn.quantized.dynamic", "torch.nn.Linear", "before its quant"]),
    "scripted": (quietly("torch.jit.trace(nn.Linear(3, 2), torch.ones(1, 3))"),
                 ["compiled module", "TopLevelTracedModule", "compiled from"]),
    "skip connection": (forward("self.b(self.a(x) + x)"), ["network.", "add", SUPPORTED]),
    "two outputs": (forward("(self.a(x), self.b(x))"), ["not a chain", SUPPORTED]),
    "indexing": (forward("self.a(x)[:, :2]"), ["indexing", SUPPORTED]),
    "parameter of its own": (forward("self.b(x) + self.s",
                             "    def set_up(self):\n        self.s = nn.Buffer(torch.ones(2))\n"),
                             ["has no circuit", SUPPORTED]),
    "shared Linear": (forward("self.b(self.r(self.a(self.r(self.a(x)))))"),
                      ["network.a", "twice", SUPPORTED]),
    "result that is lost": (forward("(y := self.b(x), torch.relu(y))[0]"), ["not used"]),
    "ReLU first": (returns("nn.Sequential(nn.ReLU(), nn.Linear(3, 2))"),
                   ["network.0", "relu", "must follow a Linear", SUPPORTED]),
    "two activations": (returns("nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Tanh())"),
                        ["network.2", "tanh", "must follow a Linear"]),
    "no Linear": (returns("nn.Sequential(nn.Flatten())"), ["no Linear", SUPPORTED]),
    "no layer": (returns("nn.Sequential()"), ["no Linear", SUPPORTED]),
    "layers of other sizes": (returns("nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2))"),
                              ["network.1", "5 inputs after 4 outputs"]),
    "no outputs": (forward("self.b(x)", "    def set_up(self):\n"
                           "        self.b.weight = nn.Parameter(torch.ones(0, 3))\n"),
                   ["network.b", "at least one", "(0, 3)"]),
    "NaN weight": (forward("self.b(x)", "    def set_up(self):\n        with torch.no_grad():\n"
                           "            self.b.weight[1, 2] = float('nan')\n"),
                   ["network.b.weight[1, 2]", "nan", "finite"]),
    "infinite bias": (forward("self.b(x)", "    def set_up(self):\n        with torch.no_grad():\n"
                              "            self.b.bias[0] = float('inf')\n"),
                      ["network.b.bias[0]", "inf"]),
    "complex weight": (returns("nn.Sequential(nn.Linear(3, 2, dtype=torch.complex64))"),
                       ["network.0.weight", "complex64", "real"]),
    "weight without memory": (returns("nn.Sequential(nn.Linear(3, 2, device='meta'))"),
                              ["network.0.weight", "meta"]),
    "normalised weight": (returns("nn.Sequential(nn.utils.parametrizations.weight_norm("
                                  "nn.Linear(3, 2)))"),
                          ["network.0", SUPPORTED, "remove_parametrizations"]),
    "hooked Linear": (forward("self.b(x)", "    def set_up(self):\n"
                              "        self.b.register_forward_hook(lambda m, i, o: -o)\n"),
                      ["network.b", "hooks"]),
    "own subclass of Linear": (f"{HEAD}class Odd(nn.Linear):\n    def forward(self, x):\n"
                               "        return -super().forward(x)\n"
                               "def make():\n    return nn.Sequential(Odd(3, 2))\n",
                               ["got 'spiceloop_user_module.Odd'", SUPPORTED, "Linear itself"]),
    "factory missing": (HEAD, ["no factory 'make'", "net.py", "Net"]),
    "factories go before classes": (
        f"{HEAD}def other():\n    return Net()\n", ["no factory 'make'", "allowed: other, Net"],
    ),
    "factory is a number": (f"{HEAD}make = 3\n", ["no factory 'make'"]),
    "factory raises": (f"{HEAD}def make():\n    raise KeyError('lost\\nword')\n",
                       ["net.py:make", "KeyError", "lost"]),
    "factory wants arguments": (f"{HEAD}def make(size):\n    return Net()\n",
                                ["wants arguments (size)", "def make()"]),
    "factory exits": (f"{HEAD}import sys\ndef make():\n    sys.exit(0)\n", ["SystemExit"]),
    "factory returns None": (f"{HEAD}def make():\n    pass\n", ["no torch module", "NoneType"]),
    "factory returns a class": (returns("Net"), ["no torch module", "return Net()"]),
    "not Python": ("def make(:\n", ["SyntaxError", "net.py"]),
    "import that fails": ("import nonexistent_thing\n", ["ModuleNotFoundError", "nonexistent"]),
    "endless recursion": ("def make():\n    return make()\n", ["RecursionError"]),
    "not text": ("\udcff\udcfe\x00", ["net.py"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), CASES.values(), ids=CASES)
def test_network_without_a_circuit_is_refused_by_name(
    text: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "net.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    sentence = refused(tmp_path, "netlist", f"{tmp_path}/net.py:make", "-o", tmp_path / "deck")
    names_all(sentence, *words)


def test_a_module_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    for target in ("missing.py:make", "folder.py:make", "missing.py:", ".py:"):
        sentence = refused(tmp_path, "netlist", f"{tmp_path}/{target}", "-o", tmp_path / "deck")
        names_all(sentence, "no such file", ".py")


def test_an_empty_folder_stays_when_the_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deck").mkdir()
    sentence = refused(tmp_path, "netlist", f"{tmp_path}/no.py:make", "-o", tmp_path / "deck")
    names_all(sentence, "no.py")


def test_what_the_users_code_prints_does_not_reach_stdout(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(f"{returns('nn.Linear(3, 2)')}\nprint('hello')\n")
    ran = spiceloop("netlist", f"{tmp_path}/net.py:make", "-o", tmp_path / "deck", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["layers"] == 1
    assert "hello" in ran.err


def test_a_module_may_define_dataclasses_and_leaves_no_trace(tmp_path: Path) -> None:
    text = "from dataclasses import dataclass\n@dataclass\nclass Spec:\n    size: int = 2\n"
    (tmp_path / "net.py").write_text(
        f"from __future__ import annotations\n{text}import sys\nsys.path.insert(0, '/nowhere')\n"
        + returns("nn.Sequential(nn.Linear(3, Spec().size))").removeprefix(HEAD.splitlines()[0])
    )
    paths, modules = list(sys.path), set(sys.modules)
    ran = spiceloop("netlist", f"{tmp_path}/net.py:make", "-o", tmp_path / "deck")
    assert ran.code == 0, ran.err
    assert sys.path == paths
    assert not any("user_module" in name for name in set(sys.modules) - modules)
