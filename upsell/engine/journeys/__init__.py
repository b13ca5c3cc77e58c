"""What happens after the page: plans as data, read once, and walked one step at a time. Pure."""
