/* Charts: SVG that says nothing by colour alone, each with its table. */
var MARKERS = [
  function (x, y) { return s('circle', { cx: x, cy: y, r: 4 }); },
  function (x, y) { return s('rect', { x: x - 3.6, y: y - 3.6, width: 7.2, height: 7.2 }); },
  function (x, y) { return s('path', { d: 'M' + x + ' ' + (y - 5) + 'l4.8 8.6h-9.6z' }); },
  function (x, y) { return s('path', { d: 'M' + x + ' ' + (y - 5.4) + 'l5.4 5.4l-5.4 5.4l-5.4-5.4z' }); },
  function (x, y) { return s('path', { d: 'M' + (x - 4) + ' ' + (y - 4) + 'l8 8m0-8l-8 8', class: 'line-mark' }); },
  function (x, y) { return s('path', { d: 'M' + x + ' ' + (y + 5) + 'l4.8-8.6h-9.6z' }); }
];

function marker(series, x, y) {
  var shape = MARKERS[series % MARKERS.length](x, y);
  shape.classList.add('marker', 'c' + series % 6);
  return shape;
}

/* A mark and a name for each series. */
function legend(names) {
  return h('ul', { class: 'legend' }, names.map(function (name, i) {
    return h('li', null, s('svg', { width: 26, height: 12, viewBox: '0 0 26 12', 'aria-hidden': 'true' },
      s('path', { d: 'M0 6H26', class: 'series dash' + i % 6 + ' c' + i % 6 }), marker(i, 13, 6)), data(name));
  }));
}

/* A chart with its buttons: as a table, CSV, SVG. `rows` begin with the head. */
function chart(title, drawn, rows, extra) {
  var body = h('div', { class: 'chart-body' }, drawn, extra);
  var shown = false;
  var swap = button(t('chart.table'), function () {
    shown = !shown;
    swap.textContent = t(shown ? 'chart.chart' : 'chart.table');
    put(body, shown ? table(rows[0], rows.slice(1).map(function (row) { return row.map(function (cell) { return typeof cell === 'number' ? { text: number(cell), class: 'num' } : cell; }); }), { 'aria-label': title }) : [drawn, extra]);
  }, { class: 'quiet small' });
  return h('figure', { class: 'chart' }, h('figcaption', null, h('span', null, title), h('span', { class: 'tools' }, swap,
    button(t('chart.csv'), function () { download(title + '.csv', 'text/csv', csv(rows)); }, { class: 'quiet small', 'aria-label': t('chart.csv') + ': ' + title }),
    button(t('chart.svg'), function () { download(title + '.svg', 'image/svg+xml', standalone(drawn)); }, { class: 'quiet small', 'aria-label': t('chart.svg') + ': ' + title }))), body);
}

/* An SVG that looks the same without this page's style. */
function standalone(svg) {
  if (svg.tagName !== 'svg') svg = svg.querySelector('svg');
  var copy = svg.cloneNode(true);
  var from = [svg].concat(Array.prototype.slice.call(svg.querySelectorAll('*')));
  var to = [copy].concat(Array.prototype.slice.call(copy.querySelectorAll('*')));
  from.forEach(function (element, i) {
    var look = getComputedStyle(element);
    ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-dasharray', 'font-size', 'font-family', 'text-anchor'].forEach(function (name) {
      var value = look.getPropertyValue(name);
      if (value) to[i].setAttribute(name, value);
    });
    to[i].removeAttribute('class');
  });
  return new XMLSerializer().serializeToString(copy);
}

var hatching = 0;

