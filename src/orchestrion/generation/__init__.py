"""From what was asked to music: a brief, its plan, candidates composed by it, and the best of them."""
