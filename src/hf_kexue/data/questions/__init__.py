"""Questions, passages and answers as records."""
