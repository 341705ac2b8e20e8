/* Which method to trust: scores, the reader's weights, and how sure that is. */
var evaluationView = null;

/* Relative weights, one a metric; 1 where the address says nothing. */
function weightsOf(run) {
  var given = state.weights === '' ? [] : state.weights.split('_').map(Number);
  return run.metrics.map(function (metric, k) { return isFinite(given[k]) && given[k] >= 0 ? given[k] : 1; });
}

function setWeights(weights) {
  set({ weights: weights.map(function (weight) { return String(Math.round(weight * 1e6) / 1e6); }).join('_') });
}

/* A score between 0 and 1 where 1 is good, or null where there is none or the
   metric has no bounds to measure by. */
function normalised(run, k, score) {
  var metric = run.metrics[k], low = metric.range[0], high = metric.range[1];
  if (score === null || low === null || high === null) return null;
  return metric.higher ? (score - low) / (high - low) : (high - score) / (high - low);
}

/* How many scores a mean lacks, and why. */
function lacking(cell) {
  var reasons = Object.keys(cell.undefined);
  return { n: reasons.reduce(function (sum, reason) { return sum + cell.undefined[reason]; }, 0), why: reasons.join('; ') };
}

/* {value, missing}: the weighted mean of the normalised scores. What is
   undefined takes no part; its weight is spread over the others. */
function overall(run, scores, weights) {
  var sum = 0, total = 0, missing = [];
  run.metrics.forEach(function (metric, k) {
    if (!(weights[k] > 0)) return;
    var value = normalised(run, k, scores[k]);
    if (value === null) { missing.push(k); return; }
    sum += weights[k] * value;
    total += weights[k];
  });
  return { value: total > 0 ? sum / total : null, missing: missing };
}

function meanScores(run, method) {
  return run.evaluation.scores[method].map(function (cell) { return cell.mean; });
}

function evaluationPage(main) {
  var run = currentRun();
  if (!run.metrics.length) { put(main, h('h1', null, t('page.evaluation')), h('p', null, t('nothing'))); return; }
  evaluationView = { run: run, sliders: [], table: h('div'), charts: h('div', { class: 'two' }), classes: h('div', { class: 'two' }), metric: h('div'), command: h('code', { class: 'command' }), differences: h('div') };
  var v = evaluationView;
  put(main, h('h1', null, t('page.evaluation')), h('div', { class: 'weigh' }, weightsPart(), h('section', { class: 'panel' }, h('h2', null, t('evaluation.table')), h('p', { class: 'faint small' }, t('evaluation.table.what')), v.table)),
    v.charts, metricPart(), classPart(), differencePart());
  refreshEvaluation();
}

function weightsPart() {
  var v = evaluationView, run = v.run;
  v.sliders = run.metrics.map(function (metric, k) {
    var share = h('output', { class: 'num faint' });
    var own = slider(t('evaluation.weight', { metric: metric.spec }), [0, 10, 0.1], 1, function (value) { weigh(k, value); });
    var lock = toggle('', false, function () { flip('locks', k); }, { class: 'toggle lock', 'aria-label': t('evaluation.lock', { metric: metric.spec }), title: t('evaluation.lock', { metric: metric.spec }) });
    lock.append(s('svg', { viewBox: '0 0 14 14', 'aria-hidden': 'true' }, s('path', { d: 'M2.5 6.5H11.5V12.5H2.5ZM4.5 6.5V4A2.5 2.5 0 0 1 9.5 4V6.5' })));
    return { row: h('div', { class: 'weight' }, h('span', { class: 'weight-name', title: metric.summary }, data(metric.spec), ' ', h('span', { class: 'faint', 'aria-hidden': 'true' }, metric.higher ? '\u2191' : '\u2193')), own, lock, share), slider: own, lock: lock, share: share };
  });
  var presets = ['equal', 'family', 'faithfulness', 'localization'].map(function (name) {
    return button(t('evaluation.preset.' + name), function () { preset(name); }, { class: 'small' });
  });
  return h('section', { class: 'panel' }, h('h2', null, t('evaluation.weights')), h('p', { class: 'faint small' }, t('evaluation.weights.what')),
    h('div', { class: 'line', role: 'group', 'aria-label': t('evaluation.presets') }, presets), v.sliders.map(function (one) { return one.row; }),
    h('p', { class: 'faint small' }, t('evaluation.cli')), v.command);
}

