"""The front door: one `zoo` command out of every room's own. Nobody imports this file."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.main import get_command

from zoo import __version__
from zoo.errors import INTERRUPTED, EnvironmentProblem, ZooError

# Rooms are imported here, once: their modules import fast, and their commands import what is heavy.
ROOMS = (
    "zoo.demo.cli",
    "zoo.learn.cli",
    "zoo.learn.list_cli",
    "zoo.learn.run.scores_cli",
    "zoo.learn.label.cli",
    "export.cli",
    "export.build_cli",
    "export.triton_cli",
    "bench.tune.cli",
    "zoo.engines.cli",
    "zoo.bundle.share_cli",
)


def _compose() -> typer.Typer:
    app = typer.Typer(
        name="zoo",
        help="Big vision teachers become small compiled students, with the numbers that prove it.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback(invoke_without_command=True)
    def root(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ) -> None:
        if version:
            typer.echo(__version__)
        elif context.invoked_subcommand is None:
            typer.echo(context.get_help())

    for room in ROOMS:
        app.add_typer(import_module(room).app)
    app.add_typer(import_module("bench.cli").app, name="bench", help="Measure engines and report what they cost.")
    app.add_typer(import_module("zoo.learn.draw.cli").app, name="draw", help="Pictures of what was learned.")
    return app


def _say(line: str) -> None:
    print(f"zoo: {line}", file=sys.stderr)


def main() -> None:
    """Run the command line. Exit codes are those of `zoo.errors`; every known error is one line on stderr."""
    try:
        code = get_command(_compose())(standalone_mode=False)
    except ZooError as error:
        _say(str(error))
        code = error.exit_code
    except typer.TyperException as error:  # wrong usage: an unknown command, option or value
        if message := " ".join(error.format_message().split()):  # none where the help itself was shown
            _say(f"{message} (zoo --help)")
        code = ZooError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `zoo list | head` is no error
        code = 0
    except OSError as error:  # a full disk, a read-only folder: inputs were checked where they came in
        _say(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        code = EnvironmentProblem.exit_code
    if code == INTERRUPTED:  # typer turns Ctrl-C inside a command into this code
        again = "--resume continues a training or a `bench run`, the same command a labelling"
        _say(f"interrupted; what was finished is kept: {again}")
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
