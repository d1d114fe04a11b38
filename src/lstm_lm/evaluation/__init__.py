"""How well a model predicts text: from token losses to the figures that people compare; `methods` has the ways."""
