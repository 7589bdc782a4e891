"""`python -m zoo`: the command line, and where an app's build finds the compiled library.

`python -m zoo --prefix` prints the folder with include/ and lib/, `--cmake-dir` that of zooConfig.cmake.
"""

from __future__ import annotations

import sys

from zoo.errors import ZooError


def main() -> None:
    """Print what was asked for, or run the command line."""
    if sys.argv[1:] not in (["--prefix"], ["--cmake-dir"]):
        from zoo import cli

        return cli.main()
    from zoo.preprocess import libzoo as native

    try:
        print(native.prefix() if sys.argv[1] == "--prefix" else native.cmake_dir())
    except ZooError as error:
        print(f"zoo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
