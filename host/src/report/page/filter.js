/* Which pictures are listed, and in which order. */
function threshold(run) { return state.threshold < 0 ? run.threshold : state.threshold; }

/* Prediction against truth at the chosen threshold. */
function flagOf(run, sample, answer) {
  var predicted = answer.p !== null && answer.p > threshold(run);
  if (!sample.truth.length) return predicted ? 'unknown' : 'none';
  if (answer.truth) return predicted ? 'tp' : 'fn';
  return predicted ? 'fp' : 'none';
}

/* The run's verdict as long as the flag is the run's. A label that the
   threshold turns right is judged by where its evidence lies. */
function verdictOf(run, sample, answer) {
  var flag = flagOf(run, sample, answer);
  if (flag === answer.flag) return answer.verdict;
  if (flag === 'fp' || flag === 'fn') return 'wrong';
  if (flag !== 'tp') return null;
  return answer.place !== null && answer.place !== answer.label ? 'reason' : 'right';
}

/* Labels above the threshold that were not explained. */
function unexplained(run, sample) {
  var limit = threshold(run);
  return sample.probabilities.filter(function (pair) {
    return pair[1] > limit && !sample.answers.some(function (answer) { return answer.label === pair[0]; });
  }).length;
}

function words(list) { return list === '' ? [] : list.split('.'); }

/* The answers of a sample that pass the filters. */
function passing(run, sample) {
  var labels = listed(state.labels), flags = words(state.flags), verdicts = words(state.verdicts), pair = listed(state.pair);
  return sample.answers.filter(function (answer) {
    if (labels.length && labels.indexOf(answer.label) < 0) return false;
    if (flags.length && flags.indexOf(flagOf(run, sample, answer)) < 0) return false;
    if (verdicts.length && verdicts.indexOf(verdictOf(run, sample, answer)) < 0) return false;
    if (pair.length === 3 && pair[2] === 1 && !(answer.label === pair[0] && answer.place === pair[1] && answer.flag !== 'fn')) return false;
    return true;
  });
}

function filtered() { return state.q !== '' || state.labels !== '' || state.flags !== '' || state.verdicts !== '' || state.pair !== ''; }

function matches(run, sample, text) {
  if (sample.file.toLowerCase().indexOf(text) >= 0) return true;
  return sample.answers.some(function (answer) { return labelName(run, answer.label).toLowerCase().indexOf(text) >= 0; });
}

/* Rows of the gallery: {sample, answers}; a sample without answers is listed
   only where nothing asks about answers. */
function rowsOf(run) {
  var text = state.q.trim().toLowerCase(), pair = listed(state.pair);
  var asks = state.labels !== '' || state.flags !== '' || state.verdicts !== '' || (pair.length === 3 && pair[2] === 1);
  var rows = [];
  run.samples.forEach(function (sample) {
    if (text && !matches(run, sample, text)) return;
    if (pair.length === 3 && pair[2] === 0 && !(sample.truth.length === 1 && sample.truth[0] === pair[0] && sample.probabilities[0] && sample.probabilities[0][0] === pair[1])) return;
    var answers = passing(run, sample);
    if (asks && !answers.length) return;
    rows.push({ sample: sample, answers: answers.length ? answers : sample.answers });
  });
  return sorted(run, rows);
}

/* Numbers of one answer by which rows can be sorted. */
function sortValue(run, sample, answer) {
  var key = state.sort;
  if (key === 'p') return answer.p;
  if (key === 'sd') return answer.uncertainty ? answer.uncertainty[0] : null;
  if (key === 'margin') return sample.margin;
  if (key === 'entropy') return sample.entropy;
  if (key === 'looked') return answer.looked_at ? answer.looked_at[1] : null;
  var at = key.split('.');
  var map = answer.maps[Number(at[1])];
  var score = map ? map.scores[Number(at[2])] : null;
  return typeof score === 'number' ? score : null;
}

/* Descending by the greatest, ascending by the least of a row's answers; rows
   without a number come last either way. */
