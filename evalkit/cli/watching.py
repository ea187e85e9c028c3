"""`evalkit watch STUDY`: is the feed right, is delivery on plan, has anything crossed the agreed line?"""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.reports import check_folder
from evalkit.cli.screen import Screen, say, steps, titled


def watch(
    study: Path = typer.Argument(help="A study file, or the folder that holds study.toml."),
    as_of: str | None = typer.Option(None, "--as-of", help="Such as 2027-05-31. Default: the newest delivery."),
    out: Path | None = typer.Option(None, "--out", help="Folder of the page. Default: no page is written."),
    looks: Path | None = typer.Option(None, "--looks", help="Record of looks. Default: looks.jsonl by the study."),
    unplanned: str | None = typer.Option(None, "--look", help="Why somebody looks now, though no look is due."),
) -> None:
    """Say how feed and delivery stand, and take the looks that are due. One shot, for a scheduler."""
    if out is not None:
        check_folder(out)
    from evalkit.monitor.page import published
    from evalkit.monitor.watch import watch as watch_now

    with steps(1) as begin:
        begin("Reading the feed, and taking the looks that are due")
        found = watch_now(study, looks, as_of, unplanned=unplanned)
        page = None if out is None else found.save(out)
    screen = Screen()
    title = f"{found.study.title or 'Watch'}, as of {found.as_of}"
    table = titled(title, {"Component": 14, "Status": 12, "In words": 30})
    labels = {c.name: c.label for c in found.study.components}
    for row in found.status.itertuples():
        table.add_row(labels[row.component], row.status, row.sentence)
    screen.print(table)
    for alarm in published(found).itertuples():
        say(f"Alarm: {alarm.alarm.replace('_', ' ')}, {alarm.where}: {alarm.what}. {alarm.next}")
    say("No alarm about the feed." if not len(found.alarms) else f"Alarms: {len(found.alarms)}")
    if page is not None:
        say(f"The page: {page}")
