"""`tune=`: what is measured before training, and chosen by it. `tune.py` is the entrance; decision 11 says why so."""
