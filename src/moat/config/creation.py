"""The creation of a run: a specification is compiled, agreed to, and added to the store."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from moat.config import names
from moat.config.compile import compile_spec, granted, read_project, secrets_of
from moat.config.kept_secrets import keeping
from moat.config.run_image import image_request, made_image
from moat.config.run_mounts import run_mounts
from moat.config.workspace_mode import NewRun
from moat.errors import NameTakenError
from moat.ground.check import Surroundings, check_areas
from moat.runs import unwitnessed
from moat.runs.saved_rules import saved_rules
from moat.runs.volumes import volume_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moat.config.agent_file import Project
    from moat.config.compile import HostContext, RunOptions
    from moat.config.settings import Settings
    from moat.runs.store import Run, Store


def create_run(store: Store, options: RunOptions, settings: Settings, host: HostContext) -> Run:
    """Compile a specification and add the run to the store, once the user agrees to the project's file.

    A name that wasn't asked for gives way to a free one. Raises `ConsentError` as well.
    """
    project = read_project(options)
    _check_project(store, project, options, settings, host)
    grants = granted(options, settings, host, project)
    request, image = image_request(options, settings, project.content), None
    here = replace(
        host,
        run_id=host.run_id or names.new_id(),
        rules=partial(saved_rules, store.home),
        volume=partial(volume_folder, store.home),
    )
    with NewRun(store, host.copier) as new:
        while True:
            known = store.all()
            ended = next((run for run in known if run.name == options.name and run.ended), None)
            taken = frozenset(run.name for run in known if run is not ended)
            spec = compile_spec(
                options, settings, replace(here, taken_names=taken), project, grants
            )
            references = secrets_of(options, settings, project.content)
            if request is not None:
                image = image or made_image(request, host.images)  # after all else has been checked
                spec = replace(spec, container=replace(spec.container, image=image))
            if spec.copy:
                new.begin(spec)  # it may take long, and fail
            if any(port.is_named for port in spec.ports):
                host.route()
            try:
                if ended is not None:
                    _give_up_name(store, ended, known, host.tell)
                if settings.witnesses:
                    unwitnessed.mark(store.home, spec.id)
                with keeping(host.secrets, spec, references):
                    new.add(spec)
                    break
            except NameTakenError:
                # Another process has taken the name in the meantime.
                if options.name is not None and ended is None:
                    raise
    return store.get(spec.id)


def _check_project(
    store: Store, project: Project, options: RunOptions, settings: Settings, host: HostContext
) -> None:
    """Raise `MoatError` for a project that may not be run in, or whose file isn't agreed to."""
    around = Surroundings(
        store=str(store.home),
        environment=os.environ,
        programs=(*settings.programs.values(), *_hooks(settings)),
        command=host.called_by,
    )
    mounts = run_mounts(options.mounts, settings.mounts, project)
    check_areas(str(project.folder), mounts, around)
    if project.file is not None:
        from moat.config import consent  # noqa: PLC0415  most folders have no file

        trust = "always" if options.trust_project else settings.trust_project
        consent.require(project, trust, store.home, host.ask)


def _give_up_name(
    store: Store, ended: Run, known: Iterable[Run], tell: Callable[[str], None]
) -> None:
    """Give a run that has ended another name, for a new one wants its name."""
    free = names.numbered(ended.name, {run.name for run in known})
    store.rename_ended(ended.id, free)
    tell(f"the ended run {ended.name} is called {free} now")


def _hooks(settings: Settings) -> Iterator[str]:
    """Yield the programs that are started on events and that a run could lie around."""
    return (each.command[0] for each in settings.on_event if each.command[0].startswith("/"))
