"""Says what the numbers mean and shows them. Imports nothing from `streams`, Faust or Redis."""
