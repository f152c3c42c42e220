"""``python -m workbench``: the command line, for a kernel or a service without the script on its path."""

from workbench.cli import main

if __name__ == "__main__":
    main()
