"""Building from changed sources: with fewer bits, so that a proof ends; with a bug, so that it has to fail."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader

__all__ = ["Edit", "bench_of"]

PACKAGE = "qlink.gateware"


@dataclass(frozen=True, slots=True)
class Edit:
    """In module `qlink.gateware.<module>`, `old` (found exactly once) becomes `new`."""

    module: str
    old: str
    new: str


def bench_of(claim, edits):
    """Return the bench of `claim`, built from the sources as they are after `edits`.

    Raises ValueError for an edit that does not match exactly once, or whose module the bench has no use for.
    """
    with _edited(edits) as edited:
        build = getattr(import_module(claim.build.__module__), claim.build.__name__)
        bench = build()
    if unused := {edit.module for edit in edits} - edited:
        bench.rtlil()  # Amaranth warns of what is made and never used
        raise ValueError(f"{claim.name} has no use for {', '.join(sorted(unused))}")
    return bench


class _Loader(SourceFileLoader):
    """Loads a module with edits, leaving nothing in any cache."""

    edits = ()

    def get_code(self, fullname):
        source = self.get_data(self.path).decode()
        for edit in self.edits:
            if source.count(edit.old) != 1:
                found = source.count(edit.old)
                raise ValueError(f"{fullname} has {found} times, not once: {edit.old!r}")
            source = source.replace(edit.old, edit.new)
        return compile(source, self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, edits):
        self._edits = edits
        self.edited = set()

    def find_spec(self, fullname, path, target=None):
        edits = [edit for edit in self._edits if f"{PACKAGE}.{edit.module}" == fullname]
        if not edits or (spec := PathFinder.find_spec(fullname, path, target)) is None:
            return None
        self.edited.add(edits[0].module)
        spec.loader = _Loader(fullname, spec.origin)
        spec.loader.edits = edits
        return spec


@contextmanager
def _edited(edits):
    """Let the package's modules be imported anew, edited, and forget them in the end. Gives the set of those edited."""
    namespace = sys.modules[PACKAGE.rpartition(".")[0]]
    usual = {name: module for name, module in sys.modules.items() if f"{name}.".startswith(f"{PACKAGE}.")}
    for name in usual:
        del sys.modules[name]
    sys.meta_path.insert(0, finder := _Finder(edits))
    try:
        yield finder.edited
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
        sys.modules.update(usual)
        namespace.gateware = usual[PACKAGE]
