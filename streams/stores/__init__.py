"""Where a slot's checkpoint is kept: one contract (`base`), the reference (`memory`), the real one (`redis`)."""