function sorted(run, rows) {
  if (state.sort === 'order') return state.down ? rows : rows.slice().reverse();
  var sign = state.down ? -1 : 1;
  rows.forEach(function (row) {
    var best = null;
    row.answers.forEach(function (answer) {
      var value = sortValue(run, row.sample, answer);
      if (value !== null && value !== undefined && (best === null || sign * value < sign * best)) best = value;
    });
    row.value = best;
  });
  return rows.slice().sort(function (a, b) {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || a.sample.at - b.sample.at;
    return sign * (a.value - b.value) || a.sample.at - b.sample.at;
  });
}

function sortPairs(run) {
  var pairs = [['order', t('sort.order')], ['p', t(run.unit ? 'sort.v' : 'sort.p')], ['sd', t('sort.sd')], ['margin', t('sort.margin')], ['entropy', t('sort.entropy')], ['looked', t('sort.looked')]];
  run.methods.forEach(function (method, m) {
    run.metrics.forEach(function (metric, k) { pairs.push(['score.' + m + '.' + k, method.title + ': ' + metric.spec]); });
  });
  return pairs;
}

/* How many answers each label has. */
function labelCounts(run) {
  if (!run.labelCounts) {
    var counts = new Map();
    run.samples.forEach(function (sample) {
      sample.answers.forEach(function (answer) { counts.set(answer.label, (counts.get(answer.label) || 0) + 1); });
    });
    run.labelCounts = Array.from(counts).sort(function (a, b) { return labelName(run, a[0]) < labelName(run, b[0]) ? -1 : 1; });
  }
  return run.labelCounts;
}

/* In or out of a list kept as text. */
function flip(key, item) {
  var list = words(state[key]), at = list.indexOf(String(item)), changes = {};
  if (at >= 0) list.splice(at, 1); else list.push(String(item));
  changes[key] = list.join('.');
  set(changes);
}

/* The bar above the gallery; `refresh` brings it up to date. */
function filterBar(run) {
  var found = h('output', { class: 'found' });
  var search = h('input', { type: 'search', id: 'find', placeholder: t('filter.text'), 'aria-label': t('filter.text'), value: state.q, on: { input: function () { set({ q: search.value }); } } });
  var marks = [];
  function marker(key, item, mark) {
    var one = toggle('', false, function () { flip(key, item); }, { 'aria-label': t(key === 'flags' ? 'flag.' + item + '.long' : 'verdict.' + item) });
    one.append(mark);
    marks.push(function () { one.setAttribute('aria-pressed', words(state[key]).indexOf(item) >= 0); });
    return one;
  }
  var flags = ['tp', 'fp', 'fn', 'unknown'].map(function (flag) { return marker('flags', flag, flagMark(flag)); });
  var verdicts = ['right', 'reason', 'wrong'].map(function (verdict) { return marker('verdicts', verdict, verdictMark(verdict, true)); });
  var labels = labelMenu(run);
  var limit = slider(t('filter.threshold'), [0, 1, 0.01], threshold(run), function (value) { set({ threshold: value }); });
  var sort = choice(t('sort'), sortPairs(run), state.sort, function (value) { set({ sort: value }); });
  var way = button('', function () { set({ down: !state.down }); }, { class: 'toggle' });
  var bar = h('div', { class: 'bar', role: 'group', 'aria-label': t('filter') },
    h('div', { class: 'line' }, search, labels, field(t('sort'), sort), way, field(t('filter.threshold'), limit)),
    h('div', { class: 'line' }, flags, h('span', { class: 'gap' }), verdicts,
      button(t('filter.reset'), function () { set({ q: '', labels: '', flags: '', verdicts: '', pair: '', threshold: -1 }); search.value = ''; }, { class: 'quiet' }), found));
  bar.refresh = function (rows) {
    marks.forEach(function (mark) { mark(); });
    labels.refresh();
    if (document.activeElement !== search) search.value = state.q;
    sort.value = state.sort;
    limit.show(threshold(run));
    way.textContent = state.down ? '\u2193' : '\u2191';
    way.setAttribute('aria-label', state.down ? t('sort.down') : t('sort.up'));
    found.textContent = t('filter.found', { n: rows.length, of: run.samples.length });
  };
  return bar;
}

