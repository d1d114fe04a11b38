"""`python -m lstm_lm VERB ...`."""

import sys

from lstm_lm.cli.main import main

if __name__ == "__main__":
    sys.exit(main(program=["python", "-m", "lstm_lm"]))
