/* One picture: methods side by side, what is enough, and how they agree. */
var sampleView = null;

function sampleById(run, id) {
  return run.samples.filter(function (sample) { return sample.id === id; })[0] || null;
}

function samplePage(main) {
  var run = currentRun(), rows = rowsOf(run);
  var sample = sampleById(run, state.sample) || (rows[0] && rows[0].sample) || run.samples[0];
  if (!sample) { put(main, h('h1', null, t('page.sample')), h('p', null, t('nothing'))); return; }
  var answer = sample.answers.filter(function (one) { return one.label === state.label; })[0] || sample.answers[0] || null;
  sampleView = { run: run, sample: sample, answer: answer, rows: rows };
  var look = lookBar();
  put(main, sampleHead(), look, panesPart(), answer ? [topkPart(), h('div', { class: 'two' }, scoresPart(), agreementPart())] : null,
    h('div', { class: 'two' }, probabilitiesPart(), nearestPart()));
  sampleView.look = look;
}

/* Other pictures, in the gallery's order. */
function stepSample(by) {
  var rows = sampleView.rows, at = -1;
  rows.forEach(function (row, i) { if (row.sample === sampleView.sample) at = i; });
  var next = rows[clamp(at + by, 0, rows.length - 1)];
  if (next) set({ sample: next.sample.id, label: -1 });
}

function sampleHead() {
  var v = sampleView, run = v.run, sample = v.sample, at = -1;
  v.rows.forEach(function (row, i) { if (row.sample === sample) at = i; });
  return h('header', { class: 'page-head' },
    h('div', { class: 'line' }, button('\u2190 ' + t('sample.gallery'), function () { set({ page: 'gallery' }); }, { class: 'quiet' }), h('span', { class: 'gap' }),
      button('\u2039 ' + t('sample.previous'), function () { stepSample(-1); }, { disabled: at <= 0, id: 'previous' }),
      h('span', { class: 'num faint' }, at >= 0 ? t('sample.of', { i: at + 1, n: v.rows.length }) : ''),
      button(t('sample.next') + ' \u203a', function () { stepSample(1); }, { disabled: at >= v.rows.length - 1, id: 'next' })),
    h('h1', null, data(sample.file)),
    sample.failure ? h('p', { class: 'fault' }, t('unreadable', { why: sample.failure })) : null,
    h('div', { class: 'chips wide', role: 'group', 'aria-label': t('sample.label') }, sample.answers.map(function (answer) {
      return labelChip(run, sample, answer, answer === v.answer, function () { set({ sample: sample.id, label: answer.label }); }, 0);
    })), v.answer ? answerWords(run, sample, v.answer) : null);
}

function answerWords(run, sample, answer) {
  var u = answer.uncertainty, parts = [t('flag.' + flagOf(run, sample, answer) + '.long')];
  if (u) parts.push(t('sample.interval', { low: percent(u[1]), high: percent(u[2]), sd: number(u[0]) }));
  return h('p', { class: 'words' }, verdictMark(verdictOf(run, sample, answer), true), ' ', parts.join('; ') + '. ',
    answer.looked_at ? t('sample.looked', { label: labelName(run, answer.looked_at[0]), share: percent(answer.looked_at[1]) }) : answer.place === run.labels.length ? t('sample.background') : null);
}

function panesPart() {
  var v = sampleView, run = v.run;
  function framed(one, title, method) {
    return h('figure', { class: 'framed' }, h('figcaption', null, data(title), one.map ? h('span', { class: 'faint' }, gridText(one.map)) : null), one,
      one.map ? scaleOf(one) : null, h('div', { class: 'readout num' }, '\u00a0'));
  }
  var group = link(h('div', { class: 'panes', tabindex: 0, role: 'group', 'aria-label': t('keys.panes'), 'aria-describedby': 'linked' }, framed(pane(run, v.sample, null, 0), t('picture')),
    v.answer ? run.methods.map(function (method, m) { return hiddenColumns().indexOf(m) < 0 && !method.baseline ? framed(pane(run, v.sample, v.answer, m), method.title, m) : null; }) : null), true);
  group.addEventListener('keydown', function (event) { if (!event.ctrlKey && !event.metaKey && !event.altKey && !group.zoomKeys(event)) group.crossKeys(event); });
  return h('section', { class: 'panel' }, group, h('p', { class: 'faint small', id: 'linked' }, t('sample.linked')));
}

