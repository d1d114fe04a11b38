"""How a stack of cells is executed. Every strategy computes the same function of the same parameters."""
