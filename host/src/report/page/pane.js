/* Panes: a picture, a map, or both; all panes of a group zoom together and
   show the value under one cross. */
var livePanes = new Set();

function gridText(map) { return map.grid[0] + '\u00d7' + map.grid[1]; }

function isCoarse(map) {
  if (state.smooth !== 'auto') return state.smooth === 'pixels';
  return Math.max(map.grid[0], map.grid[1]) <= 28;
}

/* What a map shows, from its numbers. */
function mapWords(run, answer, map) {
  var place = map.place ? t('map.place', { share: percent(map.place[1]), region: map.place[0], border: percent(map.place[2]) }) : '';
  return t('map.alt', { method: run.methods[map.method].title, label: labelName(run, answer.label) + ' (' + worth(run, answer.p) + ')', place: place, grid: gridText(map) });
}

function pictureWords(run, sample) {
  return t('picture.alt', { file: sample.file, truth: sample.truth.map(function (label) { return labelName(run, label); }).join(', ') || t('unknown') });
}

/* Why there is no map to see, or null. */
function mapFault(map) {
  if (!map) return t('map.none');
  if (map.src) return null;
  return map.outcome === 'missing' && !map.why ? t('map.none') : t('map.' + map.outcome, { why: map.why || '' });
}

function boxLines(sample) {
  return s('svg', { class: 'boxes', viewBox: '0 0 1 1', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    sample.boxes.map(function (box) {
      var a = box[1];
      return [s('rect', { class: 'box back', x: a[0], y: a[1], width: a[2], height: a[3] }), s('rect', { class: 'box', x: a[0], y: a[1], width: a[2], height: a[3] })];
    }));
}

function pictureImage(run, sample) {
  if (!sample.picture.src) return h('div', { class: 'badge fault' }, t('picture.missing', { why: sample.picture.why || '' }));
  return imageFrom(sample.picture.src, function () { return pictureSource(sample); }, { class: 'picture' + (sample.picture.size[0] <= 96 ? ' crisp' : ''), alt: pictureWords(run, sample), draggable: 'false', decoding: 'async' }, false);
}

/* A pane of the picture (`answer` null) or of a map over it. */
function pane(run, sample, answer, method) {
  var map = answer ? answer.maps[method] : null;
  var fault = answer ? mapFault(map) : null;
  var stack = h('div', { class: 'stack' }, pictureImage(run, sample));
  var whole = h('div', { class: 'pane' + (answer ? ' has-map' : '') + (fault ? ' has-fault' : '') }, stack);
  whole.sample = sample;
  whole.run = run;
  if (fault) whole.append(h('div', { class: 'badge fault' }, fault));
  else if (map) {
    whole.map = map;
    whole.canvas = h('canvas', { class: 'map', role: 'img', 'aria-label': mapWords(run, answer, map) });
    stack.append(whole.canvas);
    if (map.outcome === 'partial') whole.append(h('div', { class: 'badge' }, t('map.partial', { why: map.why })));
  }
  stack.append(boxLines(sample));
  stack.append(h('div', { class: 'cross', 'aria-hidden': 'true' }));
  var size = sample.picture.size;
  if (size[0] > 0) whole.style.setProperty('--aspect', size[0] / size[1]);
  if (map && !fault) { livePanes.add(whole); paintPane(whole); }
  return whole;
}

/* Paints the map of a pane as the choices say. */
function paintPane(whole) {
  var map = whole.map;
  if (!map.greys) {
    greys(map).then(function () { paintPane(whole); }, function (error) {
      whole.append(h('div', { class: 'badge fault' }, t('map.missing', { why: error.message })));
    });
    return;
  }
  var range = ends(whole.run, whole.sample, map);
  paint(whole.canvas, map, range);
  whole.canvas.classList.toggle('crisp', isCoarse(map));
  var lines = whole.querySelector('.contours');
  if (lines) lines.remove();
  if (state.contours) whole.querySelector('.stack').append(contourLines(map));
  if (whole.scale) { paintScale(whole.scale, map.signed); whole.low.textContent = number(range[0]); whole.high.textContent = number(range[1]); }
}

/* Three levels; signed maps on both sides of 0. */
function contourLines(map) {
  var levels = map.signed ? [64, 96, 160, 192] : [64, 128, 192];
  return s('svg', { class: 'contours', viewBox: '0 0 ' + map.grid[1] + ' ' + map.grid[0], preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    levels.map(function (level, i) {
      var path = contour(map, level);
      return [s('path', { d: path, class: 'back' }), s('path', { d: path, class: 'level level' + i })];
    }));
}

/* A scale bar with numbers, kept up to date with its pane. */
function scaleOf(whole) {
  whole.scale = h('canvas', { class: 'scale', 'aria-hidden': 'true' });
  whole.low = h('span', { class: 'num' });
  whole.high = h('span', { class: 'num' });
  if (whole.map && whole.map.greys) paintPane(whole);
  return h('div', { class: 'scale-bar' }, whole.low, whole.scale, whole.high);
}

/* Looks have changed: repaint what is in the page, forget what is not. */
function repaint() {
  var root = document.documentElement;
  root.style.setProperty('--opacity', state.opacity);
  root.classList.toggle('no-overlay', !state.overlay);
  root.classList.toggle('no-boxes', !state.boxes);
  if (state.theme === 'auto') root.removeAttribute('data-theme');
  else root.setAttribute('data-theme', state.theme);
  livePanes.forEach(function (whole) {
    if (!whole.isConnected) livePanes.delete(whole);
    else paintPane(whole);
  });
}

function forgetPanes() {
  livePanes.forEach(function (whole) { if (!whole.isConnected) livePanes.delete(whole); });
}

/* Links the panes inside `group`: one zoom, one cross. The group has the keys. */
function link(group, wheel) {
  var view = { zoom: 1, x: 0.5, y: 0.5 };
  var cross = { x: 0.5, y: 0.5 };
  function panes() { return Array.prototype.slice.call(group.querySelectorAll('.pane')); }
  function apply() {
    var reach = 0.5 / view.zoom;
    view.x = clamp(view.x, reach, 1 - reach);
    view.y = clamp(view.y, reach, 1 - reach);
    group.style.setProperty('--zoom', view.zoom);
    group.style.setProperty('--shift-x', (100 * (0.5 - view.x * view.zoom)).toFixed(3) + '%');
    group.style.setProperty('--shift-y', (100 * (0.5 - view.y * view.zoom)).toFixed(3) + '%');
    group.classList.toggle('zoomed', view.zoom > 1);
  }
  function zoom(factor, x, y) {
    var next = clamp(view.zoom * factor, 1, 32), real = next / view.zoom;
    if (x === undefined) { x = cross.x; y = cross.y; }
    view.x = x + (view.x - x) / real;
    view.y = y + (view.y - y) / real;
    view.zoom = next;
    apply();
  }
  function point(event) {
    var whole = event.target.closest('.pane');
    if (!whole) return null;
    var area = whole.getBoundingClientRect();
    return {
      x: clamp(view.x + ((event.clientX - area.left) / area.width - 0.5) / view.zoom, 0, 0.999999),
      y: clamp(view.y + ((event.clientY - area.top) / area.height - 0.5) / view.zoom, 0, 0.999999)
    };
  }
  function read() {
    group.classList.add('crossed');
    group.style.setProperty('--cross-x', 100 * cross.x + '%');
    group.style.setProperty('--cross-y', 100 * cross.y + '%');
    panes().forEach(function (whole) {
      var out = whole.parentNode.querySelector('.readout');
      if (!out) return;
      if (whole.map && whole.map.greys) {
        var y = Math.floor(cross.y * whole.map.grid[0]), x = Math.floor(cross.x * whole.map.grid[1]);
        out.textContent = t('pane.at', { value: number(valueAt(whole.map, y, x)), x: x, y: y });
      } else if (!whole.map && whole.sample.picture.size[0]) {
        out.textContent = Math.floor(cross.x * whole.sample.picture.size[0]) + ', ' + Math.floor(cross.y * whole.sample.picture.size[1]);
      }
    });
  }
  var drag = null;
  group.addEventListener('pointermove', function (event) {
    var at = point(event);
    if (!at) return;
    if (drag && view.zoom > 1) {
      var area = event.target.closest('.pane').getBoundingClientRect();
      view.x = drag.x - (event.clientX - drag.left) / area.width / view.zoom;
      view.y = drag.y - (event.clientY - drag.top) / area.height / view.zoom;
      apply();
      return;
    }
    cross = at;
    read();
  });
  group.addEventListener('pointerdown', function (event) {
    if (view.zoom > 1 && event.target.closest('.pane')) drag = { x: view.x, y: view.y, left: event.clientX, top: event.clientY };
  });
  ['pointerup', 'pointerleave', 'pointercancel'].forEach(function (type) { group.addEventListener(type, function () { drag = null; }); });
  group.addEventListener('pointerleave', function () { if (document.activeElement !== group) group.classList.remove('crossed'); });
  group.addEventListener('wheel', function (event) {
    if (!wheel && !event.altKey) return;
    var at = point(event);
    if (!at) return;
    if (event.deltaY > 0 && view.zoom === 1) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, at.x, at.y);
  }, { passive: false });
  group.zoomKeys = function (event) {
    var steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === '+' || event.key === '=') zoom(1.5);
    else if (event.key === '-') zoom(1 / 1.5);
    else if (event.key === '0') { view = { zoom: 1, x: 0.5, y: 0.5 }; apply(); }
    else if (steps[event.key] && event.shiftKey) { view.x += 0.1 * steps[event.key][0] / view.zoom; view.y += 0.1 * steps[event.key][1] / view.zoom; apply(); }
    else return false;
    event.preventDefault();
    return true;
  };
  group.crossKeys = function (event) {
    var steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!steps[event.key] || event.shiftKey) return false;
    var fine = 7;
    panes().forEach(function (whole) { if (whole.map) fine = Math.max(fine, Math.min(112, whole.map.grid[1])); });
    cross = { x: clamp(cross.x + steps[event.key][0] / fine, 0, 0.999), y: clamp(cross.y + steps[event.key][1] / fine, 0, 0.999) };
    read();
    event.preventDefault();
    return true;
  };
  apply();
  return group;
}

