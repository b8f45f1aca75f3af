"""The table of protected paths: what programs on the host obey unasked. Pure.

A path is read-only if to change it is no everyday work of an agent, and watched if it is. What the user
runs on purpose isn't here: build scripts, tests, `package.json`. docs/protected-paths.md is made from
this table.
"""

from __future__ import annotations

from typing import Final

from moat.workspace.path_rules import PathRule, PathTable, Protection

WATCHED, RESTORED, REVIEWED = Protection.WATCHED, Protection.RESTORED, Protection.REVIEWED


def _rows(
    program: str, reason: str, paths: str, protection: Protection = Protection.READ_ONLY
) -> tuple[PathRule, ...]:
    """Return a rule for each of the paths, which have spaces between them."""
    return tuple(PathRule(path, program, reason, protection) for path in paths.split())


_RUN = "says what the next run executes, reads and reaches"
_SHELL = "is run by a shell that enters the folder"
_VARIABLES = "sets variables of a shell that enters the folder"
_SHIMS = "may lead the program's shims to a program in the folder"
_TASKS = "starts tasks and programs when the folder is opened"
_SERVER = "names programs that an editor starts when the folder is opened"
_PROJECT = "is run when an editor opens the project"
_EDIT = "is run by an editor that opens a file here"
_PROMPT = "is run when the interpreter or debugger is started here"
_SERVERS = "starts servers and hooks with the next session"
_INSTRUCTS = "instructs the next session"
_HOOKS = "is run by a git commit or push"
_BUILDS = "names programs for every build, those of editors included"
_INSTALLS = "names programs, files and servers for every install"
_ALWAYS = "is run by every command of the program"
_VCS = "names hooks, extensions and aliases"
_ELSEWHERE = "names another repository to obey"
_HIDES = "hides changes from git status and git diff"
_PUSHED = "is run with the repository's secrets when it is pushed"

_MOAT: Final = (
    PathRule("agent.yaml", "Moat", _RUN, refuses_links=True, twin="moat.yaml"),
    PathRule("moat.yaml", "Moat", _RUN, refuses_links=True, twin="agent.yaml"),
)

_SHELLS: Final = (
    PathRule(".envrc", "direnv", _SHELL, refuses_links=True),
    *_rows("direnv", "is sourced by many an .envrc", ".envrc.*"),
    *_rows("nix-direnv", "is a cached environment, and run by a shell", ".direnv/*.rc"),
    *_rows(
        "mise",
        _SHELL,
        "mise.toml mise.*.toml .mise.toml .mise.*.toml .mise/config*.toml .mise/tasks"
        " .config/mise.toml .config/mise.*.toml .config/mise mise/config*.toml .rtx.toml"
        " .miserc.toml",
    ),
    *_rows("direnv and Nix", _SHELL, "flake.nix shell.nix default.nix", WATCHED),
    *_rows("direnv, Nix and devbox", _SHELL, "flake.lock devenv.lock devbox.lock", WATCHED),
    *_rows("direnv and devenv", _SHELL, "devenv.nix devenv.yaml devenv.local.nix", WATCHED),
    *_rows("devbox", _SHELL, "devbox.json", WATCHED),
    *_rows("flox", _SHELL, ".flox/env/manifest.toml"),
    *_rows("hermit", _SHELL, "bin/activate-hermit bin/hermit.hcl"),
    *_rows("shadowenv", _SHELL, ".shadowenv.d"),
    *_rows("autoenv", _SHELL, ".autoenv .autoenv.leave .autoenv.zsh .autoenv_leave.zsh .env.leave"),
    *_rows("RVM", _SHELL, ".rvmrc"),
    *_rows("rbenv", _VARIABLES, ".rbenv-vars"),
    *_rows("zsh's dotenv plugin, direnv and editors", _VARIABLES, ".env", WATCHED),
    *_rows("asdf and mise", _SHIMS, ".tool-versions", WATCHED),
    *_rows("uv and pyenv", _SHIMS, ".python-version", WATCHED),
    *_rows(
        "rbenv, nodenv, nvm, jenv, tfenv and the like",
        _SHIMS,
        ".ruby-version .node-version .nvmrc .java-version .sdkmanrc .go-version .perl-version"
        " .php-version .swift-version .terraform-version",
        WATCHED,
    ),
    *_rows("rustup", _SHIMS, "rust-toolchain rust-toolchain.toml", WATCHED),
    *_rows("proto", _SHIMS, ".prototools"),
)

