# ruff: noqa: INP001  a script of its own, no part of a package
"""The build of a wheel, in which the path of a request and the command `moat` are machine code.

The path of a request is made by mypyc: `[tool.moat] compiled` in pyproject.toml lists the modules. The
same files are compiled that an editable installation interprets, so nothing is written twice; a request
takes a fifth to a quarter less of the processor. `moat` is a small program in C that attaches by itself
and starts Python for the rest (launcher/moat.c); `moat-python`, made by the installer, is that Python.

Where there is no C compiler the wheel is built without, and says so; so does `moat doctor`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_GROUP: Final = "moat_egress"
WARNINGS: Final = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wformat-security")
_HARDENED: Final = (
    *("-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fPIE", "-pie"),
    *("-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack", "-s"),
)


class CompiledParts(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable":
            # What is edited is what runs.
            build_data["shared_scripts"][str(root / "launcher/moat.py")] = "moat"
            return
        self._made = Path(tempfile.mkdtemp(prefix="moat-build-"))
        build_data["shared_scripts"][str(self._command(root, build_data))] = "moat"
        # Not at the top: who installs for editing needs no compiler of any kind.
        from setuptools.errors import CCompilerError, ExecError  # noqa: PLC0415

        try:
            extensions = _compile(root, compiled_modules(self.root), self._made)
        except (CCompilerError, ExecError) as exc:
            self.app.display_warning(f"moat's proxy is not compiled, so it is slower: {exc}")
            return
        build_data["force_include"] |= extensions
        _for_this_platform(build_data)

    def _command(self, root: Path, build_data: dict[str, Any]) -> Path:
        """Return the program that is installed as `moat`."""
        try:
            made = compile_launcher(root, self._made / "moat", *_HARDENED)
        except (OSError, subprocess.CalledProcessError) as exc:
            self.app.display_warning(f"moat's launcher is not compiled, so it is slower: {exc}")
            return root / "launcher/moat.py"
        _for_this_platform(build_data)
        return made

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        del build_data, artifact_path
        if version != "editable":
            shutil.rmtree(self._made)


def _for_this_platform(build_data: dict[str, Any]) -> None:
    build_data["pure_python"] = False
    build_data["infer_tag"] = True


def compile_launcher(root: Path, made: Path, *options: str) -> Path:
    """Compile the launcher. Raises `OSError` where there is no compiler, or `CalledProcessError`."""
    compiler = os.environ.get("CC", "cc").split()
    words = [*compiler, *WARNINGS, *options, str(root / "launcher/moat.c"), "-o", str(made), "-ldl"]
    subprocess.run(words, check=True)
    return made


def compiled_modules(root: str | Path) -> list[str]:
    """Return the names of the modules to compile."""
    project = tomllib.loads(Path(root, "pyproject.toml").read_text())
    return project["tool"]["moat"]["compiled"]


def _compile(root: Path, modules: list[str], made: Path) -> dict[str, str]:
    """Return the extension modules, and where in the wheel each belongs."""
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    os.environ["MYPYPATH"] = str(root / "src")
    options = ["--follow-imports=silent", "--ignore-missing-imports", f"--cache-dir={made}/cache"]
    sources = [f"src/{name.replace('.', '/')}.py" for name in modules]
    extensions = mypycify(
        [*options, *sources], target_dir=str(made / "c"), group_name=_GROUP, debug_level="0"
    )
    compiler = build_ext(Distribution({"name": "moat", "ext_modules": extensions}))
    compiler.build_lib, compiler.build_temp = str(made / "lib"), str(made / "objects")
    compiler.ensure_finalized()
    compiler.run()
    return {str(path): str(path.relative_to(made / "lib")) for path in made.rglob("lib/**/*.so")}
