"""The command `plot`: pictures of a result, each as SVG and PNG."""
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import matplotlib

from spawnpool.documents import Json
from spawnpool.errors import UsageError
from spawnpool.pictures import counts, cpu, latency, micro, series, throughput
from spawnpool.pictures.frame import STYLE, Picture
from spawnpool.results import ResultSchema, read_result

# The kinds of pictures, by the part of a report that they belong to.
SECTIONS = {
    "load": (throughput, latency),
    "costs": (cpu, counts),
    "series": (series,),
    "micro": (micro,),
}


def plot(result_path: Path, out: Path) -> list[Path]:
    """Draws every picture into the directory `out` and returns the files, SVG before PNG. Says on
    stderr which it did not draw, and why.

    UsageError when the file is no result or holds no valid trial."""
    result = read_result(result_path, ResultSchema())
    if not any(trial["status"] == "valid" for trial in result["trials"]):
        raise UsageError(f"{result_path} has no valid trial to draw: run the suite again")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for picture in pictures(result):
        if picture.figure is None:
            print(f"not drawn: {picture.name}: {picture.reason}", file=sys.stderr)
            continue
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            path = out / f"{picture.name}{suffix}"
            with matplotlib.rc_context(STYLE):
                picture.figure.savefig(path, metadata=metadata)
            picture.figure.set_layout_engine("none")  # laid out by now, for both
            files.append(path)
    return files


def pictures(result: Json, sections: Iterable[str] = SECTIONS) -> Iterator[Picture]:
    """The pictures of a result with valid trials: those of these SECTIONS, or all."""
    with matplotlib.rc_context(STYLE):
        for section in sections:
            for kind in SECTIONS[section]:
                yield from kind.draw(result)
