"""EVA's real workers with engines that cost nothing, for measuring everything around them."""
