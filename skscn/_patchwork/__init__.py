"""Images taken apart into overlapping patches and put together again."""
