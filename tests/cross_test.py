"""Kernels and the runtime for other machines than this one: 64-bit ARM, whose programs qemu runs, and Windows. Arguments: the build folder, cmake,
ninja, and a part of the names of the tests to run."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, CMAKE, NINJA, PART = sys.argv[1:5]
TESTS = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(TESTS)
SEPAL = os.path.join(BUILD, "tools", "sepal")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("CC", "AR", "OBJCOPY") and not name.startswith("SEPAL_")}
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
WINE = shutil.which("wine64") or shutil.which("wine")
ARM, WINDOWS = "aarch64-linux-gnu-", "x86_64-w64-mingw32-"
ONE_PROBLEM = """{"problems": [{"name": "p", "op": "pointwise", "h": 3, "w": 5, "c": 12, "k": 20, "bias": true, "activation": "relu"%s}]}"""


def run(*words, ok=True, **options):
    done = subprocess.run(words, capture_output=True, text=True, **{"env": ENVIRONMENT, **options})
    if ok and done.returncode != 0:
        raise AssertionError("%s ended with %d:\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
    return done


def missing(*tools):
    """The tools of these that are not installed."""
    return ", ".join(tool for tool in tools if not shutil.which(tool))


def skip(what, why):
    print("[SKIP] %s: %s" % (what, why))


class Cross(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="sepal-cross-")
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def problem(self, more=""):
        with open(self.path("p.json"), "w") as file:
            file.write(ONE_PROBLEM % more)
        return self.path("p.json")

    def machines(self, file, tools):
        """Of an object, a library or a program."""
        return set(re.findall(r"(?:Machine: +(.*)|file format (.*))", run(tools + "readelf", "-h", file).stdout if tools == ARM else
                              run(tools + "objdump", "-f", file).stdout))

    def test_arm_runtime_and_generated_kernels(self):
        lacking = missing(ARM + "g++", ARM + "objcopy")
        if lacking:
            return skip("64-bit ARM", lacking + " is not installed (Debian: g++-aarch64-linux-gnu)")
        toolchain = os.path.join(SOURCE, "tools", "cmake", "aarch64-linux-gnu.cmake")
        common = ("-G", "Ninja", "-DCMAKE_MAKE_PROGRAM=" + NINJA, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_TOOLCHAIN_FILE=" + toolchain)
        with open(os.path.join(BUILD, "CMakeCache.txt")) as file:
            python = re.search("^SEPAL_PYTHON:.*?=(.*)", file.read(), re.M).group(1)
        # The library, and a project with a toolchain file that uses it.
        run(CMAKE, *common, "-DSEPAL_HOST_BUILD=" + BUILD, "-DSEPAL_TESTS=OFF", "-DSEPAL_PYTHON=" + python, "-S", SOURCE,
            "-B", self.path("runtime"))
        run(CMAKE, "--build", self.path("runtime"))
        run(CMAKE, "--install", self.path("runtime"), "--prefix", self.path("installed"))
        prefix = self.path("moved")
        os.rename(self.path("installed"), prefix)
        project = os.path.join(TESTS, "cross", "program")
        run(CMAKE, *common, "-DCMAKE_PREFIX_PATH=" + prefix, "-DSepal_COMMAND=" + SEPAL, "-S", project, "-B", self.path("program"))
        run(CMAKE, "--build", self.path("program"))
        kernels = self.path("program", "cross.kernels")
        files = [os.path.join(kernels, file) for file in os.listdir(kernels) if file.endswith(".o")]
        self.assertGreater(len(files), 12)
        libraries = [os.path.join(folder, file) for folder, _, names in os.walk(prefix) for file in names if file in ("libsepal.a", "libsepal.so")]
        self.assertEqual(len(libraries), 2)
        for file in files + libraries + [self.path("program", "libcross.a"), self.path("program", "every_problem")]:
            with self.subTest(file=os.path.basename(file)):
                self.assertEqual(self.machines(file, ARM), {("AArch64", "")})
        # Of this machine, the project is refused.
        native = run(CMAKE, "-G", "Ninja", "-DCMAKE_MAKE_PROGRAM=" + NINJA, "-DCMAKE_PREFIX_PATH=" + os.path.join(BUILD, "package"), "-S", project, "-B",
                     self.path("native"), ok=False)
        self.assertIn("ISAS has neon, which is for programs for aarch64", re.sub(r"\s+", " ", native.stderr))
        if not QEMU:
            return skip("running programs for 64-bit ARM", "there is no qemu-aarch64 (Debian: qemu-user)")
        program = (QEMU, "-L", "/usr/aarch64-linux-gnu", "-E", "LD_LIBRARY_PATH=" + os.path.dirname(libraries[0]), self.path("program", "every_problem"))
        done = run(*program, ok=False)
        self.assertEqual((done.returncode, done.stderr, done.stdout.splitlines()[-1:]), (0, "", ["right"]), done.stdout)
        used = re.findall(r": (\w+_neon_hand\w*)", done.stdout)
        self.assertEqual(len(used), 30, done.stdout)
        self.assertEqual(sum("_c" in re.sub("^conv2d", "", name) for name in used), 15, done.stdout)  # one of each problem is its own
        self.assertEqual(sum("_wm4_" in name for name in used), 2, done.stdout)
        # ISAs of other CPUs are unknown there.
        refused = run(*program, ok=False, env={**ENVIRONMENT, "SEPAL_MAX_ISA": "avx2"})
        self.assertIn('SEPAL_MAX_ISA is "avx2"; allowed: neon', refused.stderr)

    def test_a_library_for_arm_without_cmake(self):
        lacking = missing(ARM + "gcc", ARM + "ar", ARM + "objcopy")
        if lacking:
            return skip("a library for 64-bit ARM", lacking + " is not installed (Debian: gcc-aarch64-linux-gnu)")
        out = self.path("kernels")
        printed = run(SEPAL, "compile", "--problems", self.problem(), "--isa", "neon", "-o", out).stdout
        self.assertIn("Build with: aarch64-linux-gnu-gcc -c app.c", printed)
        self.assertEqual(self.machines(os.path.join(out, "libkernels.a"), ARM), {("AArch64", "")})
        # LLVM's tools do the same, where no others are.
        path = self.path("bin")
        os.mkdir(path)
        llvm = [shutil.which(name) for name in ("llvm-objcopy", "llvm-ar", "llvm-objcopy-22", "llvm-ar-22", "llvm-objcopy-19", "llvm-ar-19")]
        for tool in filter(None, llvm):
            os.symlink(tool, os.path.join(path, os.path.basename(tool)))
        only = {**ENVIRONMENT, "PATH": path}
        done = run(SEPAL, "compile", "--problems", self.problem(), "--isa", "neon", "-o", out, ok=False, env=only)
        self.assertEqual(done.returncode, 2)
        if any(llvm):
            self.assertIn("a C compiler for AArch64 linux is needed, and aarch64-linux-gnu-gcc is not on PATH", done.stderr)
            run(SEPAL, "compile", "--problems", self.problem(), "--isa", "neon", "-o", out, env={**only, "CC": shutil.which(ARM + "gcc")})
            self.assertEqual(self.machines(os.path.join(out, "libkernels.a"), ARM), {("AArch64", "")})
        else:
            skip("a library by LLVM's tools", "there is no llvm-objcopy")
            self.assertIn("an objcopy for AArch64 linux is needed, and aarch64-linux-gnu-objcopy, or llvm-objcopy, is not on PATH", done.stderr)
        wrong = run(SEPAL, "compile", "--problems", self.problem(), "--isa", "neon", "-o", out, ok=False, env={**ENVIRONMENT, "CC": "cc"})
        self.assertIn("cc compiles for x86-64 linux; the kernels are for AArch64 linux", wrong.stderr)

    def test_a_library_for_windows(self):
        lacking = missing(WINDOWS + "gcc", WINDOWS + "ar", WINDOWS + "objcopy")
        if lacking:
            return skip("Windows", lacking + " is not installed (Debian: gcc-mingw-w64-x86-64)")
        out = self.path("kernels")
        printed = run(SEPAL, "compile", "--problems", self.problem(), "--isa", "avx2", "--os", "windows", "-o", out).stdout
        self.assertIn("Build with: x86_64-w64-mingw32-gcc -c app.c", printed)
        self.assertEqual(self.machines(os.path.join(out, "libkernels.a"), WINDOWS), {("", "pe-x86-64")})
        # A kernel is called by its own function, with Halide's runtime beside it, which Sepal's library has in it.
        runtime, renamed = self.path("runtime.plain.o"), self.path("runtime.o")
        run(os.path.join(BUILD, "tools", "sepal-compile"), "runtime", runtime, "x64", "windows")
        symbols = os.path.join(BUILD, "package", "halide_symbols.txt")
        run(WINDOWS + "objcopy", "--redefine-syms=" + symbols, "--redefine-sym", "__chkstk=___chkstk_ms", runtime, renamed)
        with open(os.path.join(out, "kernels.c")) as file:
            kernel = re.search(r"int (kernels_pointwise\w+)\(void", file.read()).group(1)
        source = self.path("app.c")
        with open(source, "w") as file:
            file.write("#include <stdio.h>\nint %s(void **argv);\nint main(void) {\n    void *argv[8] = {0};\n"
                       "    (void)%s; printf(\"kernel %%d\\n\", argv[0] == 0);\n    return 0;\n}\n" % (kernel, kernel))
        objects = [os.path.join(out, file) for file in os.listdir(out) if file.endswith(".o")]
        run(WINDOWS + "gcc", "-o", self.path("app.exe"), source, *objects, renamed)
        self.assertEqual(self.machines(self.path("app.exe"), WINDOWS), {("", "pei-x86-64")})
        if not WINE:
            return skip("running programs for Windows", "there is no wine64 (Debian: wine64)")
        wine = {**ENVIRONMENT, "WINEPREFIX": self.path("wine"), "WINEDEBUG": "-all"}
        self.assertEqual(run(WINE, self.path("app.exe"), env=wine).stdout.strip(), "kernel 1")

    def test_bad_combinations_are_told_in_a_sentence(self):
        out = self.path("kernels")
        for words, problem, expected in [
                (("--isa", "neon,avx2"), "", "--isa has neon of AArch64 and avx2 of x86-64 CPUs; a library is for one of them"),
                (("--isa", "neon", "--isa", "sm80"), "", "--isa has neon of AArch64 and sm80 of x86-64 CPUs"),
                (("--isa", "neon", "--os", "windows"), "", "--os windows is for x86-64 CPUs; --isa neon is for linux only"),
                (("--isa", "sm80", "--os", "windows"), "", "--os windows is for x86-64 CPUs; --isa sm80 is for linux only"),
                (("--isa", "avx2", "--os", "plan9"), "", '--os "plan9" is unknown; allowed: linux, windows'),
                (("--isa", "sve"), "", '--isa "sve" is unknown; allowed: x64, avx2, avx512, neon, sm80, opencl'),
                (("--isa", "neon"), ', "dtype": "f16"', "the hand-written schedules for CPUs are for f32, not f16")]:
            with self.subTest(words=words):
                done = run(SEPAL, "compile", "--problems", self.problem(problem), *words, "-o", out, ok=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(expected, done.stderr)
                self.assertFalse(os.path.exists(out))
        # Cross-compiling Sepal needs programs of this machine.
        for host, expected in [((), "SEPAL_HOST_BUILD is empty"), (("-DSEPAL_HOST_BUILD=" + self.folder,), "which holds no tools/sepal-compile")]:
            toolchain = os.path.join(SOURCE, "tools", "cmake", "aarch64-linux-gnu.cmake")
            if missing(ARM + "g++"):
                skip("cross-compiling without a host build", ARM + "g++ is not installed")
                break
            done = run(CMAKE, "-G", "Ninja", "-DCMAKE_MAKE_PROGRAM=" + NINJA, "-DCMAKE_TOOLCHAIN_FILE=" + toolchain, *host, "-S", SOURCE, "-B", self.path("b"),
                       ok=False)
            self.assertIn(expected, re.sub(r"\s+", " ", done.stderr))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-k", PART])
