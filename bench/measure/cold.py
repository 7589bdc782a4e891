"""The variant `cold-l2`: before every call, the GPU's second-level cache is filled with something else.

In a loop, a small network finds its weights in the cache; in an app that does other work in between, it does not.
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack

# Caches place lines by a hash and replace them only roughly by age: one size leaves some of the old ones in.
SIZES = 2


class ColdL2:
    """Called before each call, outside its time. On the GPU that CUDA calls the first.

    Not executed on a GPU so far: tested against a stand-in for NVIDIA's bindings.
    """

    def __init__(self) -> None:
        """`EnvironmentProblem` when CUDA's bindings are missing, or there is no GPU or no room on it."""
        from zoo.engines.cuda import cuda_runtime, done

        self._cudart, self._done = cuda_runtime(), done
        self.size = SIZES * int(done(self._cudart.cudaGetDeviceProperties(0)).l2CacheSize)
        with ExitStack() as stack:
            self._stream = done(self._cudart.cudaStreamCreateWithFlags(self._cudart.cudaStreamNonBlocking))
            stack.callback(self._cudart.cudaStreamDestroy, self._stream)
            self._buffer = int(done(self._cudart.cudaMalloc(self.size)))
            stack.callback(self._cudart.cudaFree, self._buffer)
            self.free = weakref.finalize(self, stack.pop_all().close)

    def __call__(self) -> None:
        """Returns when it has happened."""
        self._done(self._cudart.cudaMemsetAsync(self._buffer, 0, self.size, self._stream))
        self._done(self._cudart.cudaStreamSynchronize(self._stream))
