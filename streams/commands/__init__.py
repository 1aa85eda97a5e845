"""What the `salesfloor` commands do, one file per family. `streams.cli` parses and calls these."""