_EDITORS: Final = (
    PathRule(".vscode", "VS Code", _TASKS, refuses_links=True),
    *_rows("VS Code", _TASKS, "*.code-workspace"),
    *_rows(
        "dev containers", "runs initializeCommand on the host", ".devcontainer .devcontainer.json"
    ),
    PathRule(".idea", "JetBrains IDEs", _TASKS, refuses_links=True),
    *_rows("JetBrains IDEs", _TASKS, ".run/*.run.xml *.ipr"),
    *_rows("JetBrains Fleet", _TASKS, ".fleet"),
    *_rows("Zed", _TASKS, ".zed"),
    *_rows("Visual Studio", _TASKS, ".vs/*.json"),
    *_rows("Theia", _TASKS, ".theia"),
    *_rows("Eclipse", "runs programs with every build", ".externalToolBuilders"),
    *_rows("Sublime Text", _SERVER, "*.sublime-project"),
    *_rows("Kate", _SERVER, ".kateproject"),
    *_rows("Helix", _SERVER, ".helix"),
    *_rows("Lapce and Nova", _SERVER, ".lapce .nova"),
    *_rows("Neovim", _EDIT, ".nvim.lua .nvimrc .lazy.lua .neoconf.json .nlsp-settings"),
    *_rows("Vim", _EDIT, ".exrc .vimrc _vimrc _exrc .lvimrc .vimrc.lua .vim"),
    *_rows("Vim", _EDIT, ".gvimrc _gvimrc .local.vimrc _vimrc_local.vim"),
    *_rows("Lite XL", _PROJECT, ".lite_project.lua"),
    *_rows("YouCompleteMe", _EDIT, ".ycm_extra_conf.py"),
    *_rows("Emacs", _EDIT, ".dir-locals.el .dir-locals-2.el"),
)

