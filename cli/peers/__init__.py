"""What `flawline bench peers` runs in processes of their own, and what it makes of their results."""
