"""What events mean: pure folds, shared by everyone who reads the streams."""
