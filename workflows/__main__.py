"""`python -m workflows`: the command line."""

from workflows.cli import main

main()
