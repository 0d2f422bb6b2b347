"""Compiled programs kept beside the run, so that a stage that starts again need not wait for them.

Compiling takes most of a short run's first training step.
"""

import warnings
from pathlib import Path

import jax


def keep_compiled(folder: Path) -> None:
    """Keep what JAX compiles from here on in `folder`/.jax_cache, and use what is there already.

    JAX derives a program's key from its text, its compiler and the processor, so nothing stale is
    ever used; the folder may be deleted at any time. A file that was cut short by a full disk or a
    kill is not used and does not matter, so JAX's warning of it is not shown.
    """
    message = r"Error (reading|writing) persistent compilation cache entry"
    warnings.filterwarnings("ignore", message=message)
    jax.config.update("jax_compilation_cache_dir", str((folder / ".jax_cache").absolute()))
    # Programs that compile faster than this, in seconds, are not worth a file.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
