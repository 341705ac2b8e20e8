/* The overview: numbers, confusions, what to look at first, provenance. */
var CONFUSED = 12;

function overviewPage(main) {
  var run = currentRun();
  put(main, leadPart(), h('h1', null, t('page.overview')), figures(run), runBlocks.length > 1 ? comparison() : null,
    h('div', { class: 'two' }, confusionPart(run, 'confusion'), confusionPart(run, 'evidence')),
    firstPart(run), provenancePart(run));
}

/* What the page was made to say, if it was. */
function leadPart() {
  var lead = parsed(byId('lead').textContent);
  if (!lead) return null;
  return h('section', { class: 'lead' }, h('p', { class: 'lead-title' }, lead.title), h('p', null, lead.text),
    h('div', { class: 'cards' }, lead.cards.map(function (card, i) {
      return h('section', { class: 'card ' + (card.passes ? 'passes' : 'fails') },
        h('h2', null, data(card.title)), h('p', { class: 'word' }, h('span', { 'aria-hidden': 'true' }, card.passes ? '\u2714 ' : '\u2718 '), card.word),
        h('p', null, card.sentence), h('dl', null, card.facts.map(function (fact) { return [h('dt', null, fact[0]), h('dd', null, fact[1])]; })),
        runBlocks[i] && runBlocks.length > 1 ? button(t('page.gallery'), function () { set({ run: i, page: 'gallery' }); }, { 'aria-label': t('page.gallery') + ': ' + card.title }) : null);
    })));
}

function figure(value, name, note, act) {
  return h(act ? 'button' : 'div', { class: 'figure', type: act ? 'button' : null, on: act ? { click: act } : {} }, h('span', { class: 'big' }, value), h('span', null, name), note ? h('span', { class: 'faint' }, note) : null);
}

function only(changes) {
  return function () { set(Object.assign({ q: '', labels: '', flags: '', verdicts: '', pair: '', page: 'gallery' }, changes)); };
}

function figures(run) {
  var c = run.counts;
  var judged = c.right + c.right_wrong_reason + c.wrong;
  return h('div', { class: 'figures' },
    figure(c.pictures, t('overview.pictures'), c.unreadable ? c.unreadable + ' ' + t('overview.unreadable') : null),
    c.top[1] ? figure(percent(c.top[0] / c.top[1]), t('overview.accuracy'), c.top[0] + ' / ' + c.top[1]) : null,
    figure(run.methods.length, t('overview.methods'), run.methods.map(function (method) { return method.title; }).join(', ')),
    figure(c.answers, t('overview.answers'), h('span', { class: 'marks' }, [['tp', c.true_positive], ['fp', c.false_positive], ['fn', c.false_negative], ['unknown', c.unknown]].map(function (pair) {
      return pair[1] ? h('span', null, flagMark(pair[0]), ' ' + pair[1]) : null;
    }))),
    judged ? figure(percent(c.right_wrong_reason / judged), t('overview.wrongreason'), c.right_wrong_reason + ' / ' + judged, only({ verdicts: 'reason' })) : null,
    judged ? verdictBar(c) : null);
}

/* The three verdicts as one bar, each part with its shape. */
function verdictBar(c) {
  var parts = [['right', c.right], ['reason', c.right_wrong_reason], ['wrong', c.wrong]];
  var all = c.right + c.right_wrong_reason + c.wrong;
  return h('div', { class: 'figure verdicts' }, h('div', { class: 'stacked' }, parts.map(function (part) {
    return part[1] ? h('button', { type: 'button', class: 'part verdict-' + part[0], style: { 'flex-grow': part[1] }, title: t('verdict.' + part[0]), 'aria-label': t('verdict.' + part[0]) + ': ' + part[1], on: { click: only({ verdicts: part[0] }) } }) : null;
  })), h('div', { class: 'marks' }, parts.map(function (part) { return h('span', null, verdictMark(part[0], true), ' ' + part[1] + ' (' + percent(part[1] / all) + ')'); })));
}