/* The curve of a map whose name holds a word. */
function curveOf(map, word) {
  var found = map && map.curves ? map.curves.filter(function (curve) { return curve[0].indexOf(word) >= 0 && curve[1].length > 1; })[0] : null;
  return found ? found[1] : null;
}

function topkPart() {
  var v = sampleView, run = v.run;
  var method = run.methods[state.method] && v.answer.maps[state.method] && v.answer.maps[state.method].src ? state.method : -1;
  if (method < 0) v.answer.maps.forEach(function (map, m) { if (method < 0 && map.src) method = m; });
  if (method < 0 || !v.sample.picture.src) return null;
  var keep = h('canvas', { role: 'img' }), remove = h('canvas', { role: 'img' });
  var keepWords = h('div', { class: 'num' }), removeWords = h('div', { class: 'num' }), curves = h('div', { class: 'curves' });
  var percentSlider = slider(t('sample.topk.share') + ', %', [0, 100, 1], Math.round(100 * state.share), function (value) { set({ share: value / 100 }); });
  v.topk = { method: method, keep: keep, remove: remove, keepWords: keepWords, removeWords: removeWords, curves: curves, slider: percentSlider };
  refreshTopk();
  return h('section', { class: 'panel' }, h('h2', null, t('sample.topk')),
    h('div', { class: 'line' }, field(t('sample.method'), choice(t('sample.method'), run.methods.map(function (one, m) { return [m, one.title]; }), method, function (value) { set({ method: Number(value) }); })), field(t('sample.topk.share') + ', %', percentSlider)),
    h('div', { class: 'topk' }, h('figure', { class: 'framed' }, h('figcaption', null, t('sample.keep')), keep, keepWords), h('figure', { class: 'framed' }, h('figcaption', null, t('sample.remove')), remove, removeWords), curves),
    h('p', { class: 'faint small' }, t(run.unit ? 'sample.topk.note.v' : 'sample.topk.note')));
}

