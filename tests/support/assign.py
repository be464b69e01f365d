"""Running assign_loop, bare or under the power-cut recorder, for the store's fault tests."""
import os
import pathlib
import subprocess
import tempfile

BUILD = pathlib.Path(os.environ.get("CRADLE_BUILD", "build/dev"))
PROGRAM = str(BUILD / "bin" / "assign_loop")
SHIM = str(BUILD / "lib" / "powercut.so")


def workplace(name):
    """A temporary directory on a real disk, with symbolic links resolved."""
    return tempfile.TemporaryDirectory(prefix=f"cradle-{name}-", dir=os.environ.get("TMPDIR"))


def recording(directory, log, fail=None):
    """The environment that records what happens below directory, and fails as told."""
    environment = dict(os.environ, LD_PRELOAD=SHIM, POWERCUT_DIR=str(directory),
                       POWERCUT_LOG=str(log), POWERCUT_ACK_FD="1")
    # The recorder must come before the sanitizer's own library.
    environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    if fail:
        environment["POWERCUT_FAIL"] = fail
    return environment


def run(*arguments, env=None, timeout=60):
    """(exit code, lines of standard output, standard error)"""
    done = subprocess.run([PROGRAM, *map(str, arguments)], env=env, capture_output=True, text=True,
                          timeout=timeout, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def spawn(*arguments, env=None, stdout):
    return subprocess.Popen([PROGRAM, *map(str, arguments)], env=env, stdout=stdout)


def check(lines, *directories):
    """What is wrong with the stores there, given what was acknowledged; None: nothing."""
    with tempfile.TemporaryFile("w+") as said:
        said.write("".join(line + "\n" for line in lines))
        said.seek(0)
        done = subprocess.run([PROGRAM, "check", *map(str, directories)], stdin=said,
                              capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else f"exit {done.returncode}: {done.stdout}{done.stderr}"


def acknowledged(lines):
    return [line for line in lines if line.startswith(("assigned ", "enrolled ", "changed "))]
