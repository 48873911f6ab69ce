"""The selective scan: its recurrence, the agreement of its backends, its memory."""

import json
import math
import os
import subprocess
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.segmentation.selective_scan import backends, scan, torch_sweeps
from pipeline.segmentation.selective_scan.scan import selective_scan

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NAMES = ("x", "dt", "a", "b", "c", "d", "z", "dt_bias")


def draw(batch, channels, states, tokens, *, dtype=torch.float32, seed=0):
    """Return operands of a scan, all of them given, that want gradients."""
    source = torch.Generator().manual_seed(seed)
    per_token, per_state = (batch, channels, tokens), (batch, states, tokens)
    shapes = dict(
        zip(
            NAMES,
            (
                per_token, per_token, (channels, states), per_state, per_state,
                (channels,), per_token, (channels,),
            ),
            strict=True,
        )
    )  # fmt: skip
    found = {name: torch.randn(shape, generator=source) for name, shape in shapes.items()}
    found["a"] = -found["a"].exp()
    return {name: value.to(dtype).requires_grad_() for name, value in found.items()}


def with_gradients(operands, backend):
    """Return the output and the gradients of a fixed weighted sum of it."""
    output = selective_scan(**operands, backend=backend)
    weights = torch.sin(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape)
    gradients = torch.autograd.grad((output * weights).sum(), list(operands.values()))
    return {"y": output.detach(), **dict(zip(operands, gradients, strict=True))}


def largest_difference(found, wanted):
    """Return the largest difference relative to the largest value, over output and gradients."""
    return max(
        float((found[name] - wanted[name]).abs().max() / wanted[name].abs().max().clamp(min=1))
        for name in wanted
    )


@pytest.fixture
def small_chunks(monkeypatch):
    """Make a chunk of two segments of 32 tokens, for one sequence of 3 channels, 4 states."""
    monkeypatch.setattr(torch_sweeps, "_VALUES_PER_THREAD", 24)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


@pytest.mark.parametrize("backend", ["reference", "chunked"])
def test_a_constant_input_fills_the_state_as_a_geometric_series(backend):
    """With one state, s = ln 2 and a = -1, the state halves and gains ln 2 each token."""
    ones = torch.ones(1, 1, 5)
    raw = math.log(math.expm1(math.log(2)))  # softplus of it is ln 2

    output = selective_scan(ones, raw * ones, a=-torch.ones(1, 1), b=ones, c=ones, backend=backend)

    expected = [math.log(2) * sum(0.5**k for k in range(n)) for n in range(1, 6)]
    assert output.flatten().tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("backend", ["reference", "chunked"])
def test_skip_and_gate_act_behind_the_recurrence(backend):
    """Without reading the state, what is left is d x silu(z): 2 * 3 * 1 / (1 + e^-1)."""
    ones = torch.ones(1, 1, 2)

    output = selective_scan(
        3 * ones, ones, a=-torch.ones(1, 1), b=ones, c=0 * ones, d=torch.tensor([2.0]), z=ones,
        backend=backend,
    )  # fmt: skip

    assert output.flatten().tolist() == pytest.approx([6 / (1 + math.exp(-1))] * 2, rel=1e-6)


@pytest.mark.parametrize(
    ("batch", "channels", "states", "tokens"),
    [(1, 3, 4, 1), (1, 3, 4, 64), (1, 3, 4, 65), (2, 5, 3, 77), (1, 1, 1, 33), (2, 8, 16, 150)],
)
@pytest.mark.usefixtures("small_chunks")
def test_chunks_give_the_sequential_scan_and_its_gradients(batch, channels, states, tokens):
    """Value and all eight gradients agree to 1e-4 over one chunk, several, and broken ones."""
    operands = draw(batch, channels, states, tokens)

    found = with_gradients(operands, "chunked")

    assert largest_difference(found, with_gradients(operands, "reference")) < 1e-4


@pytest.mark.parametrize("absent", ["d", "z", "dt_bias"])
def test_operands_may_be_left_out(absent):
    """Without skip, gate or bias the backends agree as well."""
    operands = {name: value for name, value in draw(1, 2, 3, 40).items() if name != absent}

    found = with_gradients(operands, "chunked")

    assert largest_difference(found, with_gradients(operands, "reference")) < 1e-4


@pytest.mark.usefixtures("small_chunks")
def test_gradients_are_those_of_finite_differences(monkeypatch):
    """In float64 each gradient of the chunked scan is the slope of its output."""
    monkeypatch.setattr(torch_sweeps, "_STEPS", 3)
    operands = draw(1, 2, 2, 20, dtype=torch.float64)
    names = tuple(operands)

    assert torch.autograd.gradcheck(
        lambda *values: selective_scan(**dict(zip(names, values, strict=True)))[..., -5:],
        tuple(operands.values()),
    )


def test_a_decay_that_vanishes_divides_nothing():
    """Where exp(s a) is zero in float32, value and gradients stay those of the plain loop."""
    operands = draw(1, 4, 16, 200)
    with torch.no_grad():
        operands["a"].mul_(1e4)
        operands["dt"].add_(5)

    found = with_gradients(operands, "chunked")

    assert all(bool(value.isfinite().all()) for value in found.values())
    assert largest_difference(found, with_gradients(operands, "reference")) < 1e-4


