"""`python -m ragmesh.cli`, the same as `ragmesh`."""

from ragmesh.cli import main

if __name__ == "__main__":
    main()