/* All runs in one table. */
function comparison() {
  var rows = runBlocks.map(function (block, i) {
    var run = runAt(i), c = run.counts, judged = c.right + c.right_wrong_reason + c.wrong;
    return [button(run.name, function () { set({ run: i }); }, { class: 'quiet link', 'aria-current': i === state.run ? 'true' : null }), { text: c.top[1] ? percent(c.top[0] / c.top[1]) : '\u2013', class: 'num' },
      { text: judged ? percent(c.right / judged) : '\u2013', class: 'num' }, { text: judged ? percent(c.right_wrong_reason / judged) : '\u2013', class: 'num' }, { text: judged ? percent(c.wrong / judged) : '\u2013', class: 'num' }];
  });
  return h('section', { class: 'panel' }, h('h2', null, t('overview.compare')), table([t('run'), t('overview.accuracy'), t('verdict.right'), t('verdict.reason'), t('verdict.wrong')], rows));
}

/* Counts as a matrix of the labels with most mistakes; others are summed up. */
function confusionPart(run, kind) {
  var triples = run.counts[kind];
  var title = t('overview.' + kind);
  if (!triples.length) return h('section', { class: 'panel' }, h('h2', null, title), h('p', { class: 'faint' }, t('overview.no' + kind)));
  var weight = new Map();
  triples.forEach(function (triple) {
    [triple[0], triple[1]].forEach(function (label) { weight.set(label, (weight.get(label) || 0) + triple[2] * (triple[0] === triple[1] ? 0.001 : 1)); });
  });
  var background = run.labels.length, ground = weight.delete(background);
  var labels = Array.from(weight.keys()).sort(function (a, b) { return weight.get(b) - weight.get(a) || a - b; });
  var rest = labels.length > CONFUSED;
  labels = labels.slice(0, CONFUSED).sort(function (a, b) { return a - b; });
  var columns = ground ? labels.concat(background) : labels;
  function index(list, label) { var at = list.indexOf(label); return at < 0 ? list.length : at; }
  var cells = [], n = columns.length + (rest ? 1 : 0);
  for (var i = 0; i < labels.length + (rest ? 1 : 0); i++) cells.push(new Array(n).fill(0));
  triples.forEach(function (triple) { cells[index(labels, triple[0])][index(columns, triple[1])] += triple[2]; });
  var sums = cells.map(function (row) { return row.reduce(function (a, b) { return a + b; }, 0); });
  var names = columns.map(function (label) { return labelName(run, label); }).concat(rest ? [t('overview.others')] : []);
  var rowNames = labels.map(function (label) { return labelName(run, label); }).concat(rest ? [t('overview.others')] : []);
  var rows = cells.map(function (row, i) {
    return [{ text: data(rowNames[i]), scope: 'row' }].concat(row.map(function (count, j) {
      if (!count) return { text: '\u00b7', class: 'num faint' };
      var share = count / sums[i], known = i < labels.length && j < columns.length;
      var cell = known ? button(String(count), only({ pair: labels[i] + '.' + columns[j] + '.' + (kind === 'evidence' ? 1 : 0) }), { class: 'cell', 'aria-label': rowNames[i] + ', ' + names[j] + ': ' + count }) : h('span', { class: 'cell' }, String(count));
      cell.style.setProperty('--share', share.toFixed(3));
      cell.classList.add(i === j ? 'hit' : 'miss');
      return { text: cell, class: 'num tight' };
    }));
  });
  var corner = h('span', { class: 'unseen' }, t('labels'));
  return h('section', { class: 'panel' }, h('h2', null, title), h('p', { class: 'faint' }, t('overview.' + kind + '.what')),
    table([corner].concat(names.map(function (name) { return h('span', { class: 'slanted' }, data(shortened(name, 16))); })), rows, { class: 'matrix', 'aria-label': title }),
    button(t('chart.csv'), function () {
      download(title + '.csv', 'text/csv', csv([[''].concat(names)].concat(cells.map(function (row, i) { return [rowNames[i]].concat(row); }))));
    }, { class: 'quiet small', 'aria-label': t('chart.csv') + ': ' + title }));
}

