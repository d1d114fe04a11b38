"""Write text with a trained model: `python generate.py --help` says how."""

from lstm_lm.cli.main import run_script

if __name__ == "__main__":
    run_script("generate")
