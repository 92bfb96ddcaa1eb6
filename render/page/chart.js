'use strict';
/* Charts of numbers over time, as SVG: lines, a grid of round numbers, and what it was under the pointer. */

const CHART_HEIGHT = 150, LEFT = 66, BOTTOM = 20, TOP = 8, RIGHT = 6;

function svg(name, attributes, text) {
	const element = document.createElementNS('http://www.w3.org/2000/svg', name);
	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value);
	if (text !== undefined)
		element.textContent = text;
	return element;
}

/* The smallest round number of which four steps are enough; bytes in powers of two. */
function roundStep(most, unit) {
	if (!(most > 0))
		return 1;
	const least = unit === '' ? Math.max(1, most / 4) : most / 4; /* nobody has half a thread */
	if (unit.startsWith('bytes')) {
		const power = 2 ** Math.floor(Math.log2(least));
		return power < least ? power * 2 : power;
	}
	const power = 10 ** Math.floor(Math.log10(least));
	return [1, 2, 5, 10].map(n => n * power).find(n => n >= least * 0.999);
}

/* "12.5 %", "3.20 MiB/s" */
function formatUnit(value, unit) {
	if (value === null || value === undefined)
		return '–';
	const second = unit.endsWith('/s') ? '/s' : '';
	const plain = second ? unit.slice(0, -2) : unit;
	const text = formatValue(plain === 'bytes' ? Math.round(value) : value, plain === '%' ? '' : plain);
	return plain === '%' ? `${text} %` : text + second;
}

const clock = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', second: '2-digit'});
const day = new Intl.DateTimeFormat('en-GB', {weekday: 'short', hour: '2-digit', minute: '2-digit'});

/* How much of a span there is to see: a young process does not begin with an empty page. */
function spanOf(times, span) {
	return Math.min(span, Math.max(60000, times.length ? times[times.length - 1] - times[0] : 0));
}

function roomIn(place) {
	const style = getComputedStyle(place);
	return Math.max(240, place.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
}

/* Into `place`, an element that is emptied: chart {title, unit, series: [{name, values}]}. */
function drawChart(place, chart, times, longest) {
	const width = roomIn(place), span = spanOf(times, longest), inner = width - LEFT - RIGHT, high = CHART_HEIGHT - TOP - BOTTOM;
	const most = Math.max(0, ...chart.series.map(one => one.values.reduce((a, b) => b > a ? b : a, 0)));
	const step = roundStep(most, chart.unit), top = Math.max(step, Math.ceil(most / step - 0.001) * step);
	const until = times.length ? times[times.length - 1] : 0, from = until - span;
	const x = time => LEFT + inner * (time - from) / span, y = value => TOP + high * (1 - value / top);
	const picture = svg('svg', {width, height: CHART_HEIGHT, role: 'img', 'aria-label': chart.title});

	for (let value = 0; value <= top * 1.001; value += step) {
		picture.append(svg('line', {x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: 'grid'}));
		picture.append(svg('text', {x: LEFT - 7, y: y(value) + 4, class: 'axis end'}, formatUnit(value, chart.unit)));
	}
	const format = span > 7200000 ? day : clock;
	for (const part of [0, 0.5, 1])
		picture.append(svg('text', {
			x: LEFT + inner * part, y: CHART_HEIGHT - 4, class: `axis ${['', 'middle', 'end'][part * 2]}`,
		}, until ? format.format(from + span * part) : ''));
	chart.series.forEach((one, i) => picture.append(svg('path', {class: `line s${i}`, d: pathOf(one.values, times, x, y, span)})));

	const cursor = svg('line', {y1: TOP, y2: TOP + high, class: 'cursor', visibility: 'hidden'});
	picture.append(cursor);
	const legend = document.createElement('p');
	legend.className = 'legend';
	place.replaceChildren(heading(chart), picture, legend);
	tellLegend(legend, chart, times.length - 1, null);
	picture.addEventListener('pointermove', event => {
		const time = from + span * (event.clientX - picture.getBoundingClientRect().left - LEFT) / inner;
		const at = nearest(times, time);
		if (at < 0)
			return;
		cursor.setAttribute('visibility', 'visible');
		cursor.setAttribute('x1', x(times[at]));
		cursor.setAttribute('x2', x(times[at]));
		tellLegend(legend, chart, at, times[at]);
	});
	picture.addEventListener('pointerleave', () => {
		cursor.setAttribute('visibility', 'hidden');
		tellLegend(legend, chart, times.length - 1, null);
	});
}

function heading(chart) {
	const title = document.createElement('h3');
	title.textContent = chart.title;
	return title;
}

/* Lines between neighbours that are known and not far apart. */
function pathOf(values, times, x, y, span) {
	let path = '', pen = false, before = 0;
	values.forEach((value, i) => {
		if (value === null || times[i] < times[times.length - 1] - span) {
			pen = false;
			return;
		}
		const near = pen && times[i] - before < span / 20 + 5000;
		path += `${near ? 'L' : 'M'}${x(times[i]).toFixed(1)} ${y(value).toFixed(1)}${near ? '' : 'h.01'}`;
		pen = true;
		before = times[i];
	});
	return path;
}

function nearest(times, time) {
	let low = 0, high = times.length - 1;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (times[middle] < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && time - times[low - 1] < times[low] - time ? low - 1 : high;
}

function tellLegend(legend, chart, at, time) {
	legend.replaceChildren(...chart.series.map((one, i) => {
		const item = document.createElement('span');
		item.className = `s${i}`;
		item.textContent = `${one.name} ${formatUnit(one.values[at], chart.unit)}`;
		return item;
	}));
	if (time !== null) {
		const when = document.createElement('time');
		when.textContent = clock.format(time);
		legend.append(when);
	}
}
