"""The programs and packages that measure, and those that are measured."""
import importlib
import importlib.metadata

from spawnpool import paths
from spawnpool.errors import Unmeasured
from spawnpool.finding import LIMITED, MISSING, OK, Finding

# Of each, the distribution's package is called python3- and its name.
PACKAGES = ("numpy", "scipy", "matplotlib", "rich", "jsonschema", "jinja2")
PROGRAMS = ("spawnpool-server", "spawnpool-trial", "spawnpool-load")
BUILD = "cmake --preset release && cmake --build --preset release"


def examine_python() -> list[Finding]:
    """Imports each; this module itself needs none of them."""
    missing = [name for name in PACKAGES if not _imports(name)]
    if missing:
        packages = " ".join(f"python3-{name}" for name in missing)
        return [
            Finding(
                "python",
                MISSING,
                f"without {', '.join(missing)}",
                "no suite can be run",
                mend=f"sudo apt-get install {packages}",
                needed=True,
            )
        ]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return [Finding("python", OK, versions, needed=True)]


def _imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def examine_programs() -> list[Finding]:
    """Those of the build, wrk, Go and the peers; each is started for its version."""
    return [build(), micro(), wrk(), go(), *peers()]


def build() -> Finding:
    """Whether all of it is there, of this version, and optimised."""
    from spawnpool.context import build_compiler, program_output

    missing, found = [], []
    for name in PROGRAMS:
        try:
            found.append(program_output(str(paths.bin_dir() / name), "--version"))
        except (Unmeasured, OSError):
            missing.append(name)
    if missing:
        return Finding(
            "build",
            MISSING,
            f"{paths.build_dir()} has no {', '.join(missing)} that runs",
            "no suite can be run",
            mend=BUILD,
            needed=True,
        )
    old = [line for line in found if line.split()[-1] != paths.version()]
    try:
        compiler = build_compiler()
    except Unmeasured as reason:
        told, plain = str(reason), False
    else:
        told = f"{compiler['build_type']}, {compiler['version']}"
        plain = compiler["build_type"] not in ("Release", "RelWithDebInfo")
    if old or plain:
        return Finding(
            "build",
            LIMITED,
            ", ".join([*old, told]),
            f"what is measured is not an optimised build of spawnpool {paths.version()}",
            mend=BUILD,
            needed=True,
        )
    return Finding("build", OK, f"spawnpool {paths.version()}, {told}", needed=True)


def micro() -> Finding:
    """The micro-benchmarks, which some suites ask for."""
    from spawnpool.context import program_output
    from spawnpool.suite import load_suite

    suites = [name for name in paths.known_suites() if "micro" in load_suite(name)]
    program = paths.bin_dir() / "spawnpool-micro"
    try:
        listed = program_output(str(program), "--benchmark_list_tests").splitlines()
    except (Unmeasured, OSError):
        return Finding(
            "micro",
            MISSING,
            f"{program} is missing",
            f"the suites {', '.join(suites)} cannot be run",
            mend=BUILD,
        )
    return Finding("micro", OK, f"{len(listed)} micro-benchmarks")


def wrk() -> Finding:
    """The load generator to check ours against."""
    from spawnpool.context import wrk_version

    try:
        return Finding("wrk", OK, wrk_version())
    except Unmeasured as reason:
        return Finding(
            "wrk",
            MISSING,
            str(reason),
            "no run with --driver wrk, no load_bench.py",
            mend="sudo apt-get install wrk",
        )


def go() -> Finding:
    """Builds the peers; one that is built needs it no more."""
    from spawnpool.context import program_output

    try:
        return Finding("go", OK, program_output("go", "version"))
    except Unmeasured as reason:
        return Finding(
            "go",
            MISSING,
            str(reason),
            "peers in Go that are not built yet cannot be built",
            mend="sudo apt-get install golang-go",
        )


def peers() -> list[Finding]:
    """The optional targets of the shipped suites: built, and what they need started for its version."""
    from spawnpool.context import program_output
    from spawnpool.suite import load_suite, missing_part, target_command

    suites_of: dict[str, list[str]] = {}
    targets = {}
    for suite in paths.known_suites():
        for target in load_suite(suite)["targets"]:
            if "optional" in target:
                targets[target["name"]] = target
                suites_of.setdefault(target["name"], []).append(suite)
    findings = []
    for name, target in targets.items():
        absent = missing_part(target)
        try:
            if absent is not None:
                raise Unmeasured(f"{absent} is missing")
            program = next(w for w in target_command(target) if w.startswith(f"{paths.bin_dir()}/"))
            findings.append(Finding(name, OK, program_output(program, "--version")))
        except Unmeasured as reason:
            findings.append(
                Finding(
                    name,
                    MISSING,
                    str(reason),
                    f"the target is skipped in {', '.join(suites_of[name])}",
                    mend=f"sudo apt-get install {target['optional']} && {BUILD}",
                )
            )
    return findings
