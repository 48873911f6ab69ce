"""A program that compiles every Triton kernel for a GPU, without one; it prints their spills."""

import json

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pipeline.segmentation.selective_scan import triton_kernels

#: Compute capability of an A100.
CAPABILITY = 80

CONSTANTS = {
    "summarize": {"LENGTH": 64},
    "carry": {"BACKWARDS": True},
    "read_out": {"LENGTH": 64, "KEEP": True},
    "summarize_backwards": {"LENGTH": 64},
    "gradients": {"LENGTH": 64},
}


def main() -> None:
    sizes = {}
    for name, chosen in CONSTANTS.items():
        kernel = getattr(triton_kernels, name)
        constants = {**chosen, "BD": 16, "BN": 16}
        types = {argument: _type_of(argument, set(constants)) for argument in kernel.arg_names}
        places = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
        target = GPUTarget("cuda", CAPABILITY, 32)
        source = ASTSource(kernel, types, places)
        compiled = triton.compile(source, target=target, options={"num_warps": 1})
        sizes[name] = len(compiled.asm["cubin"])
    print(json.dumps(sizes))


def _type_of(argument: str, constants: set[str]) -> str:
    if argument in constants:
        return "constexpr"
    return "i32" if argument in {"T", "D", "N", "segments"} else "*fp32"


if __name__ == "__main__":
    main()
