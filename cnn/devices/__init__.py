"""The devices that share a training, and the compiled programs that are kept on the disk."""
