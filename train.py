"""Train a language model: `python train.py --help` says how."""

from lstm_lm.cli.main import run_script

if __name__ == "__main__":
    run_script("train")
