"""Hand build_ffi.py to setuptools; everything static is in pyproject.toml.

It must stay this short: what the build decides is in build_ffi.py.
"""

import sys
from pathlib import Path

from setuptools import setup

# A PEP 517 front end does not put the project's directory there.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import build_ffi

setup(cffi_modules=["build_ffi.py:ffibuilder"], cmdclass=build_ffi.COMMANDS)