/* Shapes of flags: filled circle, triangle, hollow square; and of verdicts. */
function flagShape(flag) {
  var shapes = {
    tp: function () { return s('circle', { cx: 6, cy: 6, r: 4.6, class: 'solid' }); },
    fp: function () { return s('path', { d: 'M6 1L11.3 10.6H.7Z', class: 'solid' }); },
    fn: function () { return s('rect', { x: 1.8, y: 1.8, width: 8.4, height: 8.4, class: 'hollow' }); },
    unknown: function () { return s('path', { d: 'M6 1L11 6L6 11L1 6Z', class: 'hollow' }); },
    none: function () { return s('path', { d: 'M2 6H10', class: 'hollow' }); },
    right: function () { return [s('circle', { cx: 6, cy: 6, r: 5, class: 'hollow' }), s('path', { d: 'M3.5 6.2L5.3 8L8.6 4.3', class: 'hollow' })]; },
    reason: function () { return [s('path', { d: 'M6 .8L11.2 6L6 11.2L.8 6Z', class: 'hollow' }), s('path', { d: 'M6 3.4V6.6M6 8V8.7', class: 'hollow' })]; },
    wrong: function () { return [s('path', { d: 'M3.6 .8H8.4L11.2 3.6V8.4L8.4 11.2H3.6L.8 8.4V3.6Z', class: 'hollow' }), s('path', { d: 'M4 4L8 8M8 4L4 8', class: 'hollow' })]; }
  };
  return s('svg', { class: 'shape', viewBox: '0 0 12 12', width: 12, height: 12, 'aria-hidden': 'true' }, shapes[flag]());
}

function flagMark(flag) {
  return h('span', { class: 'mark flag-' + flag, title: t('flag.' + flag + '.long') }, flagShape(flag), h('span', null, t('flag.' + flag)));
}

function verdictMark(verdict, long) {
  if (!verdict) return null;
  return h('span', { class: 'mark verdict-' + verdict, title: t('verdict.' + verdict) }, flagShape(verdict),
    h('span', long ? null : { 'aria-label': t('verdict.' + verdict) }, t('verdict.' + verdict + (long ? '' : '.short'))));
}