_LANGUAGES: Final = (
    *_rows("build servers", _SERVER, ".bsp/*.json buildServer.json"),
    *_rows("rust-analyzer and cargo", _BUILDS, ".cargo/config.toml .cargo/config"),
    *_rows("rust-analyzer", _SERVER, "rust-analyzer.toml rust-project.json .rust-project.json"),
    *_rows("Maven and Java editors", _BUILDS, ".mvn"),
    *_rows("Gradle and Java editors", _BUILDS, "gradle/wrapper"),
    *_rows("Gradle and Java editors", _BUILDS, "gradle.properties", WATCHED),
    *_rows(
        "Gradle and Java editors",
        "leads to another Java",
        ".gradle/config.properties gradle/gradle-daemon-jvm.properties",
    ),
    *_rows("Java editors", "names processors that are run with a build", ".factorypath"),
    *_rows("sbt and Metals", _BUILDS, ".sbtopts .jvmopts"),
    *_rows("Mill and Metals", _BUILDS, ".mill-opts .mill-jvm-opts"),
    *_rows(".NET and its editors", "may lead to an SDK in the folder", "global.json", WATCHED),
    *_rows(".NET and its editors", _BUILDS, "omnisharp.json Directory.Build.rsp"),
    *_rows("Bazel", _BUILDS, ".bazelrc .bazeliskrc tools/bazel"),
    *_rows("Bazel", _BUILDS, ".bazelrc.user user.bazelrc"),
    *_rows("Bazelisk", "chooses the Bazel that is fetched", ".bazelversion", WATCHED),
    *_rows("Buck and Pants", _BUILDS, ".buckconfig .buckconfig.local .pants.rc .pants.bootstrap"),
    *_rows("Haskell's language server", _SERVER, "hie.yaml .hie-bios"),
    *_rows("OCaml's Merlin", "names preprocessors, which an editor runs", ".merlin"),
    *_rows("clojure-lsp", "names a command that finds classes", ".lsp/config.edn"),
    *_rows("Clojure tools", _PROJECT, ".nrepl.edn profiles.clj .calva/config.edn"),
    *_rows("Elixir's language servers", "has compiled code to load", ".elixir_ls .lexical .expert"),
    *_rows("PHP's Phpactor", _SERVER, ".phpactor.json .phpactor.yml"),
    *_rows("Lua's language server", "names plug-ins", ".luarc.json .luarc.jsonc"),
    *_rows("Tern", "names plug-ins", ".tern-project"),
    *_rows("SourceKit", _SERVER, ".sourcekit-lsp/config.json"),
    *_rows("Flutter", "leads editors to another SDK", ".fvm"),
    *_rows("Flutter", "leads editors to another SDK", ".fvmrc"),
    *_rows("Lean", "chooses the Lean that an editor fetches", "lean-toolchain", WATCHED),
    *_rows("latexmk and LaTeX editors", "is run by every build", ".latexmkrc latexmkrc"),
    *_rows("Universal Ctags and GNU Global", _SERVER, ".ctags.d gtags.conf"),
    *_rows("Ruby's language servers", "names code to load", ".solargraph.yml .ruby-lsp"),
    *_rows("Python's rope", _PROJECT, ".ropeproject/config.py"),
    *_rows("Python editors", "leads to an interpreter", ".jedi/project.json .spyproject/config"),
    *_rows(
        "Python editors and shells",
        "is run when the folder is opened, or a terminal in it",
        ".venv/bin/activate .venv/bin/python venv/bin/activate venv/bin/python",
        WATCHED,
    ),
    *_rows("Jupyter and IPython", _PROMPT, "jupyter_*config.* profile_default/startup"),
    *_rows("R and RStudio", _PROMPT, ".Rprofile .Renviron"),
    *_rows("R and RStudio", "is sourced by many an .Rprofile", "renv/activate.R packrat/init.R"),
    *_rows("R and RStudio", _PROMPT, ".RData", WATCHED),
    *_rows("GDB and LLDB", _PROMPT, ".gdbinit .lldbinit"),
    *_rows("Python's debugger", _PROMPT, ".pdbrc"),
    *_rows("Ruby's prompts", _PROMPT, ".irbrc .pryrc .byebugrc .rdbgrc"),
    *_rows("Perl's debugger", _PROMPT, ".perldb"),
    *_rows("GHCi", _PROMPT, ".ghci"),
    *_rows("Octave and MATLAB", _PROMPT, ".octaverc startup.m"),
    *_rows("Erlang", _PROMPT, ".erlang"),
    *_rows("Valgrind, jdb and phpdbg", _PROMPT, ".valgrindrc .jdbrc jdb.ini .phpdbginit"),
    *_rows("IEx", _PROMPT, ".iex.exs"),
    *_rows("OCaml's prompt", _PROMPT, ".ocamlinit"),
    *_rows("Midnight Commander", "adds commands to its menu", ".mc.menu"),
)

_PACKAGES: Final = (
    *_rows("npm and pnpm", _INSTALLS, ".npmrc .pnpmfile.cjs .pnpmfile.mjs pnpmfile.js"),
    *_rows("pnpm", _INSTALLS, "pnpm-workspace.yaml", WATCHED),
    *_rows(
        "Yarn",
        _ALWAYS,
        ".yarnrc.yml .yarnrc .yarn/releases .yarn/plugins",
    ),
    *_rows("Yarn", "is run by editors as their compiler", ".yarn/sdks"),
    *_rows("Yarn and editors", _ALWAYS, ".pnp.cjs .pnp.loader.mjs", WATCHED),
    *_rows("Corepack", "says where package managers come from", ".corepack.env"),
    *_rows("Bun", _INSTALLS, "bunfig.toml", WATCHED),
    *_rows("Bundler", _INSTALLS, ".bundle/config .bundle/plugin"),
    *_rows("uv", _INSTALLS, "uv.toml", WATCHED),
    *_rows("PDM", "leads to an interpreter", ".pdm-python"),
    *_rows("PDM, Poetry and pip", _INSTALLS, "pdm.toml poetry.toml .venv/pip.conf", WATCHED),
    *_rows("NuGet", _INSTALLS, "nuget.config", WATCHED),
    *_rows("SwiftPM", _INSTALLS, ".swiftpm/configuration"),
    *_rows("LuaRocks", _ALWAYS, ".luarocks"),
    *_rows("Chef", _ALWAYS, ".chef"),
    *_rows(
        "Terraform's editors", "are programs that an editor runs", ".terraform/providers", WATCHED
    ),
    *_rows("Ansible", "names plug-ins, which an editor runs", "ansible.cfg", WATCHED),
)