/* A weight moves; locked ones keep their share of the total. */
function weigh(k, value) {
  var run = evaluationView.run, before = weightsOf(run), after = before.slice(), locks = listed(state.locks);
  after[k] = value;
  var total = before.reduce(function (a, b) { return a + b; }, 0), kept = 0, free = 0;
  before.forEach(function (weight, i) {
    if (locks.indexOf(i) >= 0 && i !== k) kept += total > 0 ? weight / total : 0;
    else free += after[i];
  });
  if (kept > 0 && kept < 1 && free > 0) {
    before.forEach(function (weight, i) { if (locks.indexOf(i) >= 0 && i !== k) after[i] = weight / total * free / (1 - kept); });
  }
  setWeights(after);
}

function preset(name) {
  var run = evaluationView ? evaluationView.run : currentRun(), sizes = {};
  run.metrics.forEach(function (metric) { sizes[metric.family] = (sizes[metric.family] || 0) + 1; });
  setWeights(run.metrics.map(function (metric) {
    if (name === 'equal') return 1;
    if (name === 'family') return 1 / sizes[metric.family];
    return metric.family === name ? 3 / sizes[metric.family] : 1 / sizes[metric.family];
  }));
}

function refreshEvaluation() {
  var v = evaluationView, run = v.run, weights = weightsOf(run), locks = listed(state.locks);
  var total = weights.reduce(function (a, b) { return a + b; }, 0);
  v.sliders.forEach(function (one, k) {
    one.slider.show(Math.round(weights[k] * 100) / 100);
    one.lock.setAttribute('aria-pressed', locks.indexOf(k) >= 0);
    one.share.textContent = percent(total > 0 ? weights[k] / total : 0);
    one.share.setAttribute('aria-label', t('evaluation.share', { share: one.share.textContent }));
  });
  v.overall = run.methods.map(function (method, m) { return overall(run, meanScores(run, m), weights); });
  v.command.textContent = 'foveola scores ' + run.name + ' --weights ' + run.metrics.map(function (metric, k) { return metric.spec + '=' + weights[k]; }).join(',');
  refreshTable(weights);
  refreshCharts(weights);
  refreshMetric();
  refreshClasses(weights);
}

/* Why an overall score is partial. */
function partialWords(run, found) {
  return t('evaluation.partial.what', { metrics: found.missing.map(function (k) { return run.metrics[k].spec; }).join(', ') });
}

function refreshTable(weights) {
  var v = evaluationView, run = v.run, held = v.table.contains(document.activeElement) ? document.activeElement.getAttribute('data-by') : null;
  var order = run.methods.map(function (method, m) { return m; });
  function key(m) { return state.by === 'overall' ? v.overall[m].value : run.evaluation.scores[m][Number(state.by)].mean; }
  var up = state.by !== 'overall' && run.metrics[Number(state.by)] && !run.metrics[Number(state.by)].higher;
  if (state.rising) up = !up;
  if (state.by !== 'overall' && !run.metrics[Number(state.by)]) state.by = 'overall';
  order.sort(function (a, b) {
    var x = key(a), y = key(b);
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return (up ? x - y : y - x) || a - b;
  });
  function heading(by, content) {
    var on = state.by === by;
    return { text: button('', function () { set(on ? { rising: !state.rising } : { by: by, rising: false }); }, { class: 'quiet sorter', 'data-by': by }), scope: 'col', 'aria-sort': on ? (up ? 'ascending' : 'descending') : null, content: null, inner: content };
  }
  var heads = [heading('overall', t('evaluation.overall'))].concat(run.metrics.map(function (metric, k) { return heading(String(k), metricHead(metric)); }));
  heads.forEach(function (one) { one.text.append(one.inner); delete one.inner; delete one.content; });
  var rows = order.map(function (m) {
    var found = v.overall[m];
    var first = h('span', null, h('b', { class: 'num', 'data-method': m, 'data-value': found.value }, number(found.value)), found.missing.length ? h('span', { class: 'mark partial', title: partialWords(run, found) }, t('evaluation.partial')) : null);
    return [{ text: h('span', { class: 'method-name', 'data-series': m }, s('svg', { width: 12, height: 12, viewBox: '0 0 12 12', 'aria-hidden': 'true' }, marker(m, 6, 6)), data(run.methods[m].title), run.methods[m].baseline ? h('span', { class: 'faint small' }, t('evaluation.baseline')) : null), scope: 'row' }, { text: first, class: 'num' }].concat(run.metrics.map(function (metric, k) { return scoreCell(run.evaluation.scores[m][k]); }));
  });
  put(v.table, table([t('evaluation.method')].concat(heads), rows, { 'aria-label': t('evaluation.table') }),
    partialList(run, v.overall, order),
    button(t('chart.csv'), function () { download('scores.csv', 'text/csv', csv(scoreRows(run, v))); }, { class: 'quiet small' }));
  v.table.querySelectorAll('[data-series]').forEach(function (name) {
    ['pointerenter', 'pointerleave'].forEach(function (type) {
      name.closest('tr').addEventListener(type, function () { light(type === 'pointerenter' ? name.getAttribute('data-series') : null); });
    });
  });
  if (held !== null) { var again = v.table.querySelector('[data-by="' + Number(held) + '"], [data-by="overall"]'); if (again) again.focus(); }
}

