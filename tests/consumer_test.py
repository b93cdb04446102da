"""The installed package, as somebody else's project meets it: tests/consumer. Arguments: the build folder, cmake, ninja."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, CMAKE, NINJA = sys.argv[1:4]
TESTS = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(TESTS)
APPS = ["c_app", "static_app", "cpp_app", "thread_pool_app", "generated_app"]


def run(*words, ok=True, **options):
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if ok and done.returncode != 0:
        raise AssertionError("%s ended with %d:\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
    return done


class Consumer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="sepal-consumer-")
        cls.folder = cls.temporary.name
        first = os.path.join(cls.folder, "first")
        run(CMAKE, "--install", BUILD, "--prefix", first)
        # Moved after it was installed: nothing in it may know where it was.
        cls.prefix = os.path.join(cls.folder, "moved", "there")
        os.mkdir(os.path.dirname(cls.prefix))
        os.rename(first, cls.prefix)
        # Nor may it need the build's Halide.
        cls.environment = {name: value for name, value in os.environ.items() if not name.startswith("SEPAL_")}
        cls.environment.pop("LD_LIBRARY_PATH", None)
        cls.configured = cls.configure("project", cls.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def configure(cls, name, prefix, ok=True, change=None):
        """Configures a copy of the project; its source folder, its build folder, what was printed."""
        source, build = os.path.join(cls.folder, name), os.path.join(cls.folder, name + ".build")
        shutil.copytree(os.path.join(TESTS, "consumer"), source, dirs_exist_ok=True)
        if change:
            change(source)
        done = run(CMAKE, "-G", "Ninja", "-DCMAKE_MAKE_PROGRAM=" + NINJA, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_PREFIX_PATH=" + prefix, "-S", source,
                   "-B", build, ok=ok, env=cls.environment)
        return source, build, done.stdout + done.stderr

    def build(self, build):
        return run(CMAKE, "--build", build, env=self.environment).stdout

    def run_apps(self, build, **environment):
        printed = {}
        for app in APPS:
            done = run(os.path.join(build, app), env={**self.environment, **environment})
            self.assertTrue(done.stdout.endswith("right\n"), app + ": " + done.stdout)
            printed[app] = done.stdout
        return printed

    def test_a_project_builds_and_runs_and_rebuilds_what_changed(self):
        source, build, _ = self.configured
        first = self.build(build)
        self.assertEqual(len(re.findall(r"Kernel \w+_avx\w+_hand_", first)), 4)
        self.assertEqual(len(re.findall(r"Kernel \w+_(?:sm80|opencl)_hand_", first)), 2)
        printed = self.run_apps(build)
        self.assertIn("sepal ", printed["c_app"])
        # One binary, each CPU its best kernels; a CPU without AVX2 is given the library's own.
        with open("/proc/cpuinfo") as file:
            cpus = file.read()
        for isa in ("avx512", "avx2", "x64"):
            if isa == "avx512" and " avx512f" not in cpus:
                print("[SKIP] avx512: this CPU lacks it")
                continue
            with self.subTest(isa=isa):
                printed = self.run_apps(build, SEPAL_MAX_ISA=isa)
                for app, count in (("c_app", 1), ("static_app", 1), ("generated_app", 2)):
                    self.assertEqual(printed[app].count("_%s_" % isa), count, printed[app])
        # A change of one problem compiles its kernels only.
        problems = os.path.join(source, "problems.json")
        with open(problems) as file:
            text = file.read()

        def restore():
            with open(problems, "w") as file:
                file.write(text)

        self.addCleanup(restore)
        with open(problems, "w") as file:
            file.write(text.replace('"activation": "relu6"', '"activation": "none"'))
        again = self.build(build)
        self.assertEqual(sorted(re.findall(r"Kernel (\w+)", again)), ["pointwise_f32_nhwc_avx2_hand_c128_k64", "pointwise_f32_nhwc_avx512_hand_c128_k64"])
        self.run_apps(build)
        self.assertNotIn("Kernel", self.build(build))
        # A mistake is an error of the configuration, with file, problem and field.
        with open(problems, "w") as file:
            file.write(text.replace('"stride"', '"strides"').replace('"c": 64', '"c": -64'))
        failed = run(CMAKE, "--build", build, ok=False, env=self.environment)
        self.assertNotEqual(failed.returncode, 0)
        said = re.sub(r"\s+", " ", failed.stdout + failed.stderr)
        self.assertIn("sepal_add_kernels(my_kernels)", said)
        self.assertIn("problems.json", said)
        self.assertIn('"block.depsep"', said)
        self.assertIn('field "c" is -64', said)

    def test_generated_kernels_run_on_devices(self):
        _, build, _ = self.configured
        self.build(build)
        app = os.path.join(build, "gpu_app")
        # A CUDA driver that executes PTX on the CPU.
        emulated = {**self.environment, "LD_LIBRARY_PATH": os.path.join(BUILD, "tests", "emulated_cuda")}
        printed = run(app, "cuda", env=emulated).stdout
        self.assertRegex(printed, r"CUDA device 0 \(.*\)\ndepsep_f32_nhwc_sm80_hand_.*\nright\n")
        done = run(app, "opencl", ok=False, env=self.environment)
        if done.returncode == 2:
            print("[SKIP] OpenCL: " + done.stderr.strip())
        else:
            self.assertRegex(done.stdout, r"OpenCL device 0 \(.*\)\ndepsep_f32_nhwc_opencl_hand_.*\nright\n")
        if not shutil.which("nvidia-smi"):
            done = run(app, "cuda", ok=False, env=self.environment)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"^[^\n]*(no NVIDIA driver|no GPU|NVIDIA driver)[^\n]*\n$")

    def test_wrong_calls_say_what_is_wrong(self):
        for call, expected in [("sepal_add_kernels(other PROBLEMS problems.json)", "ISAS is missing"),
                               ("sepal_add_kernels(other PROBLEMS problems.json ISAS avx3)", '--isa "avx3" is unknown'),
                               ("sepal_add_kernels(other PROBLEMS none.json ISAS avx2)", "none.json"),
                               ("sepal_add_kernels(other PROBLEMS problems.json ISAS avx2 SCHEDULER tuned)", "--scheduler tuned needs records"),
                               ("sepal_add_kernels(other PROBLEMS problems.json ISAS avx2 SPEED 3)", '--isa "SPEED" is unknown'),
                               ("sepal_add_kernels(other 3 PROBLEMS problems.json ISAS avx2)", 'unknown argument "3"'),
                               ("find_package(Sepal REQUIRED COMPONENTS kernels)", 'no component "kernels"')]:
            def change(source, call=call):
                with open(os.path.join(source, "CMakeLists.txt"), "a") as file:
                    file.write(call + "\n")

            with self.subTest(call=call):
                _, _, printed = self.configure("wrong", self.prefix, ok=False, change=change)
                self.assertIn(expected, re.sub(r"\s+", " ", printed))
                shutil.rmtree(os.path.join(self.folder, "wrong.build"))

    def test_the_package_of_the_build_folder_serves_as_well(self):
        _, build, _ = self.configure("beside", os.path.join(BUILD, "package"))
        self.build(build)
        self.run_apps(build)

    def test_pkg_config_and_make(self):
        if not shutil.which("pkg-config") or not shutil.which("make"):
            self.skipTest("pkg-config and make are not installed")
        source = os.path.join(self.folder, "make")
        shutil.copytree(os.path.join(TESTS, "consumer"), source)
        pc = [os.path.join(folder, "sepal.pc") for folder, _, files in os.walk(self.prefix) if "sepal.pc" in files]
        environment = {**self.environment, "PKG_CONFIG_PATH": os.path.dirname(pc[0])}
        run("make", "SEPAL=" + os.path.join(self.prefix, "bin", "sepal"), cwd=source, env=environment)
        for app in ("c_app", "cpp_app", "generated_app"):
            self.assertTrue(run(os.path.join(source, app), env=environment).stdout.endswith("right\n"), app)

    def test_nothing_in_the_package_knows_where_it_was_built(self):
        files = [os.path.join(folder, file) for folder, _, names in os.walk(self.prefix) for file in names]
        self.assertGreater(len(files), 15)
        halide = re.compile(r"/sepal/lib(Halide|autoschedule_)")
        for path in files:
            if os.path.islink(path) or halide.search(path):
                continue
            with self.subTest(file=os.path.relpath(path, self.prefix)):
                with open(path, "rb") as file:
                    contents = file.read()
                for secret in (SOURCE, self.folder):
                    self.assertFalse(secret.encode() in contents, "holds " + secret)

    def test_what_an_application_links_needs_the_c_and_cpp_libraries_only(self):
        library = [os.path.join(folder, "libsepal.so") for folder, _, names in os.walk(self.prefix) if "libsepal.so" in names][0]
        needed = set(re.findall(r"NEEDED.*\[(.*?)\.so", run("readelf", "-d", library).stdout))
        self.assertLessEqual(needed, {"libstdc++", "libm", "libgcc_s", "libc", "ld-linux-x86-64", "libpthread", "libdl"})
        exported = set(re.findall(r" [TVWDBR] (\S+)", run("nm", "-D", "--defined-only", library).stdout))
        self.assertEqual([name for name in exported if not name.startswith("sepal_")], [])
        # Licences of all that is in it.
        documents = [name for folder, _, names in os.walk(self.prefix) if os.path.basename(os.path.dirname(folder)) == "doc" for name in names]
        self.assertLessEqual({"LICENSE", "LICENSE.Halide"}, set(documents))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
