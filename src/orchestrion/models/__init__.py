"""Models: the contract, the ways of sharing, the zoo with one file a model, and checkpoints."""