def test_a_slow_decay_is_not_lost_over_many_tokens():
    """Over 1500 tokens with decays near one, rounding stays below 1e-4."""
    operands = draw(1, 2, 4, 1500)
    with torch.no_grad():
        operands["dt"].sub_(8)

    found = with_gradients(operands, "chunked")

    assert largest_difference(found, with_gradients(operands, "reference")) < 1e-4


class _Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.values = max(self.values, result.untyped_storage().nbytes() // 4)
        return result


@pytest.mark.usefixtures("small_chunks")
def test_no_tensor_of_all_states_exists_however_long_the_sequence():
    """Over 20 chunks, forward and backward, nothing is larger than an operand."""
    batch, channels, states, tokens = 1, 3, 4, 20 * 64
    operands = draw(batch, channels, states, tokens)

    with _Largest() as largest:
        with_gradients(operands, "chunked")

    assert batch * channels * tokens <= largest.values <= batch * states * tokens


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full(dtype):
    """Under autocast, half operands give the float32 scan of the same numbers."""
    half = draw(1, 3, 4, 50, dtype=dtype)
    full = {name: value.detach().float().requires_grad_() for name, value in half.items()}

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = with_gradients(half, "chunked")

    wanted = with_gradients(full, "reference")
    assert found["y"].dtype == torch.float32
    assert float((found["y"] - wanted["y"]).abs().max()) < 1e-4
    assert {found[name].dtype for name in NAMES} == {dtype}


def test_a_result_beyond_float16_is_no_infinity():
    """Inputs of 6e4, the end of float16, leave a finite output of more than that."""
    big = torch.full((1, 1, 10), 6e4, dtype=torch.float16)
    ones = torch.ones(1, 1, 10, dtype=torch.float16)

    output = selective_scan(big, ones, a=-torch.full((1, 1), 1e-3), b=ones, c=ones)

    assert bool(output.isfinite().all())
    assert float(output.max()) > 65504


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_triton_kernels_agree_in_value_and_gradient():
    """Run by Triton's interpreter, the kernels give the plain loop's numbers to 1e-4."""
    errors = json.loads(_run("triton_agreement.py", TRITON_INTERPRET="1"))

    assert set(errors) == {"y", *NAMES}
    assert max(errors.values()) < 1e-4


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="triton compiles on Linux")
def test_triton_kernels_compile_for_a_gpu():
    """Triton turns every kernel into machine code of an A100, though none is here."""
    sizes = json.loads(_run("triton_compilation.py"))

    assert len(sizes) == 5
    assert min(sizes.values()) > 0


def _run(program, **environment):
    command = [sys.executable, str(HERE / program)]
    finished = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_upstream_kernel_is_called_with_its_own_names(monkeypatch):
    """mamba-ssm gets float32, the bias apart and softplus asked for, and gives the same scan."""

    def selective_scan_fn(u, delta, *others, z, delta_bias, delta_softplus):
        assert delta_softplus
        a, b, c, d = others
        step = functional.softplus(delta + delta_bias[:, None])
        total = step.cumsum(-1)
        # Closed form: the state at t is the sum over s <= t of exp(a (total_t - total_s)) drive_s.
        gap = total[..., :, None] - total[..., None, :]
        past = torch.ones_like(gap).tril()
        kernel = torch.exp((gap * past)[..., None] * a[:, None, None]) * past[..., None]
        drive = (step * u)[..., None] * b.transpose(1, 2)[:, None]
        states = torch.einsum("bdtsn,bdsn->bdtn", kernel, drive)
        y = torch.einsum("bdtn,bnt->bdt", states, c) + d[:, None] * u
        return y * functional.silu(z)

    module = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    operands = draw(2, 3, 4, 20)

    output = scan._SCANS["mamba_ssm"](*operands.values())

    wanted = selective_scan(**operands, backend="reference")
    assert float((output - wanted).detach().abs().max()) < 1e-4


def test_a_processor_takes_chunks_by_itself():
    """Without a GPU, "auto" is the chunked scan."""
    assert backends.choose_backend(torch.device("cpu")) == "chunked"


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        ({"triton", "mamba_ssm", "selective_scan_cuda"}, "mamba_ssm"),
        ({"triton", "mamba_ssm"}, "triton"),
        ({"triton"}, "triton"),
        (set(), "chunked"),
    ],
)
def test_a_gpu_takes_the_best_that_is_installed(monkeypatch, installed, chosen):
    """mamba-ssm without its CUDA part does not count; then Triton, then chunks."""
    monkeypatch.setattr(backends, "find_spec", lambda name: name if name in installed else None)

    assert backends.choose_backend(torch.device("cuda")) == chosen


@pytest.mark.parametrize("backend", ["triton", "mamba_ssm"])
def test_a_backend_that_cannot_run_says_why(backend):
    """Asking for a GPU's backend with operands on the processor is refused with the reason."""
    with pytest.raises(ValueError, match=r"cannot run: .*(CUDA|not installed)"):
        selective_scan(**draw(1, 2, 2, 3), backend=backend)


@pytest.mark.parametrize("name", ["dt", "a", "b", "c"])
def test_operands_that_do_not_fit_are_named(name):
    """An operand with one row too many is refused by its name, with both shapes."""
    operands = draw(1, 2, 2, 3)
    rows = 0 if name == "a" else 1
    operands[name] = torch.cat([operands[name], operands[name].narrow(rows, 0, 1)], dim=rows)

    with pytest.raises(ValueError, match=f"{name} must have shape"):
        selective_scan(**operands)
