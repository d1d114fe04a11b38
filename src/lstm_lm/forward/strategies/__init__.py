"""Ways to execute a stack of cells. One module is one option of the group `forward=`."""
