"""Wheels carry libzoo where it can be built: the hook that hatchling calls.

`pip install .` runs CMake when a C++ compiler, CMake, libjpeg-turbo and libpng are there, and makes a wheel of this
platform; otherwise one of Python alone, which works as well, with one line that says what was missing. Editable
installs build nothing: `make native` does that in a checkout.

ZOO_BUILD_LIBRARY=0 never builds it; ZOO_BUILD_LIBRARY=1 fails rather than to make a wheel without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = "ZOO_BUILD_LIBRARY"
PLACE = "zoo/_libzoo"  # where zoo/preprocess/libzoo.py looks


class NotBuilt(Exception):  # noqa: N818  a reason, and no error
    """Why there is no library, in a line."""


class LibraryHook(BuildHookInterface):
    """Builds libzoo into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the library, and the platform it is for, to what hatchling puts into the wheel."""
        wanted = os.environ.get(WANTED, "")
        self._folder = None
        if version == "editable" or wanted == "0":
            return
        self._folder = tempfile.mkdtemp(prefix="zoo-wheel-")
        try:
            prefix = built(Path(self.root), Path(self._folder))
        except NotBuilt as reason:
            if wanted == "1":
                raise SystemExit(f"distilzoo: libzoo cannot be built, and {WANTED}=1 asks for it: {reason}") from None
            print(
                f"distilzoo: a wheel without libzoo, Python does its work: {reason}", file=sys.stderr
            )  # pip -v shows it
            return
        for path in prefix.rglob("*"):
            if path.is_file():
                build_data["force_include"][str(path)] = f"{PLACE}/{path.relative_to(prefix)}"
        # Neither Python's version nor its ABI matters to the library; the platform does.
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """The wheel is written: remove the build."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def built(root: Path, folder: Path) -> Path:
    """Build and install libzoo into `folder`; returns the prefix. Raises `NotBuilt`."""
    if not (root / "CMakeLists.txt").is_file():
        raise NotBuilt("this source tree has no CMakeLists.txt")
    if shutil.which("cmake") is None:
        raise NotBuilt("there is no cmake")
    prefix = folder / "prefix"
    # ZOO_WHEEL: a wheel holds no symbolic links. One name for the folder of libraries on every distribution.
    settings = ["-DZOO_WHEEL=ON", "-DCMAKE_INSTALL_LIBDIR=lib", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
    step("configuring", "cmake", "-S", str(root), "-B", str(folder / "build"), *settings)
    step("building", "cmake", "--build", str(folder / "build"), "--parallel", str(os.cpu_count() or 1))
    step("installing", "cmake", "--install", str(folder / "build"), "--strip")
    return prefix


def step(what: str, *command: str) -> None:
    """Run a command; `NotBuilt` with the line that says why it failed."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = [
        line for line in lines if any(word in line.lower() for word in ("could not find", "error:", "no cmake_"))
    ]
    raise NotBuilt(f"{what} failed: {(telling or lines or ['it does not say why'])[0]}")
