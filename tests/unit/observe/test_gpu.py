"""The memory of GPUs, from a tool that may be absent, silent or odd."""

import pytest

from dicom_node.observe.gpu import GpuMemory, gpu_memory


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Return a function that makes an `nvidia-smi` which prints and exits as told."""

    def make(output, code=0):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\nprintf '{output}'\nexit {code}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    return make


def test_every_gpu_is_told_in_bytes(tool):
    """The tool counts in MiB."""
    tool("0, 1024, 81559\\n1, 0, 81559\\n")

    assert gpu_memory() == (
        GpuMemory(index="0", used_bytes=1024 * 2**20, total_bytes=81559 * 2**20),
        GpuMemory(index="1", used_bytes=0, total_bytes=81559 * 2**20),
    )


def test_a_gpu_without_a_number_is_left_out(tool):
    """Some drivers answer [N/A]."""
    tool("0, [N/A], [N/A]\\n")

    assert gpu_memory() == ()


def test_a_driver_that_fails_has_no_gpu(tool):
    """Exit code 9: no driver."""
    tool("NVIDIA-SMI has failed\\n", code=9)

    assert gpu_memory() == ()


def test_without_the_tool_there_is_no_gpu(tmp_path, monkeypatch):
    """Most test machines."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert gpu_memory() == ()