_AGENTS: Final = (
    *_rows("Claude Code", _SERVERS, ".claude/settings*.json .mcp.json"),
    *_rows("Claude Code", _SERVERS, ".claude/launch.json"),
    *_rows(
        "Claude Code",
        "is run by hooks and the status line",
        ".claude/hooks .claude/*.sh .claude/*.py .claude/*.js .claude/*.mjs .claude/*.ts",
    ),
    *_rows(
        "Claude Code",
        _INSTRUCTS,
        ".claude/agents .claude/commands .claude/skills .claude/rules .claude/output-styles"
        " .claude-plugin",
        WATCHED,
    ),
    *_rows("many agents", _SERVERS, "mcp.json", WATCHED),
    *_rows("many agents", _INSTRUCTS, ".agents .agent", WATCHED),
    *_rows("Cursor", _SERVERS, ".cursor"),
    *_rows("Cursor", _INSTRUCTS, ".cursorrules", WATCHED),
    *_rows("Windsurf", _SERVERS, ".windsurf/hooks.json"),
    *_rows("Windsurf", _INSTRUCTS, ".windsurf/workflows .windsurf/rules .windsurfrules", WATCHED),
    *_rows("Gemini CLI", _SERVERS, ".gemini/settings.json .gemini/extensions .gemini/hooks"),
    *_rows(
        "Gemini CLI",
        "sets its variables, its rules and its sandbox",
        ".gemini/.env .gemini/policies .gemini/sandbox*",
    ),
    *_rows("Gemini CLI", _INSTRUCTS, ".gemini/commands .gemini/skills .gemini/agents", WATCHED),
    *_rows("Qwen Code", _SERVERS, ".qwen/settings.json .qwen/.env .qwen/extensions .qwen/hooks"),
    *_rows("Qwen Code", _INSTRUCTS, ".qwen/commands .qwen/skills .qwen/agents", WATCHED),
    *_rows("Codex CLI", _SERVERS, ".codex/config.toml .codex/hooks.json .codex/hooks"),
    *_rows("Codex CLI", "says which commands need no consent", ".codex/rules"),
    *_rows("Codex CLI", _INSTRUCTS, ".codex/skills .codex/agents .codex/prompts", WATCHED),
    *_rows(
        "opencode",
        _SERVERS,
        "opencode.json opencode.jsonc .opencode/opencode.json* .opencode/plugin* .opencode/tool*"
        " .opencode/package.json",
    ),
    *_rows("opencode", _INSTRUCTS, ".opencode/agent* .opencode/command* .opencode/skill*", WATCHED),
    *_rows("GitHub Copilot", _SERVERS, ".github/hooks .github/mcp.json"),
    *_rows("GitHub Copilot", _SERVERS, ".github/lsp.json .github/extensions"),
    *_rows(
        "GitHub Copilot",
        _INSTRUCTS,
        ".github/copilot-instructions.md .github/instructions .github/prompts .github/agents"
        " .github/skills .github/chatmodes",
        WATCHED,
    ),
    *_rows("Cline", _SERVERS, ".clinerules/hooks"),
    *_rows("Cline", _INSTRUCTS, ".clinerules", WATCHED),
    *_rows("Roo Code", _SERVERS, ".roo/mcp.json"),
    *_rows("Roo Code", _INSTRUCTS, ".roo/rules* .roo/commands .roomodes .roorules", WATCHED),
    *_rows("Kilo Code", _SERVERS, ".kilocode/mcp.json"),
    *_rows("Kilo Code", _INSTRUCTS, ".kilocode/rules* .kilocode/workflows .kilocodemodes", WATCHED),
    *_rows("Continue", _SERVERS, ".continue/mcpServers .continue/config.* .continuerc.json"),
    *_rows("Continue", _INSTRUCTS, ".continue/rules .continue/prompts .continue/agents", WATCHED),
    *_rows("Kiro", _SERVERS, ".kiro/hooks .kiro/settings .kiro/agents"),
    *_rows("Kiro", _INSTRUCTS, ".kiro/steering", WATCHED),
    *_rows("Amazon Q", _SERVERS, ".amazonq/*.json .amazonq/cli-agents .amazonq/agents"),
    *_rows("Amazon Q", _INSTRUCTS, ".amazonq/rules .amazonq/prompts", WATCHED),
    *_rows("aider", "names test and lint commands", ".aider.conf.yml"),
    *_rows("Amp", _SERVERS, ".amp"),
    *_rows("Goose", _SERVERS, ".goose"),
    *_rows("Goose", _INSTRUCTS, ".goosehints", WATCHED),
    *_rows("Crush", _SERVERS, "crush.json .crush.json"),
    *_rows("Augment", _SERVERS, ".augment/settings*.json"),
    *_rows("Augment", _INSTRUCTS, ".augment/rules .augment/commands .augment-guidelines", WATCHED),
    *_rows("Junie", _SERVERS, ".junie/mcp"),
    *_rows("Factory", _SERVERS, ".factory/settings*.json .factory/mcp.json .factory/hooks"),
    *_rows("Factory", _INSTRUCTS, ".factory/droids .factory/commands .factory/skills", WATCHED),
    *_rows("OpenHands", _SERVERS, ".openhands/*.sh .openhands/hooks.json"),
    *_rows("OpenHands", _INSTRUCTS, ".openhands/microagents .openhands/skills", WATCHED),
    *_rows(
        "Trae, Tabnine and Rovo Dev", _SERVERS, ".trae/mcp.json .tabnine/mcp_servers.json .rovodev"
    ),
    *_rows("Pi", _SERVERS, ".pi/settings.json .pi/extensions"),
    *_rows("Mistral Vibe", _SERVERS, ".vibe"),
    *_rows(
        "Grok CLI, iFlow and CodeBuddy",
        _SERVERS,
        ".grok/settings.json .iflow/settings.json .codebuddy/settings*.json",
    ),
)

