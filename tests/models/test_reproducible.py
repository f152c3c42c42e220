"""Two trainings give the same bits; PyTorch's own notes on reproducibility say which flags and which operation."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from workbench.core.errors import FailureError, ParameterError
from workbench.models.reproducible import describe_device, make_reproducible, pick_device

TRAINING = """
import hashlib
import torch

def train(seed):
    from workbench.models.reproducible import make_reproducible
    make_reproducible(seed)
    model = torch.nn.LSTM(3, 8, num_layers=2, dropout=0.2)
    optimiser = torch.optim.Adam(model.parameters())
    data, target = torch.randn(16, 4, 3), torch.randn(16, 4, 8)
    for _ in range(5):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(model(data)[0], target).backward()
        optimiser.step()
    weights = b"".join(each.detach().numpy().tobytes() for each in model.parameters())
    return hashlib.sha256(weights).hexdigest()
"""

LIGHT = """
import json, os, sys, psutil
import workbench.models.reproducible, workbench.models.tracking
light = sorted({"torch", "mlflow", "tensorboard"} & set(sys.modules))
"""

FRESH = """
import torch, torch.utils.tensorboard
from workbench.models.reproducible import make_reproducible, pick_device
device = pick_device()
make_reproducible(7)
threads = len(os.listdir("/proc/self/task"))
listeners = [str(each) for each in psutil.Process().net_connections()]
print(json.dumps([train(7), light, device, threads, listeners, torch.cuda.is_initialized()]))
"""


@pytest.fixture(scope="module")
def torch():
    """PyTorch, not imported before a test needs it."""
    import torch

    return torch


@pytest.fixture(autouse=True)
def as_before(monkeypatch, torch):
    """Give back what is set for the whole process."""
    for name in ("CUBLAS_WORKSPACE_CONFIG", "PYTORCH_NVML_BASED_CUDA_CHECK"):
        # Set and then removed, so that what a test sets is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    cudnn = torch.backends.cudnn
    strict, flags = torch.are_deterministic_algorithms_enabled(), (cudnn.deterministic, cudnn.benchmark)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    torch.use_deterministic_algorithms(strict)
    cudnn.deterministic, cudnn.benchmark = flags
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


@pytest.fixture(scope="module")
def train():
    names = {}
    exec(TRAINING, names)
    return names["train"]


@pytest.fixture(scope="module")
def fresh(torch):
    """What two new processes say that train at once, with this process's number of threads."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", LIGHT + TRAINING + FRESH]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return [json.loads(each.communicate(timeout=120)[0]) for each in started]


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(train):
    first = train(7)
    assert train(7) == first
    assert train(8) != first


def test_the_same_seed_gives_the_same_bits_in_new_processes(train, fresh):
    assert [each[0] for each in fresh] == [train(7)] * 2


def test_what_a_process_imports_before_it_forks_starts_no_thread_no_listener_and_no_cuda(fresh):
    for _, light, device, threads, listeners, cuda_started in fresh:
        assert (light, threads, listeners, cuda_started) == ([], 1, [], False)
        assert device in ("cpu", "cuda", "mps")


def test_every_generator_is_seeded(torch):
    # The first draws after seed 0, as the documentation of each library and countless pages show them.
    make_reproducible(0)
    assert random.random() == 0.8444218515250481
    assert np.random.rand() == 0.5488135039273248  # noqa: NPY002
    assert torch.rand(3).numpy() == pytest.approx([0.4963, 0.7682, 0.0885], abs=5e-5)


def test_an_operation_without_a_deterministic_implementation_raises(torch):
    def put():
        # Named by torch.use_deterministic_algorithms as one that raises: two values for one place.
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))

    torch.use_deterministic_algorithms(False)
    put()
    make_reproducible(0)
    with pytest.raises(RuntimeError, match="put_ does not have a deterministic implementation"):
        put()


def test_the_flags_of_the_gpu_libraries_are_set_and_the_threads_left_alone(torch):
    threads = torch.get_num_threads(), torch.get_num_interop_threads()
    torch.backends.cudnn.benchmark = True
    make_reproducible(1)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert (torch.get_num_threads(), torch.get_num_interop_threads()) == threads


def test_a_workspace_that_the_user_chose_is_kept(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_reproducible(1)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "7", None, True, np.bool_(True), float("nan")])
def test_a_seed_that_is_none_is_told_and_changes_nothing(seed, torch):
    before = random.getstate(), torch.get_rng_state()
    with pytest.raises(ParameterError, match="is not valid; give a whole number from 0 to 4294967295") as told:
        make_reproducible(seed)
    assert repr(seed) in str(told.value)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(5)])
def test_the_ends_of_the_range_and_numpys_whole_numbers_are_seeds(seed, torch):
    make_reproducible(seed)
    assert torch.initial_seed() == int(seed)


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu"), (True, False, "cuda")],
)
def test_the_best_device_is_picked_without_starting_cuda(monkeypatch, cuda, mps, device, torch):
    asked = []

    def available():
        asked.append(os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK"))
        return cuda

    monkeypatch.setattr(torch.cuda, "is_available", available)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device() == device
    assert asked == ["1"]


@pytest.mark.parametrize(
    ("device", "cores", "gpus", "text"),
    [
        ("cpu", {0}, 0, "cpu (1 core)"),
        ("cpu", {0, 3}, 0, "cpu (2 cores)"),
        ("mps", {0}, 0, "Apple GPU"),
        ("cuda", {0}, 1, "cuda (1 GPU)"),
        ("cuda", {0}, 2, "cuda (2 GPUs)"),
    ],
)
def test_the_device_is_told_in_a_few_words_without_starting_it(monkeypatch, device, cores, gpus, text, torch):
    def started(number):
        raise AssertionError("it would hold memory")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: device == "mps")
    monkeypatch.setattr(torch.cuda, "get_device_properties", started)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: cores, raising=False)
    assert describe_device() == text


@pytest.mark.parametrize("call", [pick_device, describe_device, lambda: make_reproducible(1)])
def test_without_pytorch_a_sentence_says_what_to_install(monkeypatch, call):
    with monkeypatch.context() as absent:
        absent.setitem(sys.modules, "torch", None)
        with pytest.raises(FailureError, match=r"needs torch; install it with: pip install 'trii-workbench\[models\]'"):
            call()