/* Stripes, for what is not there. */
function hatch() {
  var id = 'hatch-' + hatching++;
  var defs = s('defs', null, s('pattern', { id: id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, s('path', { d: 'M0 0V6', class: 'hatch' })));
  return { defs: defs, fill: 'url' + '(#' + id + ')' };
}

/* Horizontal bars of {name, value, interval, text, why, series}. `domain` is
   [low, high]; a null value becomes a hatched gap with its reason. */
function bars(items, domain, words) {
  var row = 26, left = 132, width = 420, right = 92, height = row * items.length + 18;
  var inside = width - left - right;
  var stripes = hatch();
  function at(value) { return left + inside * clamp((value - domain[0]) / (domain[1] - domain[0] || 1), 0, 1); }
  var zero = at(clamp(0, domain[0], domain[1]));
  var drawn = s('svg', { class: 'bars', viewBox: '0 0 ' + width + ' ' + height, role: 'img', 'aria-label': words }, stripes.defs,
    [0, 0.25, 0.5, 0.75, 1].map(function (share) {
      var x = left + inside * share, value = domain[0] + share * (domain[1] - domain[0]);
      return [s('path', { class: 'grid-line', d: 'M' + x + ' 0V' + (height - 16) }), share === 0 || share === 1 || share === 0.5 ? s('text', { class: 'tick', x: x, y: height - 4, 'text-anchor': 'middle' }, number(value)) : null];
    }),
    items.map(function (item, i) {
      var y = i * row, middle = y + row / 2;
      var name = s('text', { class: 'name', x: left - 10, y: middle + 4, 'text-anchor': 'end' }, shortened(item.name, 19), s('title', null, item.name));
      if (item.value === null || item.value === undefined) {
        return s('g', null, name, s('rect', { x: left, y: y + 6, width: inside, height: row - 12, fill: stripes.fill }), s('text', { class: 'tick', x: left + inside + 8, y: middle + 4 }, item.text || '\u2013'), s('title', null, item.why || ''));
      }
      var x = at(item.value);
      return s('g', { class: 'bar-row' }, name,
        s('rect', { class: 'bar c' + (item.series || 0) % 6, x: Math.min(zero, x), y: y + 5, width: Math.max(1, Math.abs(x - zero)), height: row - 10, rx: 2 }),
        item.interval ? s('path', { class: 'interval', d: 'M' + at(item.interval[0]) + ' ' + middle + 'H' + at(item.interval[1]) + 'M' + at(item.interval[0]) + ' ' + (middle - 4) + 'v8M' + at(item.interval[1]) + ' ' + (middle - 4) + 'v8' }) : null,
        s('text', { class: 'value', x: left + inside + 8, y: middle + 4 }, item.text || number(item.value)),
        s('title', null, item.name + ': ' + (item.text || number(item.value))));
    }));
  return drawn;
}

function shortened(text, length) {
  var letters = Array.from(text);
  return letters.length > length ? letters.slice(0, length - 1).join('') + '\u2026' : text;
}

/* A radar of `series` {name, values}; a null value is a gap in the line. */
function radar(axes, series, words) {
  var width = 460, height = 330, reach = 122, n = axes.length, centre = [width / 2, height / 2];
  function point(i, value) {
    var angle = 2 * Math.PI * i / n - Math.PI / 2;
    return [centre[0] + reach * value * Math.cos(angle), centre[1] + reach * value * Math.sin(angle)];
  }
  function ring(share) {
    return 'M' + axes.map(function (axis, i) { return point(i, share).map(function (v) { return v.toFixed(1); }).join(' '); }).join('L') + 'Z';
  }
  return s('svg', { class: 'radar', viewBox: '0 0 ' + width + ' ' + height, role: 'img', 'aria-label': words },
    [0.25, 0.5, 0.75, 1].map(function (share) { return s('path', { class: 'grid-line', d: ring(share) }); }),
    axes.map(function (axis, i) {
      var end = point(i, 1), at = point(i, 1.12);
      var anchor = Math.abs(at[0] - centre[0]) < 8 ? 'middle' : at[0] < centre[0] ? 'end' : 'start';
      return [s('path', { class: 'grid-line', d: 'M' + centre[0] + ' ' + centre[1] + 'L' + end[0] + ' ' + end[1] }),
        s('text', { class: 'tick', x: at[0], y: at[1] + 4, 'text-anchor': anchor }, shortened(axis, 16), s('title', null, axis))];
    }),
    series.map(function (one, k) {
      var path = '', start = true;
      for (var i = 0; i <= n; i++) {
        var value = one.values[i % n];
        if (value === null) { start = true; continue; }
        path += (start ? 'M' : 'L') + point(i % n, value).map(function (v) { return v.toFixed(1); }).join(' ');
        start = false;
      }
      return s('g', { class: 'spoke', 'data-series': k }, s('path', { class: 'series dash' + k % 6 + ' c' + k % 6, d: path }),
        one.values.map(function (value, i) { var at = value === null ? null : point(i, value); return at && marker(k, at[0], at[1]); }), s('title', null, one.name));
    }));
}

/* Lines of `series` {name, points [[x, y]]} in 0..1 both ways, and a marker
   line at `x`. */
function lines(series, x, words, y) {
  var width = 420, height = 230, left = 40, low = height - 26, top = 10, right = width - 22;
  var span = y || [0, 1];
  function px(v) { return left + (right - left) * v; }
  function py(v) { return low - (low - top) * (v - span[0]) / (span[1] - span[0] || 1); }
  return s('svg', { class: 'lines', viewBox: '0 0 ' + width + ' ' + height, role: 'img', 'aria-label': words },
    [0, 0.25, 0.5, 0.75, 1].map(function (share) {
      var value = span[0] + share * (span[1] - span[0]);
      return [s('path', { class: 'grid-line', d: 'M' + left + ' ' + py(value) + 'H' + right }), s('text', { class: 'tick', x: left - 6, y: py(value) + 4, 'text-anchor': 'end' }, number(value)),
        s('text', { class: 'tick', x: px(share), y: height - 8, 'text-anchor': 'middle' }, percent(share))];
    }),
    series.map(function (one, k) {
      return [s('path', { class: 'series dash' + k % 6 + ' c' + k % 6, d: 'M' + one.points.map(function (p) { return px(p[0]).toFixed(1) + ' ' + py(p[1]).toFixed(1); }).join('L') }),
        x === null ? null : marker(k, px(x), py(along(one.points, x)))];
    }),
    x === null ? null : s('path', { class: 'now', d: 'M' + px(x) + ' ' + top + 'V' + low }));
}

/* The value of a curve at `x`, straight between its points. */
function along(points, x) {
  for (var i = 0; i + 1 < points.length; i++) {
    var a = points[i], b = points[i + 1];
    if (x >= a[0] && x <= b[0]) return b[0] === a[0] ? b[1] : a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0]);
  }
  return x < points[0][0] ? points[0][1] : points[points.length - 1][1];
}