/* What overall scores lack: a line for the methods that lack the same. */
function partialList(run, found, order) {
  var groups = new Map();
  order.forEach(function (m) {
    if (!found[m].missing.length) return;
    var words = partialWords(run, found[m]);
    groups.set(words, (groups.get(words) || []).concat(run.methods[m].title));
  });
  return h('ul', { class: 'plain small faint' }, Array.from(groups).map(function (group) {
    return h('li', null, group[1].length === run.methods.length ? t('evaluation.all') : data(group[1].join(', ')), ': ', group[0]);
  }));
}

/* Lifts one method out of the radar. */
function light(series) {
  evaluationView.charts.querySelectorAll('.spoke').forEach(function (one) {
    one.classList.toggle('dim', series !== null && one.getAttribute('data-series') !== series);
  });
}

function scoreRows(run, v) {
  return [[t('evaluation.method'), t('evaluation.overall'), t('evaluation.partial')].concat([].concat.apply([], run.metrics.map(function (metric) { return [metric.spec, metric.spec + ' low', metric.spec + ' high', metric.spec + ' n']; })))]
    .concat(run.methods.map(function (method, m) {
      return [method.spec, v.overall[m].value, v.overall[m].missing.length ? 'yes' : 'no'].concat([].concat.apply([], run.evaluation.scores[m].map(function (cell) {
        return [cell.mean, cell.interval ? cell.interval[0] : null, cell.interval ? cell.interval[1] : null, cell.n];
      })));
    }));
}

function scoreCell(cell) {
  var lack = lacking(cell);
  var notes = t('evaluation.n', { n: cell.n }) + (lack.n ? '; ' + t('evaluation.failed', { failed: lack.n }) + ': ' + lack.why : '');
  if (cell.mean === null) return { text: h('span', { class: 'faint' }, '\u2013', h('span', { class: 'reason' }, lack.why)), class: 'num', title: notes };
  return { text: h('span', null, number(cell.mean), cell.interval ? h('span', { class: 'ci' }, number(cell.interval[0]) + ' .. ' + number(cell.interval[1])) : null, lack.n ? h('span', { class: 'ci' }, t('evaluation.n', { n: cell.n })) : null), class: 'num', title: notes };
}

