"""What a run asks of its process and its machine: settings, cores, memory."""
