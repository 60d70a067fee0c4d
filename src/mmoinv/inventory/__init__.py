"""The game's rules: slots, stacks, templates, commands, and the inventory that keeps to them."""
