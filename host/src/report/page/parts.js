/* Pictures, maps and curves: in the page, or in scripts beside a page that was
   split, which are loaded when something in them is looked at. */
var BESIDE = 'data/';
/* The latest ones stay in memory. */
var PARTS = 64;
var parts = new Map();

window.foveola = {
  push: function (part) {
    var waiting = parts.get(part[0]);
    if (waiting) waiting.arrive(part[1]);
  }
};

/* What a script beside the page holds; a promise. */
function partOf(name) {
  var known = parts.get(name);
  if (known) {
    parts.delete(name);
    parts.set(name, known);
    return known.promise;
  }
  var own = { settled: false };
  own.promise = new Promise(function (arrive, fail) {
    var script = document.createElement('script'), file = BESIDE + name + '.js';
    function end() {
      script.remove();
      own.settled = true;
      fail(new Error(file));
    }
    own.arrive = arrive;
    script.addEventListener('load', end);
    script.addEventListener('error', function () { parts.delete(name); end(); });
    script.src = file;
    document.head.append(script);
  });
  parts.set(name, own);
  parts.forEach(function (other, old) { if (parts.size > PARTS && other.settled) parts.delete(old); });
  return own.promise;
}

/* What lies beside the page of a sample: [picture, answers]. */
function besideOf(sample) {
  return partOf(sample.part[0]).then(function (part) { return part[sample.part[1]]; });
}

/* Addresses; promises. */
function pictureSource(sample) {
  return sample.picture.src === true ? besideOf(sample).then(function (own) { return own[0]; }) : Promise.resolve(sample.picture.src);
}

function mapBeside(map) { return besideOf(map.of.sample).then(function (own) { return own[1][map.of.answer][0][map.method]; }); }

function mapSource(map) {
  return map.src === true ? mapBeside(map).then(function (own) { return own[0]; }) : Promise.resolve(map.src);
}

/* Curves of a map, from now on in the map; a promise. */
function mapCurves(map) {
  if (map.curves) return Promise.resolve(map.curves);
  return mapBeside(map).then(function (own) { return (map.curves = own[1]); });
}

function nearestSource(sample, answer, i) {
  return answer.nearest[i][2] === true ? besideOf(sample).then(function (own) { return own[1][answer.at][1][i]; }) : Promise.resolve(answer.nearest[i][2]);
}

/* Asks for what an image shows once the image comes into view. */
var coming = new IntersectionObserver(function (entries) {
  entries.forEach(function (entry) {
    if (!entry.isIntersecting) return;
    coming.unobserve(entry.target);
    entry.target.come();
  });
}, { rootMargin: '200px' });

/* An image whose address is a promise that `ask` gives, in view if `lazy`; one
   that is in the page is there at once. */
function imageFrom(src, ask, props, lazy) {
  if (src !== true) return h('img', Object.assign({ src: src }, props));
  var image = h('img', props);
  image.come = function () {
    ask().then(function (address) { image.src = address; }, function (error) {
      image.replaceWith(h('span', { class: 'badge fault' }, t('picture.missing', { why: error.message })));
    });
  };
  if (lazy) coming.observe(image); else image.come();
  return image;
}