/* The pixels of the picture, once it is there. */
function picturePixels(sample) {
  if (!sample.pixels) {
    sample.pixels = new Promise(function (resolve, reject) {
      var image = new Image();
      image.onload = function () {
        var canvas = document.createElement('canvas');
        canvas.width = sample.picture.size[0];
        canvas.height = sample.picture.size[1];
        var context = canvas.getContext('2d', { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        resolve(context.getImageData(0, 0, canvas.width, canvas.height));
      };
      pictureSource(sample).then(function (address) { image.src = address; }, reject);
    });
  }
  return sample.pixels;
}

/* Evidence of each pixel: the magnitude for gradients, else the value. */
function evidenceOf(run, map, h, w) {
  var values = enlarged(map, h, w);
  if (map.signed) {
    var magnitude = run.methods[map.method].magnitude;
    for (var i = 0; i < values.length; i++) values[i] = magnitude ? Math.abs(values[i] - 128) : Math.max(0, values[i] - 128);
  }
  return values;
}

/* Ranks of the pixels, the strongest first; the first among equals. */
function ranking(run, map, h, w) {
  if (!map.ranking) {
    var values = evidenceOf(run, map, h, w);
    var order = new Uint32Array(h * w);
    for (var i = 0; i < order.length; i++) order[i] = i;
    order.sort(function (a, b) { return values[b] - values[a] || a - b; });
    map.ranking = order;
  }
  return map.ranking;
}

function refreshTopk() {
  var v = sampleView, k = v.topk, map = v.answer.maps[k.method];
  k.slider.show(Math.round(100 * state.share));
  /* What cannot be loaded is said by the panes. */
  if (!map.curves) mapCurves(map).then(function () { if (v === sampleView && v.topk === k) topkWords(v, k, map); }, function () {});
  Promise.all([picturePixels(v.sample), greys(map)]).then(function (parts) {
    if (v !== sampleView) return;
    var picture = parts[0], w = picture.width, h = picture.height;
    var order = ranking(v.run, map, h, w), strong = new Uint8Array(w * h), count = Math.round(state.share * w * h);
    for (var i = 0; i < count; i++) strong[order[i]] = 1;
    drawKept(k.keep, picture, strong, 1);
    drawKept(k.remove, picture, strong, 0);
  }, function () {});
  topkWords(v, k, map);
}

/* What the curves say at the chosen share. */
function topkWords(v, k, map) {
  var insertion = curveOf(map, 'insertion'), deletion = curveOf(map, 'deletion');
  k.keepWords.textContent = insertion ? t(v.run.unit ? 'sample.keep.v' : 'sample.keep.p', { p: worth(v.run, along(insertion, state.share)) }) : t('sample.nocurve');
  k.removeWords.textContent = deletion ? t(v.run.unit ? 'sample.remove.v' : 'sample.remove.p', { p: worth(v.run, along(deletion, state.share)) }) : t('sample.nocurve');
  var about = v.run.methods[k.method].title + ', ' + percent(state.share) + ': ';
  k.keep.setAttribute('aria-label', t('sample.keep') + ': ' + about + k.keepWords.textContent);
  k.remove.setAttribute('aria-label', t('sample.remove') + ': ' + about + k.removeWords.textContent);
  drawCurves(k, insertion, deletion);
}

function drawCurves(k, insertion, deletion) {
  var series = [];
  if (insertion) series.push({ name: t('sample.keep'), points: insertion });
  if (deletion) series.push({ name: t('sample.remove'), points: deletion });
  if (!series.length) { put(k.curves); return; }
  var shares = Array.from(new Set([].concat.apply([], series.map(function (one) { return one.points.map(function (p) { return p[0]; }); })))).sort(function (a, b) { return a - b; });
  var rows = [[t('sample.topk.share')].concat(series.map(function (one) { return one.name; }))].concat(shares.map(function (x) { return [x].concat(series.map(function (one) { return along(one.points, x); })); }));
  var title = t(sampleView.run.unit ? 'sample.curves.v' : 'sample.curves');
  var all = [].concat.apply([], series.map(function (one) { return one.points.map(function (p) { return p[1]; }); }));
  var span = sampleView.run.unit ? worthRange(all) : [0, 1];
  var held = k.curves.contains(document.activeElement);
  if (held) return;
  put(k.curves, chart(title, lines(series, state.share, title + '. ' + k.keepWords.textContent + '; ' + k.removeWords.textContent, span), rows, legend(series.map(function (one) { return one.name; }))));
}

/* The picture where `strong` is `kept`; elsewhere hatching. */
function drawKept(canvas, picture, strong, kept) {
  var w = picture.width, h = picture.height;
  canvas.width = w;
  canvas.height = h;
  canvas.classList.toggle('crisp', w <= 96);
  var out = new ImageData(w, h), period = Math.max(3, Math.round(w / 32));
  for (var y = 0, i = 0; y < h; y++) {
    for (var x = 0; x < w; x++, i++) {
      var on = strong[i] === kept, stripe = (x + y) % (2 * period) < period ? 118 : 138;
      for (var c = 0; c < 3; c++) out.data[4 * i + c] = on ? picture.data[4 * i + c] : stripe;
      out.data[4 * i + 3] = 255;
    }
  }
  canvas.getContext('2d').putImageData(out, 0, 0);
}

function scoresPart() {
  var v = sampleView, run = v.run;
  if (!run.metrics.length) return null;
  var rows = run.methods.map(function (method, m) {
    var map = v.answer.maps[m];
    return [{ text: data(method.title), scope: 'row' }].concat(run.metrics.map(function (metric, k) {
      var score = map ? map.scores[k] : null;
      return typeof score === 'number' ? { text: number(score), class: 'num' } : { text: '\u2013', class: 'num faint', title: t('evaluation.undefined', { why: score || t('map.none') }) };
    }));
  });
  return h('section', { class: 'panel' }, h('h2', null, t('sample.scores')), table([t('sample.method')].concat(run.metrics.map(metricHead)), rows, { 'aria-label': t('sample.scores') }));
}

function metricHead(metric) {
  return h('span', { title: metric.summary }, data(metric.spec), ' ', metric.higher ? '\u2191' : '\u2193');
}

function agreementPart() {
  var v = sampleView, run = v.run, pairs = v.answer.agreement;
  if (!pairs.length) return null;
  var used = run.methods.map(function (method, m) { return m; }).filter(function (m) { return pairs.some(function (pair) { return pair[0] === m || pair[1] === m; }); });
  function value(a, b, at) {
    var found = pairs.filter(function (pair) { return (pair[0] === a && pair[1] === b) || (pair[0] === b && pair[1] === a); })[0];
    return found ? found[at] : null;
  }
  var rows = used.map(function (a) {
    return [{ text: data(run.methods[a].title), scope: 'row' }].concat(used.map(function (b) {
      if (a === b) return { text: '', class: 'self' };
      var number_ = value(a, b, a > b ? 2 : 3);
      var cell = h('span', { class: 'cell heat' }, number(number_));
      cell.style.setProperty('--share', clamp(Math.abs(number_ || 0), 0, 1).toFixed(3));
      if (number_ < 0) cell.classList.add('against');
      return { text: cell, class: 'num tight' };
    }));
  });
  return h('section', { class: 'panel' }, h('h2', null, t('sample.agreement')), h('p', { class: 'faint small' }, t('sample.agreement.what')),
    table([''].concat(used.map(function (m) { return h('span', { class: 'slanted' }, data(shortened(run.methods[m].title, 16))); })), rows, { class: 'matrix', 'aria-label': t('sample.agreement') }));
}

function probabilitiesPart() {
  var v = sampleView, run = v.run, sample = v.sample, top = sample.probabilities.slice(0, 8);
  if (!top.length) return null;
  var items = top.map(function (pair) {
    var name = labelName(run, pair[0]);
    return { name: (sample.truth.indexOf(pair[0]) >= 0 ? '\u2713 ' : '') + name, value: pair[1], text: worth(run, pair[1]), series: sample.truth.indexOf(pair[0]) >= 0 ? 0 : 4 };
  });
  var notes = [];
  if (sample.margin !== null) notes.push(t('sample.margin', { margin: number(sample.margin) }));
  if (sample.entropy !== null) notes.push(t('sample.entropy', { entropy: number(sample.entropy) }));
  var words = top.map(function (pair) { return labelName(run, pair[0]) + ' ' + worth(run, pair[1]); }).join(', ');
  var title = t(run.unit ? 'sample.values' : 'sample.probabilities'), values = top.map(function (pair) { return pair[1]; });
  var range = run.unit ? worthRange(values) : [0, 1];
  return h('section', { class: 'panel' }, chart(title, bars(items, range, words), [[t('sample.label'), t('chart.value')]].concat(top.map(function (pair) { return [labelName(run, pair[0]), pair[1]]; })), h('p', { class: 'faint small' }, notes.join('; '))));
}

function nearestPart() {
  var v = sampleView;
  if (!v.answer || !v.answer.nearest.length) return null;
  return h('section', { class: 'panel' }, h('h2', null, t('sample.nearest')), h('ol', { class: 'nearest' }, v.answer.nearest.map(function (near, i) {
    var seen = near[2] ? imageFrom(near[2], function () { return nearestSource(v.sample, v.answer, i); }, { alt: '', decoding: 'async' }, false) : h('span', { class: 'blank', 'aria-hidden': 'true' }, '\u2205');
    return h('li', { title: near[0] }, seen, h('span', { class: 'item-text' }, data(near[0]), h('span', { class: 'faint num' }, t('sample.distance', { d: number(near[1]) }))));
  })));
}
