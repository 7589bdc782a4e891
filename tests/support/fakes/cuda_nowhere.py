"""CUDA's libraries without a GPU: every call succeeds and computes nothing, copies apart.

ONNX Runtime's own CUDA provider starts on them, and shares the nodes of a graph out as on a GPU. They are compiled from
what the installed provider imports, so that they have what it looks for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import onnxruntime

PROVIDER = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
HEADERS = Path("/usr/local/cuda/include"), *Path(onnxruntime.__file__).parents[1].glob("nvidia/cu*/include")
HANDLES = re.compile(r"cu(da(Stream|Event|MemPool)|blas(Lt\w*)?|dnn)Create")
PAGE = 4096

WRITTEN = {
    "cudaGetDeviceCount": "int cudaGetDeviceCount(int *n) { *n = 1; return 0; }",
    "cudaGetDevice": "int cudaGetDevice(int *n) { *n = 0; return 0; }",
    "cudaDriverGetVersion": "int cudaDriverGetVersion(int *n) { *n = 99000; return 0; }",
    "cudaRuntimeGetVersion": "int cudaRuntimeGetVersion(int *n) { *n = 13000; return 0; }",
    "cudaMemGetInfo": "int cudaMemGetInfo(size_t *f, size_t *t) { *f = *t = (size_t)64 << 30; return 0; }",
    "cudaMalloc": "int cudaMalloc(void **p, size_t n) { *p = aligned_alloc(256, (n + 511) & ~255ul); return 0; }",
    "cudaHostAlloc": "int cudaHostAlloc(void **p, size_t n, int f) { return cudaMalloc(p, n); }",
    "cudaMallocHost": "int cudaMallocHost(void **p, size_t n) { return cudaMalloc(p, n); }",
    "cudaFree": "int cudaFree(void *p) { free(p); return 0; }",
    "cudaFreeHost": "int cudaFreeHost(void *p) { free(p); return 0; }",
    "cudaMemcpy": "int cudaMemcpy(void *d, void *s, size_t n) { memcpy(d, s, n); return 0; }",
    "cudaMemcpyAsync": "int cudaMemcpyAsync(void *d, void *s, size_t n) { memcpy(d, s, n); return 0; }",
    "cudaGetDeviceProperties": """int cudaGetDeviceProperties(struct cudaDeviceProp *p, int number) {
  memset(p, 0, sizeof *p); p->major = 9; p->multiProcessorCount = 132; p->warpSize = 32; p->maxThreadsPerBlock = 1024;
  p->totalGlobalMem = (size_t)64 << 30; p->sharedMemPerBlock = 49152; p->maxThreadsPerMultiProcessor = 2048; return 0;
}""",
}


def missing() -> str:
    """Why they cannot be had here, or nothing."""
    if not PROVIDER.exists():
        return "this ONNX Runtime has no CUDA provider"
    if _header() is None:
        return "CUDA's headers are not installed"
    return next((f"there is no {tool}" for tool in ("cc", "nm") if shutil.which(tool) is None), "")


def build(folder: Path) -> None:
    """Compile the libraries that the provider looks for into `folder`: for LD_LIBRARY_PATH."""
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", PROVIDER], check=True, capture_output=True, text=True
    ).stdout
    libraries: dict[str, list[str]] = {
        "libcuda.so.1": re.findall(r" U (cu[A-Z]\w+)$", listed, re.M),
        "libcurand.so.10": [],
    }
    for name, library in re.findall(r" U (\w+)@(lib(?:cudart|cublas|cublasLt)\.so\.\d+)$", listed, re.M):
        libraries.setdefault(library, []).append(name)
    # cuDNN is opened by name.
    names = {name.decode() for name in re.findall(rb"\0(cudnn[A-Z]\w+)(?=\0)", PROVIDER.read_bytes())}
    libraries["libcudnn.so.9"] = sorted(names)
    for library, functions in libraries.items():
        _compile(folder / library, functions, library)


def _compile(path: Path, functions: list[str], library: str) -> None:
    # In the order of WRITTEN: some call the ones above.
    order = sorted(functions, key=lambda name: (list(WRITTEN).index(name) if name in WRITTEN else len(WRITTEN), name))
    source = path.with_suffix(".c")
    head = "#include <stdlib.h>\n#include <string.h>\n" + "#include <driver_types.h>\n" * ("cudart" in library)
    source.write_text(head + "\n".join(map(_function, order)) + "\n")
    versions = path.with_suffix(".map")
    versions.write_text(f"{library} {{ global: *; }};\n")
    options = ["-shared", "-fPIC", "-fno-builtin", "-w", "-I", str(_header()), f"-Wl,-soname,{library}"]
    subprocess.run(["cc", *options, f"-Wl,--version-script={versions}", source, "-o", path], check=True)


def _function(name: str) -> str:
    if name in WRITTEN:
        return WRITTEN[name]
    if name.endswith(("String", "Name")):
        return f'const char *{name}(void) {{ return "none"; }}'
    if name == "cudnnGetVersion":
        return f"size_t {name}(void) {{ return 92000; }}"
    if HANDLES.match(name):
        return f"int {name}(void **p) {{ *p = calloc(1, {PAGE}); return 0; }}"
    return f"int {name}(void) {{ return 0; }}"


def _header() -> Path | None:
    return next((folder for folder in HEADERS if (folder / "driver_types.h").exists()), None)