function refreshCharts(weights) {
  var v = evaluationView, run = v.run;
  var used = run.metrics.map(function (metric, k) { return k; }).filter(function (k) {
    return run.methods.some(function (method, m) { return normalised(run, k, run.evaluation.scores[m][k].mean) !== null; });
  });
  var names = run.methods.map(function (method) { return method.title; });
  var axes = used.map(function (k) { return run.metrics[k].spec; });
  var series = run.methods.map(function (method, m) {
    return { name: method.title, values: used.map(function (k) { return normalised(run, k, run.evaluation.scores[m][k].mean); }) };
  });
  var rows = [[t('evaluation.method')].concat(axes)].concat(series.map(function (one) { return [one.name].concat(one.values); }));
  var profile = used.length >= 3 ? chart(t('evaluation.radar'), radar(axes, series, t('evaluation.radar.what')), rows, legend(names)) : h('p', { class: 'faint' }, t('evaluation.radar.few'));
  var items = run.methods.map(function (method, m) {
    var found = v.overall[m];
    return { name: method.title, value: found.value, series: m, text: found.value === null ? '\u2013' : number(found.value) + (found.missing.length ? ' *' : ''), why: found.missing.length ? partialWords(run, found) : '' };
  });
  var words = t('evaluation.bars') + ': ' + items.map(function (item) { return item.name + ' ' + item.text; }).join(', ');
  put(v.charts, h('section', { class: 'panel' }, chart(t('evaluation.bars'), bars(items, [0, 1], words), [[t('evaluation.method'), t('evaluation.overall')]].concat(items.map(function (item) { return [item.name, item.value]; })))),
    h('section', { class: 'panel' }, h('p', { class: 'faint small' }, t('evaluation.radar.what')), profile));
}

/* Ends of an axis that holds all these scores: the metric's own where it has them. */
function domainOf(metric, cells) {
  var low = metric.range[0], high = metric.range[1], least = 0, most = 0;
  cells.forEach(function (cell) {
    if (!cell || cell.mean === null) return;
    var ends = cell.interval || [cell.mean, cell.mean];
    least = Math.min(least, ends[0]);
    most = Math.max(most, ends[1]);
  });
  if (low === null || low < -1) low = least;
  if (high === null || high > 1) high = most;
  return low < high ? [low, high] : [low, low + 1];
}

function barOf(name, cell, series) {
  var missing = !cell || cell.mean === null;
  return { name: name, value: missing ? null : cell.mean, interval: missing ? null : cell.interval, series: series, text: missing ? t('evaluation.no.sample') : number(cell.mean) + ' (' + cell.n + ')', why: cell ? lacking(cell).why : '' };
}

function cellRows(head, items) {
  return [[head, t('chart.value'), 'low', 'high']].concat(items.map(function (item) { return [item.name, item.value, item.interval ? item.interval[0] : null, item.interval ? item.interval[1] : null]; }));
}

function metricPart() {
  var v = evaluationView, run = v.run;
  var pick = choice(t('evaluation.metric.one'), run.metrics.map(function (metric, k) { return [k, metric.spec]; }), clamp(state.metric, 0, run.metrics.length - 1), function (value) { set({ metric: Number(value) }); });
  return h('section', { class: 'panel' }, h('div', { class: 'line' }, h('h2', null, t('evaluation.metric')), field(t('evaluation.metric.one'), pick)), v.metric);
}

function refreshMetric() {
  var v = evaluationView, run = v.run, k = clamp(state.metric, 0, run.metrics.length - 1), metric = run.metrics[k];
  var cells = run.methods.map(function (method, m) { return run.evaluation.scores[m][k]; });
  var items = run.methods.map(function (method, m) { return barOf(method.title, cells[m], m); });
  var title = metric.spec + (metric.higher ? ' \u2191' : ' \u2193');
  if (v.metric.contains(document.activeElement)) return;
  put(v.metric, h('p', { class: 'faint small' }, metric.summary + ' ', h('span', null, metric.paper)), chart(title, bars(items, domainOf(metric, cells), title), cellRows(t('evaluation.method'), items)));
}

function classPart() {
  var v = evaluationView, run = v.run;
  var method = choice(t('evaluation.method'), run.methods.map(function (one, m) { return [m, one.title]; }), clamp(state.method, 0, run.methods.length - 1), function (value) { set({ method: Number(value) }); });
  var labels = Object.keys(run.evaluation.classes).map(Number);
  var klass = choice(t('evaluation.class'), labels.map(function (label) { return [label, labelName(run, label)]; }), run.evaluation.classes[state.klass] ? state.klass : labels[0], function (value) { set({ klass: Number(value) }); });
  v.klass = function () { return Number(klass.value); };
  return h('section', { class: 'panel' }, h('div', { class: 'line' }, field(t('evaluation.method'), method), field(t('evaluation.class'), klass)), v.classes);
}

