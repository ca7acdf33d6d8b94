"""The GPU's activation compiles without a card being there, to code that is short."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("triton")

POINTERS = {
    "forward_lanes": ("x", "alpha", "height", "up", "down", "y"),
    "backward_lanes": ("x", "grad", "alpha", "height", "up", "down", "by_x", "by_alpha", "by_height"),
}
# in a process of its own: where tests run Triton's interpreter, nothing compiles
COMPILE = """
import json, sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from BigVGAN.kernels import activation_triton as kernels

name, pointers, capability = sys.argv[1], sys.argv[2].split(), int(sys.argv[3])
signature = {pointer: "*fp32" for pointer in pointers} | {integer: "i32" for integer in kernels.INTEGERS}
signature |= {"BLOCK": "constexpr", "SPAN": "constexpr"}
source = ASTSource(getattr(kernels, name), signature, {"BLOCK": kernels.BLOCK, "SPAN": kernels.SPAN})
made = compile(source, target=GPUTarget("cuda", capability, 32))
print(json.dumps({"ptx": len(made.asm["ptx"]), "cubin": len(made.asm["cubin"])}))
"""


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", POINTERS)
def test_a_kernel_compiles_to_short_code(name, capability, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    command = [sys.executable, "-c", COMPILE, name, " ".join(POINTERS[name]), str(capability)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    size = json.loads(done.stdout)
    # unrolled, the loops were 220 and 370 kB and took 20 to 30 s each
    assert 1_000 < size["ptx"] < 100_000
    assert size["cubin"] > 1_000
