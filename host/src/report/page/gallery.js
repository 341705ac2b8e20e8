/* The gallery: a row a picture, a column a method. Only rows in view exist. */
var gallery = null;

function activeAnswer(run, row) {
  var sample = row.sample;
  var chosen = run.active && run.active.get(sample.id);
  var found = row.answers.filter(function (answer) { return answer.label === chosen; })[0];
  return found || row.answers[0] || null;
}

function chooseAnswer(run, sample, label) {
  run.active = run.active || new Map();
  run.active.set(sample.id, label);
}

function hiddenColumns() { return listed(state.columns); }

function galleryPage(main) {
  var run = currentRun();
  var bar = filterBar(run), look = lookBar([field(t('size'), slider(t('size'), [72, 420, 6], state.size, function (value) { set({ size: value }); })), columnMenu(run)]);
  var space = h('div', { class: 'space', role: 'rowgroup' });
  var head = h('div', { class: 'row head', role: 'row' });
  var grid = h('div', { class: 'grid', role: 'grid', 'aria-label': t('page.gallery') }, h('div', { class: 'head-group', role: 'rowgroup' }, head), space);
  put(main, h('h1', { class: 'unseen' }, t('page.gallery')), bar, look, grid);
  gallery = { run: run, bar: bar, look: look, grid: grid, head: head, space: space, rows: [], shown: new Map(), row: 0, column: 0 };
  grid.addEventListener('scroll', function () { requestAnimationFrame(function () { showRows(false); }); }, { passive: true });
  grid.addEventListener('keydown', galleryKeys);
  grid.addEventListener('focusin', function (event) {
    var cell = event.target.closest('[role=gridcell]');
    if (!cell || !gallery) return;
    gallery.row = cell.row;
    gallery.column = cell.column;
    rove();
  });
  refreshGallery();
}

function columnMenu(run) {
  return h('details', { class: 'menu' }, h('summary', null, t('columns')), h('div', { class: 'menu-body' }, h('div', { class: 'menu-list' }, run.methods.map(function (method, m) {
    return method.baseline ? null : h('label', null, h('input', { type: 'checkbox', checked: hiddenColumns().indexOf(m) < 0, on: { change: function () { flip('columns', m); } } }), data(method.title));
  }))));
}

/* Columns of the grid: -2 the labels, -1 the picture, then methods. */
function columnsOf(run) {
  var hidden = hiddenColumns(), columns = [-2, -1];
  run.methods.forEach(function (method, m) { if (hidden.indexOf(m) < 0 && !method.baseline) columns.push(m); });
  return columns;
}

function narrow() { return window.innerWidth < 640; }

function paneSize() { return narrow() ? Math.min(state.size, 132) : state.size; }

function rowHeight() { return paneSize() + 42 + (narrow() ? 104 : 0); }

/* The list has changed: sizes, head, and all rows anew. */
function refreshGallery() {
  var g = gallery, run = g.run;
  g.rows = rowsOf(run);
  g.columns = columnsOf(run);
  g.bar.refresh(g.rows);
  g.look.refresh();
  g.grid.style.setProperty('--pane', paneSize() + 'px');
  g.grid.style.setProperty('--columns', g.columns.length - 1);
  g.grid.style.setProperty('--row', rowHeight() + 'px');
  g.grid.setAttribute('aria-rowcount', g.rows.length + 1);
  g.grid.setAttribute('aria-colcount', g.columns.length);
  put(g.head, g.columns.map(function (column) {
    return h('div', { class: 'cell-head', role: 'columnheader' }, column === -2 ? t('labels') : column === -1 ? t('picture') : data(run.methods[column].title), column >= 0 ? h('span', { class: 'faint key' }, String(column + 1)) : null);
  }));
  g.space.style.setProperty('height', Math.max(g.rows.length * rowHeight(), 60) + 'px');
  g.row = clamp(g.row, 0, Math.max(0, g.rows.length - 1));
  g.column = clamp(g.column, 0, g.columns.length - 1);
  showRows(true);
}