function refreshClasses() {
  var v = evaluationView, run = v.run, m = clamp(state.method, 0, run.methods.length - 1), k = clamp(state.metric, 0, run.metrics.length - 1);
  var labels = Object.keys(run.evaluation.classes).map(Number), label = v.klass();
  if (v.classes.contains(document.activeElement) || !labels.length) return;
  var metric = run.metrics[k];
  var byClass = labels.map(function (one) { return run.evaluation.classes[one][m][k]; });
  var classItems = labels.map(function (one, i) { return barOf(labelName(run, one), byClass[i], m); });
  var title = run.methods[m].title + ', ' + metric.spec;
  var first = metric.per_class ? chart(title, bars(classItems.slice(0, 40), domainOf(metric, byClass), title), cellRows(t('evaluation.class'), classItems)) : h('p', { class: 'faint' }, metric.spec + ': ' + t('evaluation.per.picture'));
  var bounded = run.metrics.map(function (one, i) { return i; }).filter(function (i) { return run.metrics[i].per_class; });
  var items = bounded.map(function (i) {
    var cell = (run.evaluation.classes[label] || run.evaluation.scores)[m][i], value = cell.mean === null ? null : normalised(run, i, cell.mean);
    return { name: run.metrics[i].spec, value: value, series: m, text: cell.mean === null ? t('evaluation.no.sample') : value === null ? t('evaluation.no.bound') : number(value) + ' (' + cell.n + ')', why: lacking(cell).why };
  });
  var second = run.methods[m].title + ', ' + labelName(run, label) + ' (' + t('evaluation.normalised') + ')';
  put(v.classes, h('div', null, h('h3', null, t('evaluation.classes.metric')), first), h('div', null, h('h3', null, t('evaluation.classes.method')), chart(second, bars(items, [0, 1], second), [[t('evaluation.metric.one'), t('evaluation.normalised')]].concat(items.map(function (item) { return [item.name, item.value]; })))));
}

function differencePart() {
  var run = evaluationView.run, all = run.evaluation.differences;
  if (!all.length) return null;
  var rows = all.map(function (one) {
    var metric = run.metrics[one.metric], a = run.methods[one.methods[0]].title, b = run.methods[one.methods[1]].title;
    var sure = one.n >= 6 && (one.interval[0] > 0 || one.interval[1] < 0);
    var firstWins = (one.mean > 0) === metric.higher;
    var words = sure ? t('evaluation.beats', firstWins ? { a: a, b: b } : { a: b, b: a }) : t('evaluation.ties', { a: a, b: b });
    return { sure: sure, row: [{ text: data(metric.spec), scope: 'row' }, { text: words, class: sure ? 'sure' : 'faint' }, { text: number(one.mean), class: 'num' }, { text: number(one.interval[0]) + ' .. ' + number(one.interval[1]), class: 'num' }, { text: String(one.n), class: 'num' }] };
  });
  var head = [t('evaluation.metric.one'), '', t('evaluation.difference'), t('evaluation.interval'), 'n'];
  return h('section', { class: 'panel' }, h('h2', null, t('evaluation.differences')), h('p', { class: 'faint small' }, t('evaluation.differences.what')),
    h('div', { class: 'tall' }, table(head, rows.map(function (one) { return one.row; }), { 'aria-label': t('evaluation.differences') })),
    button(t('chart.csv'), function () {
      download('differences.csv', 'text/csv', csv([['metric', 'a', 'b', 'difference', 'low', 'high', 'n']].concat(all.map(function (one) {
        return [run.metrics[one.metric].spec, run.methods[one.methods[0]].spec, run.methods[one.methods[1]].spec, one.mean, one.interval[0], one.interval[1], one.n];
      }))));
    }, { class: 'quiet small', 'aria-label': t('chart.csv') + ': ' + t('evaluation.differences') }));
}
