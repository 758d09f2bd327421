"""The parts that the training scripts share, except their training steps."""
