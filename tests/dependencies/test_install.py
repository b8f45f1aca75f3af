"""The script that installs a step, in a sandbox with package managers that only say what they are asked.

Real ones install real packages in the end-to-end tests, on a Debian base. There is none of Alpine here.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from moat.dependencies import catalog

INSTALL = Path(catalog.__file__).with_name("install.sh")
TOOL = '#!/bin/sh\necho "$(basename "$0") $*" >&2\n'
APT_CACHE = """\
#!/bin/sh
case "$*" in
  "show --no-all-versions known") ;;
  show*) exit 100 ;;
  "pkgnames openjdk-") printf 'openjdk-17-jdk\\nopenjdk-17-jre\\nopenjdk-21-jdk\\n' ;;
  "madison known") printf 'known | 1.2-3 | somewhere\\nknown | 1.2-4 | somewhere\\n' ;;
esac
"""


class Base:
    """A base image with programs of the test's."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in (
            "basename",
            "cat",
            "cut",
            "grep",
            "mkdir",
            "ln",
            "mktemp",
            "rm",
            "sed",
            "sh",
            "sort",
            "tail",
            "tr",
        ):
            (self.programs / name).symlink_to(f"/usr/bin/{name}")
        for name in ("apt-get", "npm"):
            self.add(name, TOOL)
        self.add("apt-cache", APT_CACHE)

    def add(self, name: str, content: str) -> None:
        path = self.programs / name
        path.write_text(content)
        path.chmod(0o755)

    def install(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the script, where it can write nothing of this machine."""
        folders = ("/var", "/tmp", "/opt", "/usr/local")
        empty = [word for each in folders for word in ("--tmpfs", each)]
        programs = ["--bind", str(self.programs), "/opt/programs", "--dir", "/usr/local/bin"]
        script = ["--ro-bind", str(INSTALL), "/opt/install"]
        path = ["--setenv", "PATH", "/opt/programs:/usr/local/bin"]
        return subprocess.run(
            [
                *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", *empty, *programs, *script),
                *(*path, "/bin/sh", "/opt/install", *words),
            ],
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(tmp_path)


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of a step that has failed."""
    assert done.returncode != 0
    return done.stderr.splitlines()[-1]


def versioned(version: str) -> str:
    return f"#!/bin/sh\necho 'thing version v{version} (of 1970)'\n"


def test_what_is_there_is_left_alone(base: Base) -> None:
    """In a version that is or begins with the one that is wanted."""
    base.add("thing", versioned("22.1.0"))
    for version in ("22", "22.1", "22.1.0"):
        done = base.install(
            "entry", "thing", "--version", version, "--apt", "t", "--check", "thing -v"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "thing: there already\n", "")


@pytest.mark.parametrize("wanted", ["2", "22.1.1", "23"])
def test_another_version_than_there_is(base: Base, wanted: str) -> None:
    """It is installed; where that doesn't help, the error says what there is."""
    base.add("thing", versioned("22.1.0"))
    done = base.install("entry", "thing", "--version", wanted, "--apt", "t", "--check", "thing -v")
    assert "apt-get -q -o Dpkg::Use-Pty=0 install --yes --no-install-recommends t" in done.stderr
    assert f"moat: thing@{wanted} can't be had here: there is 22.1.0. Name that," in failure(done)


def test_tools_are_installed_together_and_verified(base: Base) -> None:
    """By what each of them prints."""
    base.add("one", versioned("1"))
    done = base.install(
        *("entry", "tools", "--apt", "a b", "--apk", "x", "--check", "one -v"),
        *("--apt", "c", "--check", "two -v"),
    )
    assert "--no-install-recommends a b c\n" in done.stderr
    assert failure(done) == "moat: tools was installed, but this fails: two -v"


def test_a_program_that_can_not_start(base: Base) -> None:
    """To be there is not enough."""
    base.add("thing", "#!/bin/sh\nexit 3\n")
    done = base.install("entry", "thing", "--apt", "t", "--check", "thing --version")
    assert failure(done) == "moat: thing was installed, but this fails: thing --version"


def test_a_program_gets_its_usual_name(base: Base) -> None:
    """By a link, where the distribution has it elsewhere."""
    base.add("thing-2", versioned("2"))
    words = (
        "entry",
        "thing",
        "--apt",
        "t",
        "--link",
        "thing=/opt/programs/thi*-2",
        "--check",
        "thing -v",
    )
    assert base.install(*words).returncode == 0


def broken(base: Base) -> None:
    base.add("apt-get", '#!/bin/sh\ncase $* in *" update") ;; *) exit 100 ;; esac\n')


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("apt", "known", "gone"), "this distribution has no package gone"),
        (("apt", "known=9"), "known@9 can't be had here: there is 1.2-3  1.2-4"),
        (("apt", "known=1.2-3"), "apt-get can't install: known=1.2-3"),
        (
            ("entry", "java", "--version", "8", "--apt", "openjdk-8-jdk", "--check", "no-java -v"),
            "this distribution has no package openjdk-8-jdk; it has openjdk-17-jdk openjdk-21-jdk ",
        ),
    ],
)
def test_packages_that_the_distribution_lacks(
    base: Base, words: tuple[str, ...], said: str
) -> None:
    """What there is in their place is said."""
    broken(base)
    assert " ".join(failure(base.install(*words)).split()) == " ".join(f"moat: {said}".split())


def test_package_lists_that_could_not_be_fetched(base: Base) -> None:
    """They may be why a package isn't there; one that is there is installed without them."""
    base.add("apt-get", '#!/bin/sh\ncase $* in *" update") exit 100 ;; *gone) exit 100 ;; esac\n')
    done = base.install("apt", "gone")
    assert failure(done).startswith("moat: package lists couldn't be fetched")
    assert base.install("apt", "known").returncode == 0


def test_a_version_that_npm_lacks(base: Base) -> None:
    """The newest ones are named."""
    base.add(
        "npm",
        '#!/bin/sh\ncase "$*" in\n  install*) exit 1 ;;\n  "view @s/x versions --json")'
        ' echo \'[ "1.0.0", "1.1.0" ]\' ;;\nesac\n',
    )
    done = base.install("npm", "@s/x@7")
    assert failure(done).strip() == "moat: npm has no @s/x@7; its newest versions are 1.0.0 1.1.0"


def test_packages_of_alpine(base: Base) -> None:
    """They are apk's, and what only Debian has is refused."""
    base.add("apk", TOOL)
    (base.programs / "apt-get").unlink()
    done = base.install("entry", "thing", "--apt", "a", "--apk", "b c", "--check", "thing -v")
    assert "apk add --no-cache b c\n" in done.stderr
    refused = base.install("apt", "w")
    assert failure(refused) == "moat: the base image has no apt-get, so these can't be installed: w"


def test_a_base_without_a_package_manager_that_is_known(base: Base) -> None:
    """Nothing can be installed, and the error says so."""
    (base.programs / "apt-get").unlink()
    done = base.install("entry", "thing", "--apt", "a", "--check", "thing -v")
    assert "has neither apt-get nor apk, so thing can't be installed" in failure(done)


def test_the_step_must_be_known(base: Base) -> None:
    """A recipe of another version fails at once."""
    assert failure(base.install("brew", "x")) == "moat: unknown step: brew"
    assert failure(base.install("entry", "x", "--brew", "y")) == "moat: unknown word: --brew"
