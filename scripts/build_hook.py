# ruff: noqa: INP001  a script of its own, no part of a package
"""What the build of a wheel adds: the path of a request as machine code, made by mypyc.

The same files are compiled that an editable installation interprets, so nothing is written twice; a
request takes a fifth to a quarter less of the processor. Where there is no C compiler the wheel is
made without, and says so; so does `moat doctor`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_GROUP: Final = "moat_egress"

COMPILED: Final = (
    "exchange_services",
    "http/exchange",
    "http/fields",
    "http/h1/bodies",
    "http/h1/client",
    "http/h1/connection",
    "http/h1/parser",
    "http/h1/server",
    "http/h1/writer",
    "http/interfaces",
    "http/messages",
    "http/method_override",
    "http/origin_check",
    "policy/decision",
    "policy/denials",
    "policy/engine",
    "policy/live_policy",
    "reporter",
    "traffic/entry",
    "traffic/llm_usage",
    "traffic/redact",
    "traffic/schema",
    "traffic/writer",
)
"""Of `moat.egress`: what each request passes through, and nothing that others inherit from."""


class CompiledRequestPath(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # what is edited is what runs
        # Not at the top: who installs for editing needs no compiler of any kind.
        from setuptools.errors import CCompilerError, ExecError  # noqa: PLC0415

        self._made = Path(tempfile.mkdtemp(prefix="moat-build-"))
        try:
            extensions = _compile(Path(self.root), self._made)
        except (CCompilerError, ExecError) as exc:
            self.app.display_warning(f"moat's proxy is not compiled, so it is slower: {exc}")
            return
        build_data["force_include"] |= extensions
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        del build_data, artifact_path
        if version != "editable":
            shutil.rmtree(self._made)


def _compile(root: Path, made: Path) -> dict[str, str]:
    """The extension modules, and where in the wheel each belongs."""
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    os.environ["MYPYPATH"] = str(root / "src")
    options = ["--follow-imports=silent", "--ignore-missing-imports", f"--cache-dir={made}/cache"]
    sources = [f"src/moat/egress/{name}.py" for name in COMPILED]
    extensions = mypycify(
        [*options, *sources], target_dir=str(made / "c"), group_name=_GROUP, debug_level="0"
    )
    compiler = build_ext(Distribution({"name": "moat", "ext_modules": extensions}))
    compiler.build_lib, compiler.build_temp = str(made / "lib"), str(made / "objects")
    compiler.ensure_finalized()
    compiler.run()
    return {str(path): str(path.relative_to(made / "lib")) for path in made.rglob("lib/**/*.so")}
