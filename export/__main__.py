"""The command line of the training side: `python -m export train|publish|evaluate|body --help`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from export.commands import body, evaluate, publish, train

DESCRIPTION = """\
From photos of your classes to a published classifier:

  python -m export train PHOTOS            photos to a run: features, head, threshold, figures, plots
  python -m export publish --run RUN       a run to model/versions/VERSION; then model/latest names it
  python -m export evaluate --data PHOTOS  measures a published model through the code that serves it
  python -m export body --photos ...       rebuilds model/bodies/lite0 (needs PyTorch)

PHOTOS is a folder with a folder of photos for each class:

  photos/daisy/1.jpg                       all photos train; the figures come from cross-validation and, where there are
  photos/rose/2.jpg                        a hundred photos of each class, from a seventh that is held out

or with splits, under any of their usual names (train, training; val, valid, validation; test):

  photos/train/daisy/1.jpg                 val chooses, test only measures; both may be missing
  photos/test/daisy/3.jpg

The folders' names become the labels. `python3 dev.py train PHOTOS` installs what this needs, trains and publishes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0 on success, 2 after an error, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A file name may contain characters that this terminal cannot show.
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Notes of libraries about their own work don't help the person who trains.
    for library in ("lightning_fabric", "onnx_ir", "onnxscript", "matplotlib"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It warns that torchvision is missing, which nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)

    from api._registry import ModelError
    from export import provenance
    from export.errors import ExportError

    options.as_typed = provenance.as_command(arguments)
    try:
        options.run(options)
    except (ExportError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or 'a file'}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: there is not enough memory for these photos.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; nothing is lost. {options.after_stop}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (train.add_train, publish.add_publish, evaluate.add_evaluate, body.add_body):
        add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
