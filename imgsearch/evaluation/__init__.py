"""How well a library answers queries whose right answers are known."""
