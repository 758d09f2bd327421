"""What the training scripts share around their steps."""
