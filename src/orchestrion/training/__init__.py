"""The training loop, the folder of a run, and several processes that train one model."""