/* Makes the rows in view and drops those that have left it. */
function showRows(anew) {
  var g = gallery;
  if (!g || !g.grid.isConnected) return;
  var height = rowHeight(), top = g.grid.scrollTop, low = Math.floor(top / height) - 1, high = Math.ceil((top + g.grid.clientHeight) / height) + 1;
  var held = document.activeElement && g.space.contains(document.activeElement);
  if (anew) { g.shown.clear(); put(g.space); }
  if (!g.rows.length) { put(g.space, h('p', { class: 'empty' }, t('filter.none'))); return; }
  g.shown.forEach(function (element, i) {
    if ((i < low || i > high) && i !== g.row) { element.remove(); g.shown.delete(i); }
  });
  for (var i = Math.max(0, low); i <= Math.min(g.rows.length - 1, high); i++) showRow(i);
  if (!g.shown.has(g.row) && g.row < g.rows.length) showRow(g.row);
  rove();
  forgetPanes();
  if (anew && held) focusCell(false);
}

function showRow(i) {
  var g = gallery;
  if (g.shown.has(i)) return;
  var element = rowElement(g.run, g.rows[i], i);
  g.shown.set(i, element);
  var after = null;
  g.shown.forEach(function (other, at) { if (at > i && (after === null || at < after)) after = at; });
  g.space.insertBefore(element, after === null ? null : g.shown.get(after));
}

function rowElement(run, row, i) {
  var answer = activeAnswer(run, row);
  var element = link(h('div', { class: 'row', role: 'row', 'aria-rowindex': i + 2, style: { top: i * rowHeight() + 'px' } },
    gallery.columns.map(function (column, at) {
      var cell = h('div', { role: 'gridcell', class: 'cell-' + (column === -2 ? 'labels' : 'pane'), tabindex: -1, 'aria-colindex': at + 1 }, cellContent(run, row, answer, column));
      cell.row = i;
      cell.column = at;
      if (column !== -2) cell.addEventListener('dblclick', function () { openSample(row.sample, answer); });
      return cell;
    })), false);
  return element;
}

function cellContent(run, row, answer, column) {
  var sample = row.sample;
  if (column === -2) return labelsCell(run, row, answer);
  if (column === -1) return [pane(run, sample, null, 0), h('div', { class: 'caption' }, h('span', { class: 'readout num' }, sample.picture.size[0] ? sample.picture.size.join('\u00d7') : ''))];
  if (!answer) return h('div', { class: 'pane blank' });
  var one = pane(run, sample, answer, column);
  if (!one.map) return one;
  return [one, h('div', { class: 'caption' }, scaleOf(one), h('div', { class: 'under' }, h('span', { class: 'faint' }, gridText(one.map)), h('span', { class: 'readout num' }), scoreNote(run, sample, answer, column)))];
}

/* The score by which rows are sorted, under the map that it belongs to. */
function scoreNote(run, sample, answer, method) {
  var key = state.sort.split('.');
  if (key[0] !== 'score' || Number(key[1]) !== method) return null;
  var score = answer.maps[method].scores[Number(key[2])];
  return h('span', { class: 'num score' }, typeof score === 'number' ? number(score) : '\u2013');
}

/* File, labels with flags and probabilities, verdict. */
function labelsCell(run, row, active) {
  var sample = row.sample, more = unexplained(run, sample);
  return [h('button', { type: 'button', class: 'file', tabindex: -1, title: sample.file, on: { click: function () { openSample(sample, active); } } }, data(sample.file)),
    sample.failure ? h('p', { class: 'fault' }, t('unreadable', { why: sample.failure })) : null,
    h('div', { class: 'chips', role: 'group', 'aria-label': t('labels') }, row.answers.map(function (answer) {
      return labelChip(run, sample, answer, answer === active, function () { chooseAnswer(run, sample, answer.label); renewRow(row); }, -1);
    })),
    more ? h('span', { class: 'faint small' }, t(run.unit ? 'filter.more.v' : 'filter.more', { n: more })) : null];
}

