"""What people look at: contact sheets, trees in a terminal, files of a selection."""
