# cffi makes these when it imports the compiled module: there is nothing to check them
# against.
from typing import Any

ffi: Any
lib: Any
