"""`python -m orchestrion` is the command `orchestrion`."""

from orchestrion.cli import main

if __name__ == "__main__":
    main()
