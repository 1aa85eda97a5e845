"""Where a slot's checkpoint is kept: the contract (`base`), a reference (`memory`), the real one (`redis`)."""
