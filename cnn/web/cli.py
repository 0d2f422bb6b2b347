"""The command `pneumothorax`: answers on single X-rays, a check of submissions, and the page.

``pneumothorax predict x.dcm --run RUN`` prints the answer in words, with ``--json`` as one line of
JSON an X-ray; folders and zips are streamed. ``pneumothorax serve`` answers in a browser,
``pneumothorax rank`` lists which X-rays to outline next, ``pneumothorax check`` examines a
submission. Without ``--run RUN`` the model that ships answers.
"""

from typing import Annotated

import tyro

from cnn.study import cli
from cnn.web.settings import Serve
from features.run import command

Command = cli.Command | Annotated[Serve, tyro.conf.subcommand("serve")]


def main(settings: Command) -> None:
    """Carry out one of the commands."""
    if isinstance(settings, Serve):
        from cnn.web.start import serve  # jax and LightGBM take seconds; --help need not wait

        serve(settings)
    else:
        cli.main(settings)


def run() -> None:
    """What the console script calls."""
    command.run(main, writes=False)


if __name__ == "__main__":
    run()
