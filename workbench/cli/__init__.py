"""``workbench …``: parses, calls the bench, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

import click

from workbench.cli.alerts import alerts
from workbench.cli.data import data
from workbench.cli.reports import reports
from workbench.cli.research import backtest, signals, strategies, sweep, trials, validate
from workbench.cli.schedule import schedule
from workbench.cli.serving import apps, lab, run
from workbench.core.errors import RunError, WorkbenchError

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="trii-workbench", prog_name="workbench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (may stand anywhere).")
def cli(debug: bool) -> None:
    """TRII Workbench: investment research in Jupyter."""


COMMANDS = (data, backtest, sweep, validate, signals, trials, strategies, run, schedule, reports, alerts, lab, apps)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and end the process: 0 done, 1 a failure, 2 a user's mistake, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        code = cli.main([word for word in given if word != "--debug"], prog_name="workbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except RunError as error:
        click.echo("\n".join(f"    {line}" for line in error.cell.splitlines()), err=True)
        _tell(error, str(error), debug)
        sys.exit(error.exit_code)
    except WorkbenchError as error:
        _tell(error, str(error), debug)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception as error:
        _tell(error, f"unexpected {type(error).__name__}: {error}; run it again with --debug to see where", debug)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: BaseException, sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    click.echo(f"Error: {sentence}", err=True)
