"""What an image needs beyond its base: found in a registry, put in order, written as a recipe.

- `spec.dependency` reads the notation.
- `entry` is a thing of the registry, `catalog` reads those that come with Moat (`data`) and the user's.
- `plan` decides what is installed, and in which order; `recipe` makes of it what an engine builds from.
- `install.sh` installs one step, in the container of a build.

Only `catalog` does I/O. `engines.container` builds from a recipe.
"""
