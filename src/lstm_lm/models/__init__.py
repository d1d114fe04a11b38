"""Parameters and shapes. How a recurrent stack is executed is `lstm_lm.forward`'s business."""
