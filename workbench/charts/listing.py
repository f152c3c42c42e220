"""A list that a person picks a row of, in a Panel app; it may change under their hand.

What is picked is told by the row's own id, so that a click means the row that was clicked, whatever the list has become
on the server since. When it changes, the row at the top stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import param
from panel.reactive import ReactiveHTML

from workbench.charts.badges import TONES, Tone
from workbench.charts.theme import ACCENT, GRID

Cell = str | Sequence[tuple[str, Tone]]

_LOOK = f"""
.holder {{ height: 100%; overflow-y: auto; outline: none; }}
table {{ width: 100%; border-collapse: collapse; font-size: 13px; table-layout: fixed; }}
th {{ position: sticky; top: 0; text-align: left; font-weight: 600; padding: 7px 10px; z-index: 1;
  background: var(--panel-surface-color, Canvas); box-shadow: inset 0 -1px {GRID}66; }}
td {{ padding: 6px 10px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  border-bottom: 1px solid {GRID}30; }}
tr[data-id] {{ cursor: pointer; }}
tr[data-id]:hover {{ background: color-mix(in srgb, {ACCENT} 10%, transparent); }}
tr.chosen, tr.chosen:hover {{ background: color-mix(in srgb, {ACCENT} 24%, transparent); }}
.holder:focus-visible tr.chosen {{ outline: 2px solid {ACCENT}; outline-offset: -2px; }}
.badge {{ display: inline-block; padding: 0 .7em; margin-right: .4em; border-radius: 1em; font-weight: 600;
  font-size: 12px; line-height: 1.6; color: color-mix(in srgb, var(--tone) 70%, currentColor);
  background: color-mix(in srgb, var(--tone) 14%, transparent);
  border: 1px solid color-mix(in srgb, var(--tone) 45%, transparent); }}
{"".join(f".{name} {{ --tone: {colour}; }} " for name, colour in TONES.items())}
.none {{ padding: 14px 10px; opacity: .75; }}
"""

_DRAW = """
const {head, rows, nothing} = data.content;
if (!rows.length) {
  const none = document.createElement('div');
  none.className = 'none';
  none.textContent = nothing;
  holder.replaceChildren(none);
  return;
}
const table = document.createElement('table');
const widths = table.appendChild(document.createElement('colgroup'));
const names = table.createTHead().insertRow();
for (const [name, width] of head) {
  widths.appendChild(document.createElement('col')).style.width = width;
  names.appendChild(document.createElement('th')).textContent = name;
}
const body = table.createTBody();
for (const [id, cells] of rows) {
  const row = body.insertRow();
  row.dataset.id = id;
  for (const cell of cells) {
    const place = row.insertCell();
    for (const [text, tone] of cell) {
      const part = place.appendChild(document.createElement('span'));
      part.textContent = text;
      if (tone) part.className = 'badge ' + tone; else part.title = text;
    }
  }
}
holder.replaceChildren(table);
"""
_CHANGE = """
const shown = [...holder.querySelectorAll('tr[data-id]')];
const first = holder.scrollTop > 0 ? shown.find((row) => row.offsetTop + row.offsetHeight > holder.scrollTop) : null;
const above = first ? first.offsetTop - holder.scrollTop : 0, id = first ? first.dataset.id : '';
self.draw();
const again = id ? [...holder.querySelectorAll('tr[data-id]')].find((row) => row.dataset.id === id) : null;
if (again) holder.scrollTop = again.offsetTop - above;
self.mark();
"""
_MARK = """
for (const row of holder.querySelectorAll('tr[data-id]')) {
  row.classList.toggle('chosen', row.dataset.id === data.chosen);
  row.setAttribute('aria-selected', row.dataset.id === data.chosen);
}
"""
_PICK = "const row = event.target.closest('tr[data-id]'); if (row) data.chosen = row.dataset.id;"
_MOVE = """
const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
if (step) {
  event.preventDefault();
  const rows = [...holder.querySelectorAll('tr[data-id]')];
  const next = rows[rows.findIndex((row) => row.dataset.id === data.chosen) + step];
  if (next) { data.chosen = next.dataset.id; next.scrollIntoView({block: 'nearest'}); }
}
"""


class Listing(ReactiveHTML):
    """A table whose rows can be picked, by a click or the arrow keys.

    Parameters
    ----------
    content : dict
        What is shown; ``fill`` makes it. Its texts are put into the page as texts.
    chosen : str
        The id of the picked row, which need not be in the list.
    """

    content = param.Dict(default={"head": [], "rows": [], "nothing": ""})
    chosen = param.String(default="")

    _template = (
        '<div id="holder" class="holder" tabindex="0" '
        "onclick=\"${script('pick')}\" onkeydown=\"${script('move')}\"></div>"
    )
    _scripts: ClassVar[dict[str, str]] = {
        "render": "self.draw(); self.mark();",
        "content": _CHANGE,
        "draw": _DRAW,
        "chosen": "self.mark();",
        "mark": _MARK,
        "pick": _PICK,
        "move": _MOVE,
    }
    _stylesheets: ClassVar[list[str]] = [_LOOK]

    def fill(
        self, head: Sequence[tuple[str, str]], rows: Sequence[tuple[str, Sequence[Cell]]], *, nothing: str = "Nothing."
    ) -> None:
        """Show a table.

        Parameters
        ----------
        head : sequence of tuple of str
            The name and the width of each column; the latter as CSS, empty for what is left.
        rows : sequence of tuple
            For each row its id and its cells: a text, or badges, each a text and its tone.
        nothing : str
            What is said where there are no rows.
        """
        made = [(id_, [[(each, "")] if isinstance(each, str) else list(each) for each in cells]) for id_, cells in rows]
        self.content = {"head": list(head), "rows": made, "nothing": nothing}