/* Labels to choose from, as a folded list of check boxes with a search field. */
function labelMenu(run) {
  var summary = h('summary', null);
  var boxes = [];
  var narrow = h('input', { type: 'search', 'aria-label': t('filter.labels'), placeholder: t('filter.labels'), on: { input: function () {
    boxes.forEach(function (one) { one.line.hidden = one.name.toLowerCase().indexOf(narrow.value.toLowerCase()) < 0; });
  } } });
  var list = h('div', { class: 'menu-list' }, labelCounts(run).map(function (pair) {
    var name = labelName(run, pair[0]);
    var box = h('input', { type: 'checkbox', on: { change: function () { flip('labels', pair[0]); } } });
    var line = h('label', null, box, data(name), h('span', { class: 'num faint' }, String(pair[1])));
    boxes.push({ box: box, line: line, name: name, label: pair[0] });
    return line;
  }));
  var menu = h('details', { class: 'menu' }, summary, h('div', { class: 'menu-body' }, narrow, list));
  menu.addEventListener('keydown', function (event) { if (event.key === 'Escape') { menu.open = false; summary.focus(); event.stopPropagation(); } });
  document.addEventListener('pointerdown', function (event) { if (!menu.contains(event.target)) menu.open = false; });
  menu.refresh = function () {
    var chosen = listed(state.labels);
    boxes.forEach(function (one) { one.box.checked = chosen.indexOf(one.label) >= 0; });
    put(summary, t('filter.labels') + ': ', chosen.length === 1 ? data(labelName(run, chosen[0])) : chosen.length || t('filter.label.any'));
  };
  return menu;
}

/* Controls of how maps are painted. */
function lookBar(extra) {
  var ranges = RANGES.map(function (range) { return [range, t('range.' + range)]; });
  var fixed = h('span', { class: 'fixed' },
    ['low', 'high'].map(function (end) {
      var input = h('input', { type: 'number', step: 'any', value: state[end], 'aria-label': t('range.' + end), on: { input: function () {
        var value = parseFloat(input.value), changes = {};
        changes[end] = value;
        if (isFinite(value)) set(changes);
      } } });
      return input;
    }));
  var controls = {
    overlay: toggle(t('overlay'), state.overlay, function () { set({ overlay: !state.overlay }); }),
    contours: toggle(t('contours'), state.contours, function () { set({ contours: !state.contours }); }),
    boxes: toggle(t('boxes'), state.boxes, function () { set({ boxes: !state.boxes }); })
  };
  var opacity = slider(t('opacity'), [0, 1, 0.05], state.opacity, function (value) { set({ opacity: value }); });
  var palette = choice(t('palette'), PALETTES.map(function (name) { return [name, t('palette.' + name)]; }), state.palette, function (value) { set({ palette: value }); });
  var diverging = choice(t('diverging'), DIVERGING.map(function (name) { return [name, t('palette.' + name)]; }), state.diverging, function (value) { set({ diverging: value }); });
  var range = choice(t('range'), ranges, state.range, function (value) { set({ range: value }); });
  var smooth = choice(t('smooth'), SMOOTH.map(function (name) { return [name, t('smooth.' + name)]; }), state.smooth, function (value) { set({ smooth: value }); });
  var bar = h('details', { class: 'bar look', open: window.innerWidth > 900 }, h('summary', null, t('look')),
    h('div', { class: 'line' }, controls.overlay, field(t('opacity'), opacity), field(t('palette'), palette), field(t('diverging'), diverging),
      field(t('range'), range), fixed, field(t('smooth'), smooth), controls.contours, controls.boxes, extra));
  bar.refresh = function () {
    Object.keys(controls).forEach(function (key) { controls[key].setAttribute('aria-pressed', state[key]); });
    opacity.show(state.opacity);
    palette.value = state.palette;
    diverging.value = state.diverging;
    range.value = state.range;
    smooth.value = state.smooth;
    fixed.hidden = state.range !== 'fixed';
  };
  bar.refresh();
  return bar;
}