/* A label as a button: flag, name, probability with its interval, verdict. */
function labelChip(run, sample, answer, active, act, tab) {
  var flag = flagOf(run, sample, answer), u = answer.uncertainty;
  var meter = run.unit ? null : h('span', { class: 'meter', 'aria-hidden': 'true', style: { '--p': answer.p || 0, '--low': u ? u[1] : answer.p || 0, '--high': u ? u[2] : answer.p || 0, '--limit': threshold(run) } }, h('span', { class: 'fill' }), u ? h('span', { class: 'whisker' }) : null, h('span', { class: 'limit' }));
  return h('button', { type: 'button', class: 'chip', tabindex: tab, 'aria-pressed': active ? 'true' : 'false', title: u ? t('sample.interval', { low: percent(u[1]), high: percent(u[2]), sd: number(u[0]) }) : null, on: { click: act } },
    h('span', { class: 'chip-line' }, flagMark(flag), data(labelName(run, answer.label), 'chip-name'), h('span', { class: 'num' }, worth(run, answer.p)), verdictMark(verdictOf(run, sample, answer))), meter);
}

function renewRow(row) {
  var g = gallery, i = g.rows.indexOf(row), element = g.shown.get(i);
  if (!element) return;
  var held = element.contains(document.activeElement);
  element.remove();
  g.shown.delete(i);
  showRow(i);
  rove();
  if (held) focusCell(false);
  forgetPanes();
}

/* One cell of the grid can be reached by Tab: the one that had the focus last. */
function rove() {
  var g = gallery;
  g.shown.forEach(function (element, i) {
    Array.prototype.forEach.call(element.children, function (cell, at) { cell.tabIndex = i === g.row && at === g.column ? 0 : -1; });
    element.classList.toggle('current', i === g.row);
  });
}

function focusCell(scroll) {
  var g = gallery;
  if (scroll !== false) {
    var height = rowHeight(), top = g.row * height, room = g.grid.clientHeight - g.head.offsetHeight;
    if (top < g.grid.scrollTop) g.grid.scrollTop = top;
    else if (top + height > g.grid.scrollTop + room) g.grid.scrollTop = top + height - room;
    showRows(false);
  }
  var element = g.shown.get(g.row);
  if (element && element.children[g.column]) element.children[g.column].focus({ preventScroll: scroll === false });
}

function openSample(sample, answer) { set({ page: 'sample', sample: sample.id, label: answer ? answer.label : -1 }); }

/* Another label of the present row, `by` steps on. */
function stepLabel(by) {
  var g = gallery, row = g.rows[g.row];
  if (!row || row.answers.length < 2) return;
  var next = following(row.answers, activeAnswer(g.run, row), by);
  chooseAnswer(g.run, row.sample, next.label);
  say(labelName(g.run, next.label) + ', ' + t('flag.' + flagOf(g.run, row.sample, next) + '.long') + ', ' + worth(g.run, next.p));
  renewRow(row);
}

function galleryKeys(event) {
  var g = gallery, page = Math.max(1, Math.floor(g.grid.clientHeight / rowHeight()));
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  var row = g.shown.get(g.row);
  if (row && row.zoomKeys(event)) return;
  var moves = {
    ArrowDown: [1, 0], j: [1, 0], ArrowUp: [-1, 0], k: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageDown: [page, 0], PageUp: [-page, 0], Home: [0, -99], End: [0, 99]
  };
  if (event.key === 'Enter' && event.target.getAttribute('role') === 'gridcell') {
    var at = g.rows[g.row];
    if (at) openSample(at.sample, activeAnswer(g.run, at));
  } else if (event.key === 'h' || event.key === 'l') stepLabel(event.key === 'l' ? 1 : -1);
  else if (/^[1-9]$/.test(event.key)) {
    var column = g.columns.indexOf(Number(event.key) - 1);
    if (column < 0) return;
    g.column = column;
    focusCell();
  } else if (moves[event.key]) {
    g.row = clamp(g.row + moves[event.key][0], 0, Math.max(0, g.rows.length - 1));
    g.column = clamp(g.column + moves[event.key][1], 0, g.columns.length - 1);
    focusCell();
  } else return;
  event.preventDefault();
}