_GIT_HOOKS: Final = (
    *_rows("husky", _HOOKS, ".husky .huskyrc .huskyrc.*"),
    *_rows("pre-commit and prek", _HOOKS, ".pre-commit-config.yaml prek.toml"),
    *_rows(
        "lefthook",
        _HOOKS,
        "lefthook.y*ml lefthook.toml lefthook.json .lefthook.* lefthook-local.* .lefthook-local.*"
        " .lefthook .lefthook-local",
    ),
    *_rows("Overcommit", _HOOKS, ".overcommit.yml .git-hooks"),
    *_rows("simple-git-hooks", _HOOKS, ".simple-git-hooks.* simple-git-hooks.*"),
    *_rows("lint-staged", _HOOKS, ".lintstagedrc .lintstagedrc.* lint-staged.config.*"),
    *_rows(
        "nano-staged", _HOOKS, ".nano-staged.json .nano-staged.js nano-staged.json nano-staged.js"
    ),
    *_rows("Commitizen", _HOOKS, ".czrc .cz.json .cz.toml .cz.yaml cz.json cz.toml cz.yaml"),
    *_rows("commitlint", _HOOKS, ".commitlintrc .commitlintrc.* commitlint.config.*"),
    *_rows("gitlint", _HOOKS, ".gitlint"),
    *_rows("CaptainHook and GrumPHP", _HOOKS, "captainhook.json grumphp.y*ml*"),
    *_rows("hk", _HOOKS, "hk.pkl .config/hk.pkl"),
    *_rows("rusty-hook and cargo-husky", _HOOKS, ".rusty-hook.toml .cargo-husky"),
    *_rows("Trunk, Qlty and moon", _HOOKS, ".trunk/trunk.yaml .qlty/qlty.toml .moon/workspace.yml"),
    *_rows("git", "is where many repositories keep their hooks", ".githooks", WATCHED),
)

