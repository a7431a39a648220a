"""`python -m phonepl`."""

from phonepl.command import main

main()
