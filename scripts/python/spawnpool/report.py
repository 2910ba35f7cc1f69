"""The command `report`: a result as one HTML page that needs nothing beside itself."""
import io
import re
import shlex
from dataclasses import astuple
from pathlib import Path

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from spawnpool.conditions import CONDITION_COLUMNS, conditions, unmeasured
from spawnpool.documents import Json
from spawnpool.load import load_words
from spawnpool.micro import micro_failures
from spawnpool.plots import SECTIONS, pictures
from spawnpool.results import ResultSchema, read_result
from spawnpool.table import MICRO_COLUMNS, comparisons, failures, micro_rows, notes, variation


def report(result_path: Path, out: Path) -> None:
    """Writes the page. UsageError when the file is no result."""
    result = read_result(result_path, ResultSchema())
    page = render(result)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")


def render(result: Json) -> str:
    """The page of a valid result."""
    environment = Environment(
        loader=PackageLoader("spawnpool", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(how_started=_how_started, what_asked=_what_asked)
    drawable = any(trial["status"] == "valid" for trial in result["trials"])
    details = list(comparisons(result["summary"], detail=True))
    return environment.get_template("report.html.j2").render(
        context=result["context"],
        suite=result["suite"],
        trials=result["trials"],
        failures=failures(result["calibration"], "calibration, ")
        + failures(result["trials"])
        + micro_failures(result["micro"]),
        calibration=result["calibration"],
        open_loop=any(trial["load"]["offered_rps"] is not None for trial in result["trials"]),
        closed_loop=any(trial["load"]["offered_rps"] is None for trial in result["trials"]),
        comparisons=list(comparisons(result["summary"])),
        details=details,
        detail_notes=variation(details),
        micro=micro_rows(result["micro"]),
        micro_columns=MICRO_COLUMNS,
        notes=notes(result),
        pictures={name: _pictures(result, name) if drawable else [] for name in SECTIONS},
        conditions=[astuple(row) for row in conditions(result["trials"])],
        condition_columns=CONDITION_COLUMNS,
        unmeasured=unmeasured(result),
        environment=list(_environment(result["context"]).items()),
    )


def _how_started(target: Json) -> str:
    if "command" in target:
        return shlex.join(target["command"])
    return shlex.join(["spawnpool-server", "--model", target["model"], *target.get("options", [])])


def _what_asked(scenario: Json) -> str:
    request = scenario["request"]
    kept = {0: "connections are kept", 1: "a connection per request"}
    per_connection = scenario["requests_per_connection"]
    words = [
        f"{request['method']} {request['path']}",
        kept.get(per_connection, f"{per_connection:,} requests per connection"),
        *load_words({k: v for k, v in scenario.items() if k != "requests_per_connection"}),
    ]
    points = "; ".join(", ".join(load_words(point)) for point in scenario["points"])
    return f"{scenario['name']}: {', '.join(words)}; points: {points}"


def _environment(context: Json) -> dict[str, str]:
    compiler, git = context["compiler"], context["git"]
    return {
        "date": context["date"],
        "machine": f"{context['hostname']}, {context['kernel']}",
        "CPU": f"{context['cpu_model'] or 'model unknown'}, {context['cpus_online']} online, "
        f"may use {', '.join(map(str, context['affinity']))}; SMT "
        + {True: "on", False: "off", None: "unknown"}[context["smt"]],
        "memory": f"{context['memory_bytes'] / 2**30:.1f} GiB",
        "load average": ", ".join(f"{load:.2f}" for load in context["load_average"]),
        "revision": git["revision"] + (" with changes" if git["dirty"] else "")
        if git
        else "unknown",
        "compiler": f"{compiler['version']}, {compiler['build_type']}, {compiler['flags']}"
        if compiler
        else "unknown",
        "versions": ", ".join(f"{k} {v or 'unknown'}" for k, v in context["versions"].items()),
        **{f"SHA-256 of {name}": sha for name, sha in context["binaries"].items()},
    }


def _pictures(result: Json, section: str) -> list[Markup]:
    """The pictures of a section, each as SVG or, where it is not drawn, as a line that says why."""
    found = []
    for picture in pictures(result, [section]):
        if picture.figure is None:
            found.append(Markup("<p>Not drawn: {}: {}.</p>").format(picture.name, picture.reason))
        else:
            found.append(Markup(f"<figure>{_svg(picture.name, picture.figure)}</figure>"))
    return found


def _svg(name: str, figure: Figure) -> str:
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "spawnpool"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    # Without the XML prologue, and with ids of its own: all pictures share the page's.
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