_VERSION_CONTROL: Final = (
    *_rows("git", "is included by many a configuration", ".gitconfig"),
    *_rows("git", _HIDES, ".gitattributes .gitmodules", WATCHED),
    *_rows("Git LFS", "says to which server names and passwords go", ".lfsconfig"),
    *_rows("GitHub", _PUSHED, ".github/workflows .github/actions", WATCHED),
    *_rows("GitLab and CircleCI", _PUSHED, ".gitlab-ci.yml .circleci/config.yml", WATCHED),
    *_rows("Mercurial", _VCS, ".hg/hgrc .hg/hgrc-not-shared"),
    *_rows("Mercurial", _ELSEWHERE, ".hg/sharedpath"),
    *_rows("Sapling", _VCS, ".sl/config"),
    *_rows("Sapling", _ELSEWHERE, ".sl/sharedpath"),
    *_rows("Jujutsu", "names tools and aliases", ".jj/repo/config.toml .jj/workspace-config.toml"),
    *_rows(
        "Jujutsu", "leads to another configuration", ".jj/repo/config-id .jj/workspace-config-id"
    ),
    *_rows("Jujutsu", _ELSEWHERE, ".jj/repo/store/git_target"),
    *_rows("Pijul", _VCS, ".pijul/config"),
    *_rows("Darcs", _VCS, "_darcs/prefs/defaults _darcs/prefs/prefs"),
    *_rows("Bazaar and Breezy", _VCS, ".bzr/branch/branch.conf"),
    *_rows("Fossil", _VCS, ".fossil-settings"),
    *_rows("Fossil", _ELSEWHERE, ".fslckout _FOSSIL_", WATCHED),
    *_rows("CVS", _ELSEWHERE, "CVS/Root"),
    *_rows("Perforce", _VCS, ".p4config"),
    *_rows("repo", "is the program's own code", ".repo/repo"),
    *_rows("gclient and Review Board", _ALWAYS, ".gclient .gclient_entries .reviewboardrc"),
    *_rows("west and Arcanist", "names code of the program's", ".west/config .arcconfig"),
    *_rows("DVC and DataLad", _VCS, ".dvc/config .dvc/config.local .datalad"),
)

PROJECT: Final = (
    *_MOAT,
    *_SHELLS,
    *_EDITORS,
    *_LANGUAGES,
    *_PACKAGES,
    *_AGENTS,
    *_GIT_HOOKS,
    *_VERSION_CONTROL,
)
"""Paths in a project, at any depth, except below a `node_modules`."""

PROJECT_TABLE: Final = PathTable(PROJECT)

GIT: Final = (
    PathRule("config", "git", "names programs and more configurations", REVIEWED),
    PathRule("config.worktree", "git", "names programs and more configurations", REVIEWED),
    PathRule("hooks", "git", "has programs that git runs", RESTORED),
    PathRule("commondir", "git", "names another git folder to obey", RESTORED),
    PathRule("gitdir", "git", "names another worktree", RESTORED),
    PathRule("info/attributes", "git", "hides differences, and chooses filters", RESTORED),
    PathRule("info/exclude", "git", "hides new files from git status", RESTORED),
    PathRule("info/sparse-checkout", "git", "hides missing and changed files", RESTORED),
    PathRule("info/grafts", "git", "shows another history", RESTORED),
    PathRule("objects/info/alternates", "git", "names another place of objects", RESTORED),
    PathRule("shallow", "git", "hides a part of the history", WATCHED),
    PathRule("remotes", "git", "leads git fetch and git push to another server", WATCHED),
    PathRule("branches", "git", "leads git fetch and git push to another server", WATCHED),
    PathRule("rebase-merge", "git", "is carried out by git rebase --continue", WATCHED),
    PathRule("rebase-apply", "git", "is carried out by git am --continue", WATCHED),
    PathRule("sequencer", "git", "is carried out by git cherry-pick --continue", WATCHED),
)
"""Paths in a git folder."""