/* Lists of {sample, answer, value}, the worst first. */
function firstLists(run) {
  var lists = { confident: [], missed: [], reason: [], uncertain: [], disagree: [], border: [], flat: [], failed: [] };
  run.samples.forEach(function (sample) {
    if (sample.failure) lists.failed.push({ sample: sample, answer: null, value: 0, text: sample.failure });
    sample.answers.forEach(function (answer) {
      function add(list, value, text) { lists[list].push({ sample: sample, answer: answer, value: value, text: text }); }
      if (answer.flag === 'fp') add('confident', answer.p, percent(answer.p));
      if (answer.flag === 'fn') add('missed', 1 - answer.p, percent(answer.p));
      if (answer.verdict === 'reason') add('reason', answer.p, answer.place !== null ? labelName(run, answer.place) + (answer.looked_at ? ' ' + percent(answer.looked_at[1]) : '') : percent(answer.p));
      if (answer.uncertainty) add('uncertain', answer.uncertainty[0], 'sd ' + number(answer.uncertainty[0]));
      var flat = answer.maps.filter(function (map) { return map.outcome === 'flat'; });
      if (flat.length) add('flat', flat.length, flat.map(function (map) { return run.methods[map.method].title; }).join(', '));
      var worst = null;
      answer.maps.forEach(function (map) { if (map.place && (!worst || map.place[2] > worst.place[2])) worst = map; });
      if (worst && worst.place[2] > 0.5) add('border', worst.place[2], run.methods[worst.method].title + ' ' + percent(worst.place[2]));
      var least = null;
      answer.agreement.forEach(function (pair) { if (pair[2] !== null && (least === null || pair[2] < least[2])) least = pair; });
      if (least && least[2] < 0.3) add('disagree', -least[2], run.methods[least[0]].title + ', ' + run.methods[least[1]].title + ' ' + number(least[2]));
    });
  });
  Object.keys(lists).forEach(function (key) { lists[key].sort(function (a, b) { return b.value - a.value || a.sample.at - b.sample.at; }); });
  return lists;
}

var SHOW_ALL = { confident: { flags: 'fp', sort: 'p', down: true }, missed: { flags: 'fn', sort: 'p', down: false }, reason: { verdicts: 'reason', sort: 'p', down: true }, uncertain: { sort: 'sd', down: true } };

function firstPart(run) {
  var lists = firstLists(run);
  return h('section', null, h('h2', null, t('overview.first')), h('p', { class: 'faint' }, t('overview.first.what')),
    h('div', { class: 'lists' }, Object.keys(lists).map(function (key) {
      var list = lists[key];
      if (!list.length) return null;
      return h('section', { class: 'panel' }, h('h3', null, t('overview.list.' + key), h('span', { class: 'count' }, String(list.length))),
        h('ol', { class: 'first' }, list.slice(0, 5).map(function (item) {
          return h('li', null, h('button', { type: 'button', class: 'item', on: { click: function () { set({ page: 'sample', sample: item.sample.id, label: item.answer ? item.answer.label : -1 }); } } },
            thumbnail(item.sample), h('span', { class: 'item-text' }, item.answer ? h('b', null, data(labelName(run, item.answer.label))) : null, data(item.sample.file, 'faint'), h('span', { class: 'num' }, data(item.text)))));
        })),
        SHOW_ALL[key] ? button(t('overview.list.all'), only(SHOW_ALL[key]), { class: 'quiet small', 'aria-label': t('overview.list.all') + ': ' + t('overview.list.' + key) }) : null);
    })));
}

function thumbnail(sample) {
  return sample.picture.src ? imageFrom(sample.picture.src, function () { return pictureSource(sample); }, { alt: '', loading: 'lazy', decoding: 'async' }, true) : h('span', { class: 'blank', 'aria-hidden': 'true' }, '\u2205');
}

function provenancePart(run) {
  var p = run.provenance;
  var facts = [['tool', p.tool], ['model', p.model], ['modelhash', p.model_hash, 1], ['data', p.data], ['datahash', p.data_hash, 1], ['confighash', p.config_hash, 1], ['seed', p.seed], ['backend', p.backend], ['threshold', String(run.threshold)], ['command', p.command, 1]];
  var shown = run.samples.length < run.counts.pictures ? 'shown' : 'shown.all';
  return h('section', { class: 'panel' }, h('h2', null, t('overview.provenance')), h('p', { class: 'faint' }, t(shown, { shown: run.samples.length, total: run.counts.pictures }) + '.'),
    h('dl', { class: 'provenance' }, facts.map(function (fact) { return [h('dt', null, t('overview.' + fact[0])), h('dd', null, fact[2] ? h('code', null, data(fact[1])) : data(fact[1]))]; }),
      h('dt', null, t('overview.methods.list')), h('dd', null, h('ul', { class: 'plain' }, run.methods.map(function (method) {
        return h('li', null, h('code', null, data(method.spec)), ' ', h('span', { class: 'faint' }, t('overview.passes', { n: method.passes })));
      })))));
}
