"""Many questions in one go: rows of a file read and checked, and mined into a folder, each once."""
