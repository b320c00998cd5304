"""Output for people: contact sheets, trees in a terminal, files of a selection."""
