"""The run folder: where each file lies, how it is written, how a stage is run."""
