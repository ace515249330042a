"""Ten minutes of libFuzzer for each target, from its corpus; clean under
AddressSanitizer and UBSan. Needs clang."""
import os
import shutil
import subprocess

from harness import BUILD, skip

group = "soak"
timeout = 14400

if not shutil.which("clang"):
    skip("needs clang")
subprocess.run(["make", "-C", BUILD, "fuzz",
                f"FUZZ_SECONDS={os.environ.get('FUZZ_SECONDS', '600')}"],
               check=True)
