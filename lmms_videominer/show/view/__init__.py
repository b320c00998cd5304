"""The view: selections as one HTML file that needs no network; docs/view.md describes it."""
