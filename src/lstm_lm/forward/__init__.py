"""How a stack of cells is executed. Every strategy computes the same function of the same parameters.

The folder is the registry: `forward=NAME` is the module NAME here, with a constant `STRATEGY`.
"""

NOT_OPTIONS = frozenset(
    {
        *("interface", "choose", "costs", "cudnn_layout", "deferred", "diagonals"),
        *("grid", "trials", "vendor", "vendor_limits"),
    }
)
