"""Where a slot's checkpoint is kept: a contract (`base`), a reference (`memory`), the real one (`redis`)."""
